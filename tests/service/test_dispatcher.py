"""The watch over the lab: from a notification on disk to an incident that ends, with nobody at a terminal."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agent.api import App
from agent.app import open_app
from agent.domain.alert import Alert, AlertStatus
from agent.domain.cause import Cause, Fault
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.timeline import EventKind
from agent.domain.urgency import Depth, Urgency
from agent.reasoner.protocol import Conclude, Reasoner
from agent.service.dispatcher import Dispatcher
from agent.service.routing import Routes
from agent.store import wakes
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tests.graph.test_graph import END, LOOK, MENDED, Scripted, me, scale

SECONDS = 60.0
DAY = timedelta(days=1)


@asynccontextmanager
async def shop(
    tmp_path: Path, reasoner: Reasoner | None = None, scenario: str = "forecast-contention"
) -> AsyncIterator[tuple[App, list[Alert]]]:
    session = Session(functools.partial(open_app, reasoner=reasoner), {"data": str(tmp_path), "reasoner": "runbook"})
    async with demo_env.begun(session, [], scenario, 1) as (app, alerts, _):
        yield without_chores(app), alerts


def without_chores(app: App) -> App:
    """Reconciling would bring in the lab's other alerts whenever it comes to it; it has tests of its own."""

    async def nobody(*incidents: str, told: object = ()) -> None:
        return

    api, settings = app.api, app.settings
    routes = Routes.of(settings.routes, settings.slack.channel)
    return replace(app, watch=Dispatcher(api.run_context, api.worker, app.inbox, routes, settings.serve, nobody))


@asynccontextmanager
async def watching(app: App) -> AsyncIterator[None]:
    """The watch, until the block ends; then it has stopped by itself."""
    task = asyncio.create_task(app.watch.run())
    try:
        yield
    finally:
        app.watch.stop()
        await asyncio.wait_for(task, 25)


async def until(app: App, incident: str, holds: Callable[[IncidentView], bool]) -> IncidentView:
    """Wait for the incident, and let the lab's time pass where only a clock is awaited."""
    async with asyncio.timeout(SECONDS):
        while not holds(incident_view := await app.api.incident_view(incident)):
            async with app.api.run_context.db.read() as tx:
                checks = [w.due for w in await wakes.due(tx, app.clock.now() + DAY) if w.reason.startswith("verify")]
            if checks:
                await app.clock.sleep(max((checks[0] - app.clock.now()).total_seconds(), 0.0))
            await asyncio.sleep(0.05)
    return incident_view


def in_state(*states: State) -> Callable[[IncidentView], bool]:
    return lambda incident_view: incident_view.incident.state in states


async def incident_of(app: App) -> str:
    for _ in range(round(SECONDS / 0.05)):
        if found := await app.api.incidents():
            return found[0].id
        await asyncio.sleep(0.05)
    raise AssertionError("the notification became no incident")


async def test_a_notification_becomes_a_proposal_and_after_approval_an_ended_incident(tmp_path: Path) -> None:
    async with shop(tmp_path) as (app, alerts), watching(app):
        receipt = await app.inbox.accept("alertmanager", alerts)
        assert (receipt.alerts, receipt.duplicate) == (len(alerts), False)
        incident = await incident_of(app)
        await until(app, incident, in_state(State.AWAITING_APPROVAL))
        (proposal,) = await app.api.proposals()
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        incident_view = await until(app, incident, lambda d: d.incident.state.ended and d.report is not None)
        assert incident_view.incident.state is State.RECOVERED
        assert [e.data["outcome"] for e in incident_view.outcomes.values()] == ["DONE"]
        assert await app.api.audit() == []


async def test_the_same_notification_again_changes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, Scripted([END])) as (app, alerts), watching(app):
        await app.inbox.accept("alertmanager", alerts)
        incident = await incident_of(app)
        await until(app, incident, lambda d: d.report is not None)
        before = await app.api.events(incident)
        again = await app.inbox.accept("alertmanager", alerts)
        assert again.duplicate
        assert await app.inbox.waiting() == 0
        assert await app.api.events(incident) == before
        assert app.inbox.absorbed == len(alerts)


async def test_a_warning_is_kept_and_not_investigated_and_ends_with_its_alert(tmp_path: Path) -> None:
    async with shop(tmp_path, Scripted([END])) as (app, alerts), watching(app):
        mild = replace(alerts[0], labels={**alerts[0].labels, "severity": "warning"})
        await app.inbox.accept("alertmanager", [mild])
        incident = await incident_of(app)
        assert (await app.outbox("slack").attention(incident) or Urgency("", Depth.IGNORE)).depth is Depth.DIGEST
        over = replace(mild, status=AlertStatus.RESOLVED, ends_at=app.clock.now())
        await app.inbox.accept("alertmanager", [over])
        incident_view = await until(app, incident, in_state(State.CLOSED))
        assert not incident_view.evidence


