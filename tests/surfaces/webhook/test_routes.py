"""The door by its answers: what is kept, what is refused, and who may knock."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent.domain.alert import Alert
from agent.domain.own_alerts import seal
from agent.service.inbox import Inbox, Receipt
from agent.settings_file import BackendEntry
from agent.store import inbox as rows
from agent.surfaces.webhook import build
from agent.surfaces.webhook.docs import page
from tests.surfaces.webhook.conftest import (
    AM,
    GRAFANA,
    JSON,
    LOCAL,
    OLDER,
    RECORDED,
    TOKEN,
    Place,
    alert,
    door_settings,
    is_problem,
    notification,
    opened,
)
from tools.context import Change

# -- what is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}-{p.stem}")
async def test_every_recorded_body_is_kept_and_a_duplicate_the_second_time(path: Path, place: Place) -> None:
    body = path.read_bytes()
    first, again = [await place.http.post(AM, content=body, headers=JSON) for _ in range(2)]
    count = len(json.loads(body)["alerts"])
    assert first.status_code == 202
    assert first.json() == {"receipt": first.json()["receipt"], "alerts": count, "duplicate": False}
    assert again.status_code == 200
    assert again.json() == {"receipt": again.json()["receipt"], "alerts": count, "duplicate": True}
    (entry,) = await place.half.entries()
    assert entry.receipt == first.json()["receipt"]
    assert len(entry.alerts) == count


async def test_all_recordings_in_their_order_keep_each_signal_once(place: Place) -> None:
    signals = set()
    for path in RECORDED:
        for one in json.loads(path.read_text())["alerts"]:
            signals.add((one["fingerprint"], one["startsAt"], one["status"]))
        assert (await place.http.post(AM, content=path.read_bytes(), headers=JSON)).status_code in (200, 202)
    kept = [one for entry in await place.half.entries() for one in entry.alerts]
    assert len(kept) == len({one.key for one in kept}) == len(signals)


async def test_a_delivery_tried_again_after_503_is_kept_once_and_its_stale_firing_absorbed(place: Place) -> None:
    """The attempts of retries.tsv: 5xx is tried again with the same body; a stale firing may follow the resolved."""
    firing, resolved = notification(alert()), notification(alert(status="resolved", endsAt="2026-11-24T03:05:00Z"))
    place.readiness.draining = True
    for _ in range(7):
        is_problem(await place.http.post(AM, json=firing), 503)
    place.readiness.draining = False
    answers = [(await place.http.post(AM, json=body)).status_code for body in (firing, firing, resolved, firing)]
    assert answers == [202, 200, 202, 200]
    assert [[str(a.status) for a in entry.alerts] for entry in await place.half.entries()] == [["firing"], ["resolved"]]


async def test_only_what_is_new_of_a_notification_is_kept(place: Place) -> None:
    await place.http.post(AM, json=notification(alert("A"), alert("B")))
    answer = await place.http.post(AM, json=notification(alert("A"), alert("B"), alert("C")))
    assert (answer.status_code, answer.json()["alerts"], answer.json()["duplicate"]) == (202, 3, False)
    assert [one.name for one in (await place.half.entries())[1].alerts] == ["C"]


async def test_the_answer_comes_after_the_commit(place: Place) -> None:
    """A second process sees it the moment it is answered."""
    from agent.store.database import Database

    answer = await place.http.post(AM, json=notification(alert()))
    other = await Database.open("", place.half.settings.data)
    async with other.read() as tx:
        assert [entry.receipt for entry in await rows.fresh(tx, 10)] == [answer.json()["receipt"]]
    await other.close()


def called(place: Place, incident: str = "inc-1", **labels: str) -> dict[str, Any]:
    """Our call for a person as Alertmanager gives it back: more labels, another time, the annotations as they were."""
    said = {"alertname": "StanchNeedsPerson", "source": "stanch", "incident": incident}
    told = {
        "summary": f"A person has to look: p99 is high ({incident})",
        "description": f"stanch incidents show {incident}",
    }
    sealed = {**told, "stanch_seal": seal(place.half.db.audit_key, said, told)}
    return alert(labels={**said, "severity": "critical", **labels}, annotations=sealed)


async def test_our_own_call_for_a_person_is_passed_over_and_counted(place: Place) -> None:
    ours = [called(place), called(place, "inc-2", prometheus="monitoring/k8s")]
    answer = await place.http.post(AM, json=notification(*ours))
    assert answer.status_code == 200
    assert answer.json() == {"receipt": "", "alerts": 0, "duplicate": False, "passed_over": 2}
    assert (await place.http.post(AM, json=notification(*ours, alert()))).status_code == 202
    assert [one.name for entry in await place.half.entries() for one in entry.alerts] == ["HighLatency"]
    assert "stanch_passed_over_total 4.0" in (await place.http.get("/metrics")).text


async def test_what_only_calls_itself_ours_is_an_alert_like_any_other(place: Place) -> None:
    """No seal, another's seal, a seal for another incident, under another name, or saying something else."""
    genuine = called(place)
    forged = [
        alert("StanchNeedsPerson"),
        alert("StanchDown"),
        alert("Any", labels={"alertname": "Any", "source": "stanch"}),
        {**genuine, "annotations": {**genuine["annotations"], "stanch_seal": "0" * 64}},
        {**genuine, "annotations": {**genuine["annotations"], "stanch_seal": "\xe9"}},
        {**genuine, "annotations": {**genuine["annotations"], "summary": "nothing to see"}},
        called(place, "inc-1") | {"labels": {**genuine["labels"], "incident": "inc-2"}},
        called(place, "inc-1") | {"labels": {**genuine["labels"], "alertname": "DiskFull"}},
        called(place, "inc-1") | {"labels": {**genuine["labels"], "source": "else"}},
    ]
    for n, one in enumerate(forged):
        answer = await place.http.post(AM, json=notification({**one, "fingerprint": f"f{n}"}))
        assert (answer.status_code, answer.json()["alerts"]) == (202, 1), one
    assert len(await place.half.entries()) == len(forged)


