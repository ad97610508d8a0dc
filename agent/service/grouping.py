"""Grouping: alerts become incidents. Which one, why, and how urgent it is, in one transaction."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.domain.alert import Alert, AlertStatus
from agent.domain.events import AlertJoined, StateChanged
from agent.domain.incident import Incident, State
from agent.domain.redact import Redactor
from agent.domain.text import visible
from agent.domain.timeline import Event
from agent.domain.urgency import Urgency
from agent.graph.run_context import RunContext
from agent.service.correlate import Assignment, Board, joined
from agent.service.intake_batch import IntakeBatch
from agent.service.routing import Routes, deeper, in_a_storm
from agent.sources.portions import portions
from agent.store import alerts, incidents
from agent.store.database import Transaction

EVERY_S = 2.0  # between two looks at all the open incidents
LOOKED_AT = 200  # incidents of one look at their alerts
LONG = 4_000  # characters of one label or annotation that the timeline keeps; the alert's row keeps all
MOST_OPEN, MOST_LATE, MOST_HANDED = 5_000, 20, 200
AGAIN = timedelta(hours=1)  # an alert that comes back so soon after a person got it is no new incident
LATE = timedelta(minutes=10)  # so long after an inconclusive end a related alert opens the incident again
HELD = timedelta(days=1)  # what a person has gathers alerts of the same trouble no longer: an end may have been missed
WITH_A_PERSON = frozenset({State.HANDED_OVER, State.INCONCLUSIVE, State.NO_FAULT})
UNSOLVED = frozenset({State.HANDED_OVER, State.INCONCLUSIVE})  # the trouble goes on while an alert of it fires


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one alert. `incident` is None when it was resolved before anybody heard of it."""

    alert: Alert
    incident: str | None
    why: str
    duplicate: bool = False


