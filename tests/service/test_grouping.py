"""Grouping over the store: what a person has goes on while it fires, and nobody needs a thread to be looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.api import App
from agent.app import open_app
from agent.clock import MovedClock
from agent.domain.alert import Alert
from agent.domain.incident import State
from agent.domain.urgency import Depth
from agent.service.grouping import Grouping, Received
from agent.service.routing import Routes
from agent.settings import read
from agent.sources.alertmanager import parse
from agent.store import incidents

NOW = datetime(2026, 11, 30, 14, 20, tzinfo=UTC)
CASES = Path(__file__).with_name("grouping")


def of_case(name: str, change: tuple[str, str] = ("", "")) -> list[Alert]:
    return parse((CASES / name).read_text().replace(*change) if change[0] else (CASES / name).read_text(), NOW)


async def take(app: App, alerts: list[Alert], grouping: Grouping | None = None) -> list[Received]:
    async with app.api.run_context.db.write() as tx:
        return await (grouping or Grouping(app.api.run_context, Routes.of([], ""))).take(tx, alerts)


async def handed_over(app: App, incident: str, ago: timedelta = timedelta(minutes=5)) -> None:
    """As if a person had it."""
    async with app.api.run_context.db.write() as tx:
        (one,) = (await incidents.held(tx, [incident])).values()
        going = one.to(State.INVESTIGATING)
        ended = going.to(State.HANDED_OVER)
        await incidents.save(tx, replace(ended, ended_at=NOW - ago))


async def test_a_later_alert_joins_what_was_handed_over_while_the_first_still_fires(tmp_path: Path) -> None:
    async with open_app(read({"data": str(tmp_path), "reasoner": "runbook"}, cwd=tmp_path), MovedClock(NOW)) as app:
        (first,) = await take(app, of_case("second-alert-later/first.json"))
        assert first.incident is not None
        await handed_over(app, first.incident)
        again, second = await take(app, of_case("second-alert-later/both.json"))
        assert again.duplicate
        assert second.incident == first.incident
        assert second.why.startswith("both are about demand-forecast")
        (one,) = await app.api.incidents()
        assert (one.state, len(one.alerts)) == (State.HANDED_OVER, 2)


async def test_at_a_terminal_an_alert_is_looked_at_though_a_person_has_an_earlier_one(tmp_path: Path) -> None:
    async with open_app(read({"data": str(tmp_path), "reasoner": "runbook"}, cwd=tmp_path), MovedClock(NOW)) as app:
        (first,) = await take(app, of_case("second-alert-later/first.json"))
        assert first.incident is not None
        await handed_over(app, first.incident)
        (second,) = await app.api.receive(of_case("second-alert-later/both.json")[1:])
        assert second.incident != first.incident


async def test_a_later_alert_opens_an_incident_of_its_own_once_the_first_has_cleared(tmp_path: Path) -> None:
    async with open_app(read({"data": str(tmp_path), "reasoner": "runbook"}, cwd=tmp_path), MovedClock(NOW)) as app:
        (first,) = await take(app, of_case("second-alert-later/first.json"))
        assert first.incident is not None
        await handed_over(app, first.incident, timedelta(hours=2))
        await take(
            app,
            of_case(
                "second-alert-later/first.json",
                ('"status": "firing",\n   "labels"', '"status": "resolved",\n   "labels"'),
            ),
        )
        found = await take(app, of_case("second-alert-later/both.json")[1:])
        assert [one.incident == first.incident for one in found] == [False]


async def test_seven_unrelated_alerts_are_all_investigated_where_no_thread_is_opened_for_them(tmp_path: Path) -> None:
    async with open_app(read({"data": str(tmp_path), "reasoner": "runbook"}, cwd=tmp_path), MovedClock(NOW)) as app:
        grouping = Grouping(app.api.run_context, Routes.of([], ""), most_threads=3)
        found = await take(app, of_case("seven-at-once.json"), grouping)
        assert len({one.incident for one in found}) == 7
        depths = [urgency.depth for urgency in grouping.routed.values() if urgency is not None]
        assert depths == [Depth.INVESTIGATE] * 7


async def test_a_channel_gets_no_more_threads_than_it_bears(tmp_path: Path) -> None:
    async with open_app(read({"data": str(tmp_path), "reasoner": "runbook"}, cwd=tmp_path), MovedClock(NOW)) as app:
        grouping = Grouping(app.api.run_context, Routes.of([], "C1"), most_threads=3)
        await take(app, of_case("seven-at-once.json"), grouping)
        depths = [urgency.depth for urgency in grouping.routed.values() if urgency is not None]
        assert sorted(map(str, depths)) == ["digest"] * 4 + ["investigate"] * 3