# -- valid but odd ----------------------------------------------------------------------------------------------------

ODD = [
    ("an alert without labels", notification(alert(), alert(labels={})), "no labels", 1),
    ("an alert without a start", notification(alert(), {"labels": {"alertname": "X"}}), "startsAt", 1),
    ("a start that is a number", notification(alert(), alert(startsAt=1_700_000_000)), "as text", 1),
    ("an alert that is none", notification(alert(), None, 3, "x"), "alerts.1", 1),
    ("another version", notification(alert(), version="5"), "version '5'", 1),
    ("a version that is none", notification(alert(), version=[{}]), "version", 1),
    ("a year 0", notification(alert("A"), alert("B", startsAt="0001-01-01T00:00:00+23:00")), "years", 1),
    ("a label that is a list", notification(alert(), alert(labels={"alertname": ["X"]})), "labels", 1),
    ("lone surrogates", notification(alert(), alert(labels={"\ud800": []})), "labels", 1),
]


@pytest.mark.parametrize(("body", "why", "kept"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_odd_is_kept_for_a_person_and_the_rest_is_taken(
    body: dict[str, Any], why: str, kept: int, place: Place
) -> None:
    answer = await place.http.post(AM, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 202, answer.text
    assert answer.json()["alerts"] == kept
    assert why in " ".join(answer.json()["set_aside"])
    assert why in (await place.half.quarantined())[0]
    again = await place.http.post(AM, content=json.dumps(body), headers=JSON)
    assert (again.status_code, len(await place.half.quarantined())) == (200, 1)
    assert "stanch_set_aside_total 2.0" in (await place.http.get("/metrics")).text


# -- what is refused --------------------------------------------------------------------------------------------------

UNREADABLE = [
    (b"", "empty"),
    (b"not json", "starts with 'not json'"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"1" * 5_000, "not JSON"),
    (b"{}", "no `alerts`"),
    (b"7", "int cannot be read"),
    (b"null", "NoneType cannot be read"),
    (b'{"alerts": []}', "no alerts"),
    (b'{"alerts": {}}', "alerts.0"),
    (b'{"alerts": 7}', "alerts.0"),
    (b'{"alerts": [{}]}', "alerts.0 cannot be read"),
    (b'{"alerts": [{"labels": {}, "startsAt": "2026-11-24T03:00:00Z"}]}', "no labels"),
]


@pytest.mark.parametrize(("body", "says"), UNREADABLE, ids=[repr(body[:30]) for body, _ in UNREADABLE])
async def test_what_holds_no_alert_is_refused_with_what_to_mend(body: bytes, says: str, place: Place) -> None:
    for path in (AM, GRAFANA):
        assert says in is_problem(await place.http.post(path, content=body, headers=JSON), 400)
    assert await place.half.entries() == []


async def test_another_kind_of_body_is_415(place: Place) -> None:
    body = json.dumps(notification(alert()))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        detail = is_problem(await place.http.post(AM, content=body, headers={"Content-Type": kind}), 415)
        assert "application/json" in detail
    is_problem(await place.http.post(AM, content=body, headers={**JSON, "Content-Encoding": "gzip"}), 415)
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert (await place.http.post(AM, content=body, headers={"Content-Type": kind})).is_success


async def test_a_body_is_measured_before_it_is_read_and_while_it_comes(tmp_path: Path) -> None:
    async with opened(door_settings(tmp_path, body_mb=0.01)) as place:
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b" " * 1_000

        assert "10,485 bytes" in is_problem(await place.http.post(AM, content=b" " * 20_000, headers=JSON), 413)
        is_problem(await place.http.post(AM, content=endless(), headers=JSON), 413)
        assert taken <= 12
        lying = {**JSON, "Content-Length": "99999999999999999999999"}
        is_problem(await place.http.post(AM, content=b"{}", headers=lying), 413)
        is_problem(await place.http.post(AM, content=b"{}", headers={**JSON, "Content-Length": "-1"}), 400)


@pytest.mark.parametrize("padding", ["", " " * 70_000], ids=["short", "long"])
async def test_more_alerts_than_may_be_in_one_notification_are_413_and_looked_for(tmp_path: Path, padding: str) -> None:
    settings = door_settings(tmp_path)
    serve = settings.serve.model_copy(update={"max_alerts": 3})
    known = {"alertmanager": (BackendEntry(name="am", url="http://127.0.0.1:1"),)}
    refused: list[int] = []
    async with opened(replace(settings, serve=serve, backends=known)) as place:
        place.half.inbox.on_refusal = lambda: refused.append(1)

        async def post(path: str, count: int, **more: Any) -> httpx.Response:
            told = json.dumps(notification(*(alert(f"A{n}") for n in range(count)), **more)) + padding
            return await place.http.post(path, content=told, headers=JSON)

        assert (await post(AM, 3)).status_code == 202
        assert refused == []
        detail = is_problem(await post(AM, 4), 413)
        for part in ("more than 3 alerts", "serve.max_alerts", "max_alerts in the receiver", "found by reconciling"):
            assert part in detail
        assert refused == [1]
        assert "nothing here can ask for it" in is_problem(await post(GRAFANA, 4), 413)
        assert refused == [1]
        assert (await post(AM, 2, truncatedAlerts=7)).status_code == 200
        assert refused == [1, 1], "what Alertmanager itself left out is looked for as well"
    async with opened(replace(settings, serve=serve, data=tmp_path / "other")) as place:
        told = notification(*(alert(f"A{n}") for n in range(4)))
        assert "nothing here can ask for it" in is_problem(await place.http.post(AM, json=told), 413)
        assert await place.half.entries() == []


async def test_of_many_alerts_that_cannot_be_read_the_first_are_told(place: Place) -> None:
    odd = [{"labels": {"alertname": f"A{n}"}, "startsAt": n} for n in range(500)]
    answer = await place.http.post(AM, json=notification(alert(), *odd))
    assert answer.status_code == 202
    assert len(answer.json()["set_aside"]) == 21
    assert answer.json()["set_aside"][-1] == "480 more cannot be read."


async def test_other_methods_and_paths_are_problems_too(place: Place) -> None:
    answer = await place.http.get(AM)
    is_problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    is_problem(await place.http.post("/v1/webhooks/nobody"), 404)


# -- later ------------------------------------------------------------------------------------------------------------


def asks_to_come_back(answer: httpx.Response) -> None:
    is_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


async def test_starting_and_stopping_answer_503(place: Place) -> None:
    for ready, draining in ((False, False), (True, True)):
        place.readiness.ready, place.readiness.draining = ready, draining
        asks_to_come_back(await place.http.post(AM, json=notification(alert())))
        asks_to_come_back(await place.nobody.get("/readyz"))
        assert (await place.nobody.get("/healthz")).status_code == 200


async def test_too_much_at_once_is_503_and_what_was_taken_is_kept(tmp_path: Path) -> None:
    async with opened(door_settings(tmp_path), capacity=3) as place:
        many = [place.http.post(AM, json=notification(alert(f"A{n}"))) for n in range(40)]
        answers = await asyncio.gather(*many)
        taken = [a.json()["receipt"] for a in answers if a.status_code == 202]
        for answer in answers:
            if answer.status_code != 202:
                asks_to_come_back(answer)
        assert 0 < len(taken) < 40
        assert sorted(entry.receipt for entry in await place.half.entries()) == sorted(taken)


async def test_a_database_that_is_away_is_503_and_the_metrics_go_without_it(place: Place) -> None:
    """As SQLite says it: the file is there and cannot be opened."""
    data = place.half.settings.data
    await place.half.db.close()  # its connections
    (data / "stanch.db").rename(data / "away")
    (data / "stanch.db").mkdir()
    asks_to_come_back(await place.http.post(AM, json=notification(alert())))
    asks_to_come_back(await place.nobody.get("/readyz"))
    shown = await place.http.get("/metrics")
    assert (shown.status_code, "stanch_inbox_waiting NaN" in shown.text) == (200, True)
    (data / "stanch.db").rmdir()
    (data / "away").rename(data / "stanch.db")
    assert (await place.http.post(AM, json=notification(alert()))).status_code == 202


async def test_what_is_not_written_in_time_is_not_acknowledged(place: Place) -> None:
    class Slow(Inbox):
        async def accept(self, source: str, alerts: Sequence[Alert], changes: Sequence[Change] = ()) -> Receipt:
            raise TimeoutError  # as the door's own patience ends it

    slow = replace(place.half, inbox=Slow(place.half.db, place.half.clock, 9))
    through = httpx.ASGITransport(app=build(slow, place.readiness, True), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=through, base_url=LOCAL, headers=place.http.headers) as http:
        asks_to_come_back(await http.post(AM, json=notification(alert())))
    await slow.inbox.close()


# -- who may knock ----------------------------------------------------------------------------------------------------


def every_route(place: Place) -> Iterable[tuple[str, str]]:
    for route in place.web.routes:
        assert isinstance(route, Route)
        for method in route.methods or ():
            yield method, route.path


def basic(password: str, user: str = "alertmanager") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


REFUSED = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"bearer{TOKEN}",
    TOKEN,
    "Basic",
    "Basic !!!",
    basic("wrong"),
    basic("", TOKEN),
    "Basic " + base64.b64encode(TOKEN.encode()).decode(),
    f"Digest {TOKEN}",
    "Bearer \xe9",
    f"Bearer {TOKEN},{OLDER}",
]


async def test_every_route_but_two_is_closed_without_credentials(place: Place) -> None:
    routes = list(every_route(place))
    assert len(routes) > 8
    for method, path in [
        *routes,
        ("GET", "/unknown"),
        ("POST", "/v1/unknown"),
        ("GET", "/docs/"),
        ("GET", "//healthz"),
    ]:
        for header in REFUSED:
            authorization = {"Authorization": header.encode("latin-1")} if header else {}
            answer = await place.nobody.request(method, path, headers=authorization)
            if path in ("/healthz", "/readyz"):
                assert answer.status_code == 200, (method, path)
                continue
            assert answer.status_code == 401, (method, path, header)
            assert "Bearer" in answer.headers["www-authenticate"]


async def test_either_token_opens_as_bearer_and_as_password(place: Place) -> None:
    for n, header in enumerate((f"Bearer {TOKEN}", f"bearer {OLDER}", basic(TOKEN), basic(OLDER, ""))):
        for path in ("/metrics", "/openapi.json", "/docs"):
            assert (await place.nobody.get(path, headers={"Authorization": header})).status_code == 200
        body = notification(alert(f"A{n}"))
        assert (await place.nobody.post(AM, json=body, headers={"Authorization": header})).status_code == 202


async def test_without_tokens_only_this_machine_comes_in(tmp_path: Path) -> None:
    body = notification(alert())
    async with opened(door_settings(tmp_path, tokens=()), loopback=False) as place:
        assert "STANCH_WEBHOOK_TOKENS" in is_problem(await place.nobody.post(AM, json=body), 401)
        is_problem(await place.nobody.get("/metrics", headers={"Authorization": "Bearer "}), 401)
        assert (await place.nobody.get("/readyz")).status_code == 200
    async with opened(door_settings(tmp_path, tokens=()), loopback=True) as place:
        assert (await place.nobody.post(AM, json=body)).status_code == 202
        for path in ("/metrics", "/docs", "/openapi.json"):
            assert (await place.nobody.get(path)).status_code == 200


async def test_a_page_in_a_browser_is_not_this_machine(tmp_path: Path) -> None:
    """A name that is made to lead to 127.0.0.1, and a page that posts there."""
    async with opened(door_settings(tmp_path, tokens=()), loopback=True) as place:
        for headers in ({"Host": "evil.example"}, {"Host": "evil.example:9099"}, {"Origin": "https://evil.example"}):
            is_problem(await place.nobody.post(AM, json=notification(alert()), headers=headers), 403)
            is_problem(await place.nobody.get("/metrics", headers=headers), 403)
        for host in ("localhost", "localhost:9099", "127.0.0.1", "[::1]", "[::1]:9099"):
            assert (await place.nobody.get("/metrics", headers={"Host": host})).status_code == 200


async def test_routes_that_are_brought_along_look_after_themselves(tmp_path: Path) -> None:
    async def hears(request: Request) -> PlainTextResponse:
        return PlainTextResponse("heard")

    async with opened(door_settings(tmp_path), routes=[Route("/slack/events", hears, methods=["POST"])]) as place:
        assert (await place.nobody.post("/slack/events")).text == "heard"
        assert (await place.nobody.post("/slack/other")).status_code == 401
        assert (await place.nobody.post(AM)).status_code == 401


async def test_the_page_about_the_api_brings_everything_itself_and_runs_nothing(place: Place) -> None:
    shown = await place.http.get("/docs")
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    for path in (AM, GRAFANA, "/v1/events", "/metrics"):
        assert f" {path}</code>" in shown.text
    for word in ("<script", "http://", "https://", "<link", "<img", "<iframe", "@import", "url("):
        assert word not in shown.text, word
    style = shown.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = shown.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy


def test_a_text_of_the_document_is_no_markup_of_the_page() -> None:
    told = {"description": "<script>alert(1)</script>", "responses": {"200": {"description": "<b>"}}}
    html = page({"info": {"title": "<i>"}, "paths": {"/<x>": {"get": told}}})
    for raw in ("<script", "<b>", "<i>", "/<x>"):
        assert raw not in html


# -- metrics ----------------------------------------------------------------------------------------------------------


async def test_every_answer_is_counted_whoever_gave_it(place: Place) -> None:
    for body in (notification(alert()), notification(alert()), {}):
        await place.http.post(AM, json=body)
    await place.nobody.post(AM, json={})
    text = (await place.http.get("/metrics")).text
    for answer in ("202", "200", "400", "401"):
        assert f'stanch_notifications_total{{answer="{answer}",source="alertmanager"}} 1.0' in text
    for line in ("stanch_alerts_total 2.0", "stanch_duplicates_total 1.0", "stanch_inbox_waiting 1.0"):
        assert line in text
    assert "stanch_commit_seconds_count 2.0" in text
