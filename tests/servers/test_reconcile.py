"""Reconciling with a real Alertmanager: what began, ended or was silenced there while nobody listened here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.api import App
from agent.app import open_app
from agent.clock import MovedClock, iso
from agent.domain.alert import Alert, AlertStatus
from agent.service.reconcile import missed
from agent.settings import read
from agent.settings_file import BackendEntry
from agent.sources.alertmanager import delivered
from agent.surfaces.webhook import Readiness, build
from tests.conftest import need
from tests.servers.conftest import free
from tests.servers.machines import alertmanager_command, running, until

pytestmark = pytest.mark.server
ROUTES = """
route: {receiver: ops, group_wait: 1s, routes: [{matchers: ['team="others"'], receiver: others}]}
receivers: [{name: ops}, {name: others}]
"""
LATER = timedelta(minutes=10)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    program, port = need("prometheus-alertmanager", "prometheus-alertmanager"), free()
    (tmp_path / "alertmanager.yml").write_text(ROUTES)
    with running(
        alertmanager_command(program, tmp_path, port), tmp_path / "am.log", f"http://127.0.0.1:{port}/-/ready"
    ):
        yield f"http://127.0.0.1:{port}"


def post(url: str, what: str, body: Any) -> None:
    httpx.post(f"{url}/api/v2/{what}", json=body).raise_for_status()


def fire(url: str, began: datetime, **labels: str) -> None:
    """As Prometheus posts it; it holds for an hour."""
    post(
        url,
        "alerts",
        [{"labels": labels, "startsAt": iso(began), "endsAt": iso(datetime.now(UTC) + timedelta(hours=1))}],
    )
    until(lambda: any(one["labels"] == labels for one in listed(url)), f"{labels} is listed")


def listed(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/v2/alerts").json()
    return found


def as_delivered(url: str, name: str) -> list[Alert]:
    """What the webhook would have brought for it."""
    (one,) = [one for one in listed(url) if one["labels"]["alertname"] == name]
    alert = {k: one[k] for k in ("labels", "annotations", "startsAt", "fingerprint")} | {"status": "firing"}
    body = {"version": "4", "receiver": "ops", "groupKey": "{}", "alerts": [alert]}
    return list(delivered(json.dumps(body).encode(), datetime.now(UTC)).alerts)


@asynccontextmanager
async def asking(tmp_path: Path, *urls: str) -> AsyncIterator[tuple[App, MovedClock]]:
    """An application that knows these Alertmanagers, ten minutes after they were started."""
    settings = replace(read({"data": str(tmp_path / "data")}, cwd=tmp_path), runbooks=())
    entries = tuple(BackendEntry(name=f"am-{n}", url=url) for n, url in enumerate(urls))
    clock = MovedClock(datetime.now(UTC) + LATER)
    async with open_app(replace(settings, backends={"alertmanager": entries}), clock) as app:
        yield app, clock


async def names(app: App) -> list[tuple[str, AlertStatus]]:
    return sorted((one.name, one.status) for one in await missed(app.api.run_context))


async def test_what_fires_there_and_is_unknown_here_is_news_once(tmp_path: Path, alertmanager: str) -> None:
    fire(alertmanager, datetime.now(UTC), alertname="Missed", service="web")
    async with asking(tmp_path, alertmanager) as (app, _):
        (found,) = await missed(app.api.run_context)
        assert (found.name, found.status, found.extra["seen"]) == ("Missed", AlertStatus.FIRING, "reconciling")
        await app.api.receive([found])
        assert await missed(app.api.run_context) == []


async def test_what_is_open_here_and_no_longer_listed_is_resolved_by_now(tmp_path: Path, alertmanager: str) -> None:
    fire(alertmanager, datetime.now(UTC), alertname="Ended", service="web")
    async with asking(tmp_path, alertmanager) as (app, clock):
        (received,) = await app.api.receive(as_delivered(alertmanager, "Ended"))
        assert await missed(app.api.run_context) == []
        ends = {"labels": {"alertname": "Ended", "service": "web"}, "endsAt": iso(datetime.now(UTC))}
        post(alertmanager, "alerts", [ends])
        until(lambda: not listed(alertmanager), "it is no longer listed")
        (found,) = await missed(app.api.run_context)
        assert (found.status, found.ends_at) == (AlertStatus.RESOLVED, clock.now())
        assert found.fingerprint == received.alert.fingerprint
        await app.api.receive([found])
        assert await missed(app.api.run_context) == []


async def test_an_alertmanager_that_has_just_started_resolves_nothing(tmp_path: Path, alertmanager: str) -> None:
    fire(alertmanager, datetime.now(UTC), alertname="Open", service="web")
    alerts = as_delivered(alertmanager, "Open")
    async with asking(tmp_path, alertmanager) as (app, _):
        ended = [replace(alerts[0], fingerprint="0123456789abcdef", labels={"alertname": "Elsewhere"})]
        await app.api.receive(ended)
        early = replace(app.api.run_context, clock=MovedClock(datetime.now(UTC)))
        assert [one.status for one in await missed(early)] == [AlertStatus.FIRING]


async def test_one_that_does_not_answer_resolves_nothing_and_the_other_is_heard(
    tmp_path: Path, alertmanager: str
) -> None:
    fire(alertmanager, datetime.now(UTC), alertname="Missed", service="web")
    async with asking(tmp_path, alertmanager, f"http://127.0.0.1:{free()}") as (app, _):
        gone = replace(
            as_delivered(alertmanager, "Missed")[0], fingerprint="0123456789abcdef", labels={"alertname": "X"}
        )
        await app.api.receive([gone])
        assert await names(app) == [("Missed", AlertStatus.FIRING)]


async def test_silenced_alerts_are_no_news_and_have_not_ended(tmp_path: Path, alertmanager: str) -> None:
    fire(alertmanager, datetime.now(UTC), alertname="Quiet", service="web")
    silence = {
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False, "isEqual": True}],
        "startsAt": iso(datetime.now(UTC)),
        "endsAt": iso(datetime.now(UTC) + timedelta(hours=1)),
        "createdBy": "ops",
        "comment": "known",
    }
    post(alertmanager, "silences", silence)
    until(lambda: listed(alertmanager)[0]["status"]["state"] == "suppressed", "it is silenced")
    async with asking(tmp_path, alertmanager) as (app, _):
        assert await missed(app.api.run_context) == []
        await app.api.receive(as_delivered(alertmanager, "Quiet"))
        assert await missed(app.api.run_context) == []


async def test_alerts_of_other_receivers_are_no_news_and_what_calls_itself_ours_is(
    tmp_path: Path, alertmanager: str
) -> None:
    for labels in ({"alertname": "Known"}, {"alertname": "Theirs", "team": "others"}, {"alertname": "Ours"}):
        fire(alertmanager, datetime.now(UTC), **labels)
    fire(alertmanager, datetime.now(UTC), alertname="StanchNeedsPerson", source="stanch")
    async with asking(tmp_path, alertmanager) as (app, _):
        everything = await names(app)
        await app.api.receive(as_delivered(alertmanager, "Known"))
        assert [name for name, _ in everything] == ["Known", "Ours", "StanchNeedsPerson", "Theirs"]
        assert [name for name, _ in await names(app)] == ["Ours", "StanchNeedsPerson"]


async def test_what_was_refused_for_its_length_is_found_within_seconds(tmp_path: Path, alertmanager: str) -> None:
    settings = replace(read({"data": str(tmp_path / "data"), "reasoner": "runbook"}, cwd=tmp_path), runbooks=())
    serve = settings.serve.model_copy(update={"max_alerts": 3})
    backends = {"alertmanager": (BackendEntry(name="am", url=alertmanager),)}
    async with open_app(replace(settings, serve=serve, backends=backends)) as app:
        watching = asyncio.create_task(app.watch.run())
        await asyncio.sleep(
            0.5
        )  # its first look, at an Alertmanager with nothing in it; the next is due in five minutes
        for n in range(5):
            fire(alertmanager, datetime.now(UTC), alertname=f"Many{n}", severity="info")
        body = {
            "version": "4",
            "receiver": "ops",
            "alerts": [{**one, "status": "firing"} for one in listed(alertmanager)],
        }
        through = httpx.ASGITransport(app=build(app, Readiness(ready=True), loopback=True))
        async with httpx.AsyncClient(transport=through, base_url="http://127.0.0.1:9099") as http:
            assert (await http.post("/v1/webhooks/alertmanager", json=body)).status_code == 413
        try:
            async with asyncio.timeout(30):
                while len(await app.api.incidents()) < 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        finally:
            app.watch.stop()
            await watching
