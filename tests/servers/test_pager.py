"""Calling for a person through a real Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from agent.api import App
from agent.app import open_app
from agent.domain.alert import Alert, AlertStatus
from agent.domain.events import StateChanged
from agent.domain.incident import Incident, Kind, State
from agent.domain.urgency import Depth, Urgency
from agent.service.reconcile import missed
from agent.settings import read
from agent.settings_file import BackendEntry
from agent.sources.alertmanager import delivered
from agent.store import incidents, timeline, urgency
from tests.conftest import need
from tests.servers.conftest import free
from tests.servers.machines import alertmanager_command, running

pytestmark = pytest.mark.server
ROUTE = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
WAITED = timedelta(minutes=20)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    program, port = need("prometheus-alertmanager", "prometheus-alertmanager"), free()
    (tmp_path / "alertmanager.yml").write_text(ROUTE)
    with running(
        alertmanager_command(program, tmp_path, port), tmp_path / "am.log", f"http://127.0.0.1:{port}/-/ready"
    ):
        yield f"http://127.0.0.1:{port}"


async def waits_for_a_person(app: App) -> str:
    """An incident whose outcome nobody could tell, twenty minutes ago."""
    began = datetime.now(UTC) - WAITED
    one = Incident("inc-1", State.NEEDS_INPUT, Kind.INFRA, "p99 is high", began, "critical", ("f",), {"service": "web"})
    async with app.api.run_context.db.write() as tx:
        await incidents.add(tx, replace(one, opened_at=began))
        moved = StateChanged(from_=State.ACTING, to=State.NEEDS_INPUT, why="UNKNOWN")
        await timeline.append(tx, one.id, moved, "stanch", began)
        await urgency.put(tx, Urgency(one.id, Depth.INVESTIGATE, "#ops"))
    return one.id


def ours(url: str) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = httpx.get(f"{url}/api/v2/alerts").json()
    return [one for one in found if one["labels"].get("source") == "stanch"]


async def test_what_nobody_looks_at_fires_until_somebody_does(tmp_path: Path, alertmanager: str) -> None:
    settings = read({"data": str(tmp_path / "data")}, cwd=tmp_path)
    entry = BackendEntry(name="am", url=alertmanager)
    async with open_app(replace(settings, backends={"alertmanager": (entry,)})) as app:
        incident = await waits_for_a_person(app)
        await app.escalation.look()
        (called,) = ours(alertmanager)
        assert (
            called["labels"] | {"alertname": "StanchNeedsPerson", "incident": incident, "service": "web"}
            == called["labels"]
        )
        assert "p99 is high" in called["annotations"]["summary"]
        assert (await app.outbox("slack").attention(incident) or Urgency("", Depth.IGNORE)).called_at is not None
        back = _as_listed(app, alertmanager)
        assert [app.inbox.raised_here(one) for one in back] == [True]
        assert not app.inbox.raised_here(replace(back[0], labels={**back[0].labels, "incident": "inc-2"}))
        assert await missed(app.api.run_context) == [], "what comes back is no news"
        await app.outbox("slack").seen(incident)
        await app.escalation.look()
        assert ours(alertmanager) == []


def _as_listed(app: App, alertmanager: str) -> list[Alert]:
    return list(delivered(httpx.get(f"{alertmanager}/api/v2/alerts").content, app.clock.now()).alerts)


async def test_nobody_is_called_about_a_call(tmp_path: Path, alertmanager: str) -> None:
    """Another Stanch's call is an incident here; two that called about each other's calls would never end."""
    settings = read({"data": str(tmp_path / "data")}, cwd=tmp_path)
    entry = BackendEntry(name="am", url=alertmanager)
    async with open_app(replace(settings, backends={"alertmanager": (entry,)})) as app:
        theirs = Alert(
            "alertmanager",
            "f9",
            AlertStatus.FIRING,
            {"alertname": "StanchNeedsPerson", "source": "stanch", "incident": "inc-9"},
            {"summary": "theirs", "stanch_seal": "0" * 64},
            datetime.now(UTC) - WAITED,
        )
        (received,) = await app.api.receive([theirs])
        async with app.api.run_context.db.write() as tx:
            found = await incidents.get(tx, str(received.incident))
            assert found is not None
            investigating = found.to(State.INVESTIGATING)
            await incidents.save(tx, investigating.to(State.NEEDS_INPUT))
        await app.escalation.look()
        assert ours(alertmanager) == []
