"""What the webhook answers: to what Alertmanager really sends, to what is odd, and to what cannot be read."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from agent.application import App
from agent.clock import RealClock
from agent.intake.inbox import Inbox
from agent.settings import ServeSection
from agent.store import inbox
from agent.surfaces.webhook.readiness import Readiness
from agent.surfaces.webhook.service import build
from tests.webhook_house import HERE, TOKEN, Web, house, webhook

ALERTMANAGER, GRAFANA, EVENTS = "/v1/webhooks/alertmanager", "/v1/webhooks/grafana", "/v1/events"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "alertmanager"
RECORDED = sorted(FIXTURES.glob("0.*/*.json"))
INDEX = list(csv.DictReader((FIXTURES / "index.tsv").open(), delimiter="\t"))
RETRIES = list(csv.DictReader((FIXTURES / "retries.tsv").open(), delimiter="\t"))


@pytest_asyncio.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with webhook(house(tmp_path)) as found:
        yield found


def alert(name: str = "HttpErrorRateHigh", **changed: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": name}, "startsAt": "2026-11-24T03:00:00Z", **changed}


def body(*alerts: Any, **changed: Any) -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}:{}", "alerts": list(alerts), **changed}).encode()


async def waiting(web: Web) -> list[inbox.Entry]:
    async with web.app.desk.notebook.db.read() as tx:
        return await inbox.fresh(tx, 1_000)


async def aside(web: Web) -> list[str]:
    """Why each notification in quarantine is there."""
    async with web.app.desk.notebook.db.read() as tx:
        return [why for _, _, _, why in await inbox.quarantined(tx, 100)]


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of a problem+json with this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert set(said) == {"type", "title", "status", "detail"}
    assert said["status"] == status
    return str(said["detail"])


# -- what Alertmanager sends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}-{p.stem}")
async def test_each_recorded_body_is_kept_once(path: Path, web: Web) -> None:
    count = len(json.loads(path.read_text())["alerts"])
    first, second = [await web.post(ALERTMANAGER, path.read_bytes()) for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == {"receipt": first.json()["receipt"], "alerts": count, "duplicate": False}
    assert second.json() == {"receipt": second.json()["receipt"], "alerts": count, "duplicate": True}
    (entry,) = await waiting(web)
    assert (entry.receipt, entry.source, len(entry.alerts)) == (first.json()["receipt"], "alertmanager", count)
    assert await aside(web) == []


@pytest.mark.parametrize("version", ["0.25", "0.33"])
async def test_a_recorded_sequence_leaves_each_signal_once(version: str, web: Web) -> None:
    """In the order of delivery: 202 exactly where something is in it that was not delivered before."""
    known: set[str] = set()
    for row in (r for r in INDEX if r["version"] == version):
        sent = json.loads((FIXTURES / version / f"{row['file']}.json").read_text())
        keys = {f"{a['fingerprint']} {a['startsAt']} {a['status']}" for a in sent["alerts"]}
        answer = await web.post(ALERTMANAGER, json.dumps(sent).encode())
        assert answer.status_code == (200 if keys <= known else 202), row["file"]
        known |= keys
    kept = [one.key for entry in await waiting(web) for one in entry.alerts]
    assert len(kept) == len(set(kept)) == len(known)


def test_only_what_alertmanager_delivers_again_in_the_same_flush_asks_it_to_come_back() -> None:
    """5xx is tried again within the flush; 429 and 4xx are not. So nothing here may answer 429."""
    flushes = {row["receiver answers"]: row["meaning"] for row in RETRIES}
    assert flushes["500"] == "as above; 6 attempts a flush"
    assert all(
        "no retry in the flush" in row["meaning"]
        for row in RETRIES
        if row["receiver answers"].startswith("429") and row["alertmanager"] == "0.25.0"
    )


async def test_a_delivery_after_a_503_and_after_an_answer_that_was_lost_is_kept_once(web: Web) -> None:
    """As retries.tsv has it: the same body again and again, until somebody says 2xx; then once more, stale."""
    sent = (FIXTURES / "0.25" / "answered-500-attempt-1.json").read_bytes()
    web.ready.drain()
    refused = [await web.post(ALERTMANAGER, sent) for _ in range(6)]
    assert {one.status_code for one in refused} == {503}
    web.ready.open()
    assert [(await web.post(ALERTMANAGER, sent)).status_code for _ in range(3)] == [202, 200, 200]
    stale = (FIXTURES / "0.25" / "answered-500-stale-firing-after-resolve.json").read_bytes()
    assert (await web.post(ALERTMANAGER, stale)).status_code in (200, 202)
    signals = [one.key for entry in await waiting(web) for one in entry.alerts]
    assert len(signals) == len(set(signals))


async def test_deliveries_at_the_same_time_are_one(web: Web) -> None:
    sent = (FIXTURES / "0.33" / "slow-receiver-delivery-1.json").read_bytes()
    answers = await asyncio.gather(*(web.post(ALERTMANAGER, sent) for _ in range(20)))
    assert sorted(one.status_code for one in answers) == [200] * 19 + [202]
    assert len(await waiting(web)) == 1


async def test_only_what_is_new_of_a_notification_is_handed_on(web: Web) -> None:
    await web.post(ALERTMANAGER, body(alert("A")))
    answer = await web.post(ALERTMANAGER, body(alert("A"), alert("B")))
    assert (answer.status_code, answer.json()["alerts"]) == (202, 2)
    assert [[one.name for one in entry.alerts] for entry in await waiting(web)] == [["A"], ["B"]]


# -- what is odd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "names", "why"),
    [
        (body(alert("A"), {"startsAt": "2026-11-24T03:00:00Z"}), ["A"], "no labels"),
        (body(alert("A"), version="5"), ["A"], "version '5'"),
        (body(alert("A"), alert("B", startsAt="yesterday")), ["A"], "startsAt"),
        (body(alert("A"), alert("B", startsAt="0001-01-01T00:00:00+05:00")), ["A"], "years 1 to 9999"),
        (body(alert("A"), 7, None, "x", []), ["A"], "valid dictionary"),
        (body(alert("A"), groupKey=7), ["A"], "groupKey"),
    ],
)
async def test_what_is_odd_is_set_aside_and_the_rest_is_worked(
    sent: bytes, names: list[str], why: str, web: Web
) -> None:
    first = await web.post(ALERTMANAGER, sent)
    assert first.status_code == 202
    assert why in first.json()["quarantined"]
    assert [one.name for entry in await waiting(web) for one in entry.alerts] == names
    (said,) = await aside(web)
    assert why in said
    again = await web.post(ALERTMANAGER, sent)
    assert (again.status_code, len(await aside(web))) == (200, 1)


async def test_numbers_without_end_and_deep_nests_are_cut_and_the_alert_is_worked(web: Web) -> None:
    nest = "[" * 300 + "]" * 300
    sent = body(alert("A", huge="HUGE", deep="DEEP")).replace(b'"HUGE"', b"1e999").replace(b'"DEEP"', nest.encode())
    assert (await web.post(ALERTMANAGER, sent)).status_code == 202
    (entry,) = await waiting(web)
    (received,) = await web.app.desk.receive(entry.alerts)
    assert received.incident is not None


async def test_alerts_about_ourselves_are_passed_over_and_counted(web: Web) -> None:
    ours = [
        alert("StanchNeedsPerson"),
        alert("StanchDown"),
        alert("Else", labels={"alertname": "Else", "source": "stanch"}),
    ]
    only = await web.post(ALERTMANAGER, body(*ours))
    assert (only.status_code, only.json()) == (202, {"receipt": "", "alerts": 0, "duplicate": False})
    mixed = await web.post(ALERTMANAGER, body(*ours, alert("Stanchion")))
    assert mixed.json()["alerts"] == 1
    assert [one.name for entry in await waiting(web) for one in entry.alerts] == ["Stanchion"]
    assert "stanch_own_alerts_ignored_total 6.0" in (await web.client.get("/metrics")).text


# -- what cannot be read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sent", "says"),
    [
        (ALERTMANAGER, b"", "empty"),
        (ALERTMANAGER, b"not json", "starts with 'not json'"),
        (ALERTMANAGER, b"\xff\xfe", "not JSON"),
        (ALERTMANAGER, b"[" * 100_000, "not JSON"),
        (ALERTMANAGER, b"1" * 5_000, "not JSON"),
        (ALERTMANAGER, b"{}", "no `alerts`"),
        (ALERTMANAGER, b'{"alerts": []}', "at least one alert"),
        (ALERTMANAGER, b'{"alerts": 7}', "alerts"),
        (ALERTMANAGER, body({"labels": {}}), "startsAt"),
        (ALERTMANAGER, b"null", "cannot be read"),
        (GRAFANA, b'{"ruleName": "x", "evalMatches": []}', "legacy alerting"),
        (EVENTS, b'{"specversion": "1.0", "id": "1", "source": "/ci"}', "no `type`"),
        (EVENTS, b"[]", "at least one CloudEvent"),
        (EVENTS, b"7", "JSON object"),
    ],
)
async def test_what_cannot_be_read_is_told_what_to_mend(path: str, sent: bytes, says: str, web: Web) -> None:
    assert says in problem(await web.post(path, sent), 400)
    assert await waiting(web) == []


async def test_other_content_is_refused_by_its_type(web: Web) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "image/svg+xml",
        "",
    ):
        answer = await web.client.post(ALERTMANAGER, content=body(alert()), headers={"content-type": kind})
        assert "application/json" in problem(answer, 415)
    assert "uncompressed" in problem(await web.post(ALERTMANAGER, b"\x1f\x8b", content_encoding="gzip"), 415)
    assert (
        await web.post(ALERTMANAGER, body(alert()), content_type="application/json; charset=utf-8")
    ).status_code == 202


async def test_a_large_body_is_refused_by_its_length_and_while_it_comes(web: Web) -> None:
    most = 1024 * 1024
    read = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += most // 4
            yield b" " * (most // 4)

    assert "max_body_mb" in problem(await web.post(ALERTMANAGER, b" " * (most + 1)), 413)
    headers = {"content-type": "application/json"}
    problem(await web.client.post(ALERTMANAGER, content=parts(), headers=headers), 413)
    assert read <= 2 * most, "it was read on although it was too large"
    exactly = body(alert("A", padding="x" * 100))
    exactly = exactly.replace(b"x" * 100, b"x" * (100 + most - len(exactly)))
    assert len(exactly) == most
    assert (await web.post(ALERTMANAGER, exactly)).status_code == 202


async def test_no_such_path_and_no_such_method_are_problems_too(web: Web) -> None:
    assert ALERTMANAGER in problem(await web.client.get("/v2/alerts"), 404)
    answer = await web.client.get(ALERTMANAGER)
    assert "does not take GET" in problem(answer, 405)
    assert answer.headers["allow"] == "POST"


# -- not now --------------------------------------------------------------------------------------------------------------


async def test_while_it_drains_everything_is_sent_away_and_told_when_to_come_back(web: Web) -> None:
    web.ready.drain()
    answer = await web.post(ALERTMANAGER, body(alert()))
    assert "stopping" in problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    problem(await web.client.get("/readyz"), 503)
    assert (await web.client.get("/healthz")).status_code == 200
    web.ready.open()
    assert (await web.client.get("/readyz")).status_code == 200
    assert (await web.post(ALERTMANAGER, body(alert()))).status_code == 202


@asynccontextmanager
async def served(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """Another service over the application, and a client that has its token."""
    service = build(app, loopback=False, ready=Readiness(""))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url=HERE, headers=headers) as client:
        yield client


async def test_too_much_at_once_is_sent_away_and_what_was_accepted_is_kept(web: Web) -> None:
    small = Inbox(web.app.desk.notebook.db, RealClock(), capacity=10)
    async with served(replace(web.app, inbox=small)) as client:
        sent = [client.post(ALERTMANAGER, content=body(alert(f"A{n}"))) for n in range(40)]
        answers = await asyncio.gather(*sent)
    accepted = [f"A{n}" for n, answer in enumerate(answers) if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(accepted) >= 10
    assert refused
    assert all("wait to be written" in problem(one, 503) and "retry-after" in one.headers for one in refused)
    assert sorted(one.name for entry in await waiting(web) for one in entry.alerts) == sorted(accepted)


class Away:
    """A database that is gone: every transaction fails as the driver's does."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> Any:
            raise self._error

        return fail