async def test_an_alert_that_comes_back_after_it_was_handed_over_is_no_new_incident(tmp_path: Path) -> None:
    async with shop(tmp_path, Scripted([END])) as (app, alerts), watching(app):
        await app.inbox.accept("alertmanager", alerts[:1])
        incident = await incident_of(app)
        await until(app, incident, lambda d: d.report is not None)
        back = replace(alerts[0], starts_at=app.clock.now() + timedelta(minutes=5))
        await app.inbox.accept("alertmanager", [back])
        incident_view = await until(app, incident, lambda d: back.starts_at in [a.starts_at for a in d.alerts])
        assert [one.id for one in await app.api.incidents()] == [incident]
        why = [str(e.data["why"]) for e in incident_view.events if e.kind is EventKind.ALERT]
        assert any("again" in one for one in why)


async def test_a_related_alert_opens_again_what_was_inconclusive_a_moment_ago(tmp_path: Path) -> None:
    reasoner = Scripted([Conclude((), Cause("", Fault.UNKNOWN)), LOOK, END])
    async with shop(tmp_path, reasoner) as (app, alerts), watching(app):
        await app.inbox.accept("alertmanager", alerts[:1])
        incident = await incident_of(app)
        await until(app, incident, lambda d: d.report is not None)
        assert len(reasoner.views) == 1
        late = replace(alerts[0], fingerprint="f" * 16, labels={**alerts[0].labels, "alertname": "CPUThrottlingHigh"})
        await app.inbox.accept("alertmanager", [late])
        incident_view = await until(app, incident, lambda d: len(d.evidence) == 1 and d.incident.state.ended)
        assert [one.id for one in await app.api.incidents()] == [incident]
        assert len(reasoner.views) == 3
        assert {a.name for a in reasoner.views[1].alerts} == {alerts[0].name, "CPUThrottlingHigh"}
        changes = [(e.data["from"], e.data["to"]) for e in incident_view.events if e.kind is EventKind.STATE]
        assert changes.count(("inconclusive", "investigating")) == 1
        app.clock.advance(timedelta(minutes=11))
        over = [replace(a, status=AlertStatus.RESOLVED, ends_at=app.clock.now()) for a in (alerts[0], late)]
        await app.inbox.accept("alertmanager", over)
        later = replace(late, fingerprint="e" * 16)
        await app.inbox.accept("alertmanager", [later])
        async with asyncio.timeout(SECONDS):
            while len(await app.api.incidents()) == 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_what_cannot_be_taken_in_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with shop(tmp_path, Scripted([END])) as (app, alerts):
        broken = replace(alerts[0], fingerprint="other", labels={"alertname": "x"}, extra={"a": float("nan")})
        await app.inbox.accept("alertmanager", [broken])
        await app.inbox.accept("alertmanager", alerts[:1])
        await app.watch.take_in()
        assert await app.inbox.waiting() == 0
        assert [one.alerts for one in await app.api.incidents()] in (
            [(alerts[0].fingerprint,)],
            [(alerts[0].fingerprint,), ("other",)],
        )


async def test_a_watch_that_stopped_goes_on_where_it_rested(tmp_path: Path) -> None:
    async with shop(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, alerts):
        async with watching(app):
            await app.inbox.accept("alertmanager", alerts[:1])
            incident = await incident_of(app)
        assert (await app.api.incident_view(incident)).incident.state in (
            State.NEW,
            State.INVESTIGATING,
            State.AWAITING_APPROVAL,
        )
    session = Session(functools.partial(open_app, reasoner=Scripted([LOOK, scale(), MENDED])), {"data": str(tmp_path)})
    async with demo_env.staged(session) as staged, watching(app := without_chores(staged)):
        await until(app, incident, in_state(State.AWAITING_APPROVAL))
        assert len(await app.api.proposals()) == 1


async def test_a_run_that_keeps_failing_is_handed_to_a_person(tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        async def next_move(self, view: object) -> object:
            raise ZeroDivisionError("a defect of ours")

    async with shop(tmp_path, Broken()) as (app, alerts), watching(app):  # type: ignore[arg-type]
        await app.inbox.accept("alertmanager", alerts[:1])
        incident = await incident_of(app)
        async with asyncio.timeout(SECONDS):
            while not (incident_view := await app.api.incident_view(incident)).incident.state.ended:
                await app.clock.sleep(5)
                await asyncio.sleep(0.1)
        assert incident_view.incident.state is State.HANDED_OVER
        assert "ZeroDivisionError" in incident_view.hand_over