class Grouping:
    """`routes` None: whoever hands the alerts in looks after them (a terminal); nothing is posted."""

    def __init__(self, run_context: RunContext, routes: Routes | None = None, most_threads: int = 3) -> None:
        self._run_context = run_context
        self._routes = routes
        self._most_threads = most_threads
        self._board = Board(run_context.catalog())
        self._seen: int | None = None  # the last alert's row that the board knows of
        self._looked = -math.inf
        self.told: Sequence[Event] = ()  # what the last batch added to timelines
        self.routed: Mapping[str, Urgency | None] = {}  # what it knew of the attention that its incidents get

    async def take(self, tx: Transaction, arrived: Sequence[Alert]) -> list[Received]:
        """Each alert with its incident, in the order of their starts. A transaction that fails needs a new Grouping."""
        if self._seen is None:
            await self._look(lambda: nullcontext(tx))
        for incident, alert in await alerts.since(tx, self._seen or 0):  # what other processes took in
            self._board.add(incident, [alert])
        arrived = [redacted(alert, tx.redact) for alert in sorted(arrived, key=lambda a: a.starts_at)]
        batch = await IntakeBatch.open(tx, self._run_context.clock.now(), arrived)
        await batch.fetch(set(self._likely(batch, arrived)))
        received = [await self._one(batch, alert) for alert in arrived]
        self.told, self.routed = await batch.close(), batch.routed
        self._seen = await alerts.last(tx)
        return received

    async def look(self) -> None:
        """Know the open incidents as the store has them, read by portions. Not more than every few seconds: what is
        opened meanwhile is noticed all the same, and what has ended is seen when an alert seems to belong to it."""
        if time.monotonic() - self._looked >= EVERY_S or self._board.catalog is not self._run_context.catalog():
            await self._look(self._run_context.db.read)
            self._looked = time.monotonic()

    async def _look(self, reading: Callable[[], AbstractAsyncContextManager[Transaction]]) -> None:
        """The board as the store has it: other processes open incidents and end them too."""
        if self._board.catalog is not self._run_context.catalog():
            self._board = Board(self._run_context.catalog())
        now = self._run_context.clock.now()
        async with reading() as tx:
            seen = await alerts.last(tx)
            found = await incidents.open_ids(tx, MOST_OPEN)
            late = await incidents.listing(tx, MOST_LATE, {State.INCONCLUSIVE})
            unsolved = await incidents.listing(tx, MOST_HANDED, UNSOLVED)
        found = list(dict.fromkeys([*found, *(one.id for one in late if _lately(one, now)), *(o.id for o in unsolved)]))
        self._board.keep(found)
        for some in portions([one for one in found if one not in self._board], LOOKED_AT):
            async with reading() as tx:
                brought = await alerts.of_all(tx, some)
            for incident in some:
                self._board.add(incident, brought.get(incident, ()))
            await asyncio.sleep(0)
        self._seen = seen

    def _likely(self, batch: IntakeBatch, arrived: Sequence[Alert]) -> Iterator[str]:
        """The incidents that these alerts may belong to, as far as it can be told before the first of them is taken in."""
        for alert in arrived:
            found = batch.incident_of(alert) or self._board.assign(alert).incident or batch.last_of(alert)
            if found is not None:
                yield found

    async def _one(self, batch: IntakeBatch, alert: Alert) -> Received:
        known = batch.incident_of(alert)
        if known is not None and (same := await batch.incident(known)) is not None:
            return await self._keep(batch, same, alert, "the same alert")
        if alert.status is AlertStatus.RESOLVED:
            why = f"{known} has to be settled first" if known else "it was resolved before it was known here"
            return Received(alert, None, why)
        found, before = await self._assigned(batch, alert)
        if before is not None:
            if before.state is State.INCONCLUSIVE and alert.fingerprint not in before.alerts:
                before = self._open_again(batch, before, alert)
            return await self._keep(batch, joined(before, alert), alert, found.why)
        if (back := await self._back(batch, alert)) is not None:
            return await self._keep(batch, back, alert, f"the same alert again, after {back.state.replace('_', ' ')}")
        incident = replace(await batch.opened(alert), opened_at=batch.now)
        return await self._keep(batch, incident, alert, found.why)

    async def _assigned(self, batch: IntakeBatch, alert: Alert) -> tuple[Assignment, Incident | None]:
        """Where it belongs, and that incident as it stands. What has ended since the board was looked at is passed over, and
        what a person has to settle first."""
        while (found := self._board.assign(alert)).incident is not None:
            before = await batch.incident(found.incident)
            if before is not None and (not before.state.ended or self._goes_on(before, batch.now)):
                return found, before
            self._board.forget(found.incident)
        return found, None

    def _goes_on(self, ended: Incident, now: datetime) -> bool:
        """Whether an alert joins an incident that has ended: what came to no conclusion just now, and what a person has, as
        long as one of its alerts fires. At a terminal nobody tells when an alert clears, and who hands one in wants it
        looked at."""
        if _lately(ended, now):
            return True
        if self._routes is None or ended.state not in UNSOLVED or ended.ended_at is None:
            return False
        return ended.ended_at >= now - HELD and self._board.fires(ended.id)

    def _open_again(self, batch: IntakeBatch, incident: Incident, alert: Alert) -> Incident:
        """What was inconclusive is looked at once more: the alert may say what was missing."""
        again = replace(incident.to(State.INVESTIGATING), ended_at=None)
        why = f"{visible(alert.name, 100)} fired as well"
        batch.tell(incident.id, StateChanged(from_=incident.state, to=again.state, why=why), "stanch")
        return again

    async def _back(self, batch: IntakeBatch, alert: Alert) -> Incident | None:
        """The incident that was handed to a person a short while ago and whose alert fires once more: flapping."""
        last = batch.last_of(alert)
        past = await batch.incident(last) if last else None
        if past is None or past.state not in WITH_A_PERSON or past.ended_at is None:
            return None
        return past if alert.starts_at - past.ended_at <= AGAIN else None

    async def _keep(self, batch: IntakeBatch, incident: Incident, alert: Alert, why: str) -> Received:
        if not batch.keep(incident, alert):
            return Received(alert, incident.id, why, duplicate=True)
        self._board.add(incident.id, [alert])
        redact = batch.tx.redact
        short = replace(_short(alert), fingerprint=redact(alert.fingerprint))
        told = AlertJoined(alert=short, why=redact(why))
        batch.tell(incident.id, told, alert.source, f"alert:{alert.key}", redacted=True)
        if self._routes is not None and alert.status is AlertStatus.FIRING:
            await self._route(batch, incident.id, alert, self._routes)
        return Received(alert, incident.id, why)

    async def _route(self, batch: IntakeBatch, incident: str, alert: Alert, routes: Routes) -> None:
        known, fresh = batch.attention(incident), routes.attention(incident, alert)
        one = deeper(known, fresh)
        if one == known:
            return
        disturbs = one.channel and (one.depth.threaded or one.mentions)
        threads, mentioned = await batch.threads(one.channel, besides=incident) if disturbs else (0, 0)
        spared = in_a_storm(one, threads, mentioned, self._most_threads) if disturbs else one
        if spared != known:
            batch.route(spared)


def _lately(incident: Incident, now: datetime) -> bool:
    """Whether it ended inconclusive so short a while ago that a related alert opens it again."""
    return incident.state is State.INCONCLUSIVE and incident.ended_at is not None and incident.ended_at >= now - LATE


def redacted(alert: Alert, redact: Redactor) -> Alert:
    """The alert without secrets, in one go. Its fingerprint stays, so that it is still the same alert."""
    told = {name: getattr(alert, name) for name in ("labels", "annotations", "generator_url", "group_key", "extra")}
    told = redact.value({name: dict(part) if isinstance(part, Mapping) else part for name, part in told.items()})
    return replace(alert, **told)


def _short(alert: Alert) -> Alert:
    """The alert with long values cut visibly; nothing is lost, the whole stays with the alert."""
    return replace(alert, labels=_cut(alert.labels), annotations=_cut(alert.annotations))


def _cut(values: Mapping[str, str]) -> dict[str, str]:
    return {name: visible(value, LONG) if len(value) > LONG else value for name, value in values.items()}