async def test_without_its_database_it_says_so_and_asks_to_come_back(web: Web) -> None:
    gone: Any = Away(OperationalError("INSERT", {}, OSError("disk I/O error")))
    async with served(replace(web.app, inbox=Inbox(gone, RealClock()))) as client:
        answer = await client.post(ALERTMANAGER, content=body(alert()))
        assert "disk I/O error" in problem(answer, 503)
        assert "retry-after" in answer.headers
        assert "database" in problem(await client.get("/readyz"), 503)
        assert "stanch_inbox_waiting NaN" in (await client.get("/metrics")).text


# -- anything at all ------------------------------------------------------------------------------------------------------

WORDS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("2026-11-24T03:00:00Z"))
ANYTHING = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/ci",
    "type": "deployed",
    "time": "2026-11-24T03:00:00Z",
    "data": {},
}


def bent(whole: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Such an object with up to two of its values, or some besides, replaced by anything."""
    names = st.one_of(st.sampled_from([*whole, *optional]), st.text(max_size=5))
    broken = st.dictionaries(names, ANYTHING, max_size=2)
    return st.builds(
        lambda some, other: {**whole, **some, **other}, st.fixed_dictionaries({}, optional=optional), broken
    )


LABELS = st.dictionaries(st.text(), st.text(), min_size=1, max_size=3)
ALERT = bent(
    alert(),
    labels=LABELS,
    annotations=LABELS,
    fingerprint=st.text(),
    endsAt=WORDS,
    generatorURL=st.text(),
    extra=ANYTHING,
)
NOTIFICATION = st.lists(ALERT, min_size=1, max_size=2).flatmap(
    lambda some: bent({"version": "4", "groupKey": "{}", "alerts": some})
)
CLOUD_EVENT = bent(
    EVENT, data=st.dictionaries(st.sampled_from(["service", "version", "by", "alert"]), st.one_of(ANYTHING, ALERT))
)
POSTED = st.one_of(
    st.tuples(st.sampled_from([ALERTMANAGER, GRAFANA]), NOTIFICATION),
    st.tuples(st.just(EVENTS), CLOUD_EVENT),
    st.tuples(st.sampled_from([ALERTMANAGER, GRAFANA, EVENTS]), ANYTHING),
)  # fmt: skip


def written(value: Any) -> bytes:
    """As JSON that may hold NaN, and text that no database keeps."""
    return json.dumps(value, default=str).encode("utf-8", "surrogatepass")


def test_no_content_is_a_500_and_what_is_accepted_can_be_worked(tmp_path: Path) -> None:
    bodies: list[tuple[str, bytes]] = []

    @settings(max_examples=400, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(POSTED)
    def some(one: tuple[str, Any]) -> None:
        bodies.append((one[0], written(one[1])))

    some()
    answers = asyncio.run(posted(tmp_path, bodies))
    assert set(answers) <= {200, 202, 400}
    assert answers.count(202) > 100
    assert answers.count(400) > 50


async def posted(folder: Path, bodies: list[tuple[str, bytes]]) -> list[int]:
    async with webhook(replace(house(folder), serve=ServeSection(max_body_mb=8))) as web:
        answers = [(await web.post(path, sent)).status_code for path, sent in bodies]
        while await web.app.watch.take_in():
            pass
        async with web.app.desk.notebook.db.read() as tx:
            set_aside = [why for _, _, _, why in await inbox.quarantined(tx, 1_000)]
        assert [why for why in set_aside if why.split(":")[0].endswith("Error")] == []
        return answers
