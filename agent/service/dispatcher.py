"""The dispatcher: the always-on half of the service. It takes alerts in, runs incidents, and minds the clocks.

Everything it does stands in the store: a row in the inbox, a wake that is due. A hint saves the wait for the next look,
and nothing depends on one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from agent.domain.alert import severity_rank
from agent.domain.incident_view import IncidentView
from agent.domain.urgency import Depth, Urgency
from agent.errors import Unsettled
from agent.graph.run_context import RunContext
from agent.graph.steps.look import look
from agent.graph.worker import RestKind, Worker, cleared
from agent.reasoner.protocol import Call
from agent.reasoner.rules.first_minute import PLACE
from agent.service.grouping import MOST_OPEN, Grouping, Received
from agent.service.inbox import Inbox
from agent.service.routing import Routes, patient
from agent.settings_file import ServeSection
from agent.sources.portions import PORTION, portions
from agent.store import alerts, changes, inbox, incidents, urgency, wakes
from agent.store.database import Transaction
from agent.store.inbox import Entry

log = logging.getLogger("stanch.watch")
LOOK = 0.25  # seconds between two looks for what other processes committed
BATCH = 50  # rows of the inbox taken in at once, up to PORTION alerts in all: nobody else writes meanwhile
WOKEN = 500  # incidents that one transaction wakes at the start
RETRIES = 3  # of a run that ends in a defect of ours, before a person is called
HABIT_SECONDS = 2.0  # a thread does not wait longer for the answer how long its alert usually lasts
RESTING = timedelta(seconds=20)  # how long runs may take to rest when the process stops
Publish = Callable[..., Awaitable[None]]
SOON_S = 5.0  # at least, between two times of a chore that somebody asks for


@dataclass(frozen=True)
class Chore:
    """Done every so many seconds, and soon when somebody sets `wanted`."""

    seconds: float
    do: Callable[[], Awaitable[None]]
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatcher:
    """`publish` tells the surfaces of the new events of incidents; `told` are those that are at hand."""

    def __init__(
        self,
        run_context: RunContext,
        worker: Worker,
        box: Inbox,
        routes: Routes,
        serve: ServeSection,
        publish: Publish,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._run_context, self._worker, self._box = run_context, worker, box
        self._routes, self._serve, self._publish = routes, serve, publish
        self._chores = tuple(chores)
        self._reception = Grouping(run_context, routes, serve.max_threads)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, int] = {}
        self._stop = asyncio.Event()
        self._news = asyncio.Event()
        box.on_news = self._news.set

    async def run(self) -> None:
        """Until `stop` is called; then runs rest at a checkpoint and it returns."""
        await self._go_on()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._intake())
            tasks.create_task(self._incidents())
            for chore in self._chores:
                tasks.create_task(self._repeat(chore))

    async def _go_on(self) -> None:
        """Look at everything that is open: a crash may have come between an answer and what follows from it."""
        now = self._run_context.clock.now()
        async with self._run_context.db.read() as tx:
            found = await incidents.open_ids(tx, MOST_OPEN)
        for some in portions(found, WOKEN):
            async with self._run_context.db.write() as tx:
                await wakes.add_all(tx, some, "start", now)

    async def _repeat(self, chore: Chore) -> None:
        while not self._stop.is_set():
            chore.wanted.clear()
            try:
                await chore.do()
            except Exception:
                log.exception("a chore failed", extra={"chore": getattr(chore.do, "__qualname__", str(chore.do))})
            await self._stopped_within(min(SOON_S, chore.seconds))
            wanted = asyncio.create_task(chore.wanted.wait())
            stopped = asyncio.create_task(self._stop.wait())
            _, late = await asyncio.wait(
                (wanted, stopped), timeout=max(chore.seconds - SOON_S, 0), return_when=asyncio.FIRST_COMPLETED
            )
            for one in late:
                one.cancel()

    async def _stopped_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    @property
    def busy(self) -> bool:
        """Whether an incident is run at this moment."""
        return bool(self._running)

    def stop(self) -> None:
        """No new work from now on."""
        self._stop.set()
        self._news.set()
        self._worker.stop()

    # -- taking in ----------------------------------------------------------------------------------------------------

    async def _intake(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            if await self.take_in():
                # half of the time is for what comes in; while senders wait for their answer, nearly all of it
                await asyncio.sleep(LOOK if self._box.busy else min(time.monotonic() - began, LOOK))
            else:
                await self._news_or(LOOK)

    async def take_in(self) -> int:
        """The oldest notifications that nobody has looked at; how many there were."""
        async with self._run_context.db.read() as tx:
            entries = await inbox.fresh(tx, BATCH, PORTION)
        if entries:
            await self._take(entries)
        return len(entries)

    async def _take(self, entries: Sequence[Entry]) -> None:
        """All of them in one transaction; where one cannot be taken in, each by itself, and that one is set aside."""
        try:
            await self._reception.look()
            async with self._run_context.db.write() as tx:
                received = await self._received(tx, entries)
                await inbox.done(tx, [one.id for one in entries])
        except Exception as error:  # noqa: BLE001 (content from outside must not hold up what follows it)
            self._reception = Grouping(self._run_context, self._routes, self._serve.max_threads)
            if len(entries) == 1:
                await self._set_aside(entries[0], error)
                return
            for one in entries:
                await self._take([one])
            return
        fresh = list(dict.fromkeys(one.incident for one in received if one.incident and not one.duplicate))
        for incident in self._to_be_posted(fresh):
            await self._wait_for_habit(incident)
        await self._publish(*fresh, told=self._reception.told)
        self._news.set()

    async def _received(self, tx: Transaction, entries: Sequence[Entry]) -> list[Received]:
        for change in (change for one in entries for change in one.changes):
            await changes.add(tx, change)
        return await self._reception.take(tx, [alert for one in entries for alert in one.alerts])

    async def _set_aside(self, entry: Entry, error: Exception) -> None:
        log.exception("a notification could not be taken in", extra={"receipt": entry.receipt})
        async with self._run_context.db.write() as tx:
            await inbox.set_aside(tx, entry.id, f"{type(error).__name__}: {error}")

    def _to_be_posted(self, names: Sequence[str]) -> list[Urgency]:
        """Of these incidents, those that get a thread of which nobody knows yet whether it waits."""
        known = [self._reception.routed.get(name) for name in names]
        return [one for one in known if one is not None and one.depth.threaded and one.post_at is None]

    async def _wait_for_habit(self, known: Urgency) -> None:
        """Decide whether the thread waits, before anything is posted."""
        incident = known.incident
        incident_view = await self._run_context.incident_view(incident)
        if (
            len(incident_view.alerts) != 1
            or not patient(known, incident_view.alerts[0], self._run_context.clock.now(), 99, timedelta(0)).post_at
        ):
            return  # critical, or more than one alert: nobody waits
        cleared, median = await self._habit(incident_view)
        waits = patient(known, incident_view.alerts[0], self._run_context.clock.now(), cleared, median)
        if waits != known:
            async with self._run_context.db.write() as tx:
                await urgency.put(tx, waits)

    async def _habit(self, incident_view: IncidentView) -> tuple[int, timedelta | None]:
        """How often the alert fired and cleared within retention, and how long that took in the middle."""
        alert = incident_view.alerts[0]
        place = {name: alert.labels[name] for name in PLACE if alert.labels.get(name)}
        call = Call("alert_history", {"alertname": alert.name, "labels": place}, "whether it clears by itself")
        if not self._run_context.backends.has("prometheus") or not alert.name:
            return 0, None
        try:
            async with asyncio.timeout(HABIT_SECONDS):
                looked = await look([call], self._run_context.tools, self._run_context.context(incident_view))
        except TimeoutError:
            return 0, None
        facts = {f.id: f.value for f in looked[0].answer.facts} if looked[0].answer else {}
        count, median = facts.get("earlier.count"), facts.get("median_duration")
        return int(count or 0), timedelta(seconds=float(median)) if median is not None else None

    # -- running ------------------------------------------------------------------------------------------------------

    async def _incidents(self) -> None:
        try:
            while not self._stop.is_set():
                if not await self.start_due():
                    await self._news_or(LOOK)
        finally:
            await self._rest()

    async def start_due(self) -> bool:
        """Start what is due, the most severe first, as far as there are runners; whether anything was done."""
        async with self._run_context.db.read() as tx:
            due = await wakes.due_incidents(tx, self._run_context.clock.now(), besides=self._running)
        shallow = [name for name, _, _, depth in due if depth not in (None, Depth.INVESTIGATE)][:PORTION]
        if shallow:
            await self.end_cleared(shallow)
        free = max(self._serve.runners - len(self._running), 0)
        worked = [one for one in due if one[3] in (None, Depth.INVESTIGATE)]
        chosen = sorted(worked, key=lambda one: (severity_rank(one[1]), one[2]))[:free]
        for incident, *_ in chosen:
            task = asyncio.create_task(self._attend(incident))
            self._running[incident] = task
            task.add_done_callback(partial(self._ended, incident))
        return bool(chosen or shallow)

    def _ended(self, incident: str, _: asyncio.Task[None]) -> None:
        self._running.pop(incident, None)
        self._news.set()

    async def _attend(self, incident: str) -> None:
        """One run of one incident. A defect of ours is tried again a few times, then a person is told."""
        try:
            rest = await self._worker.run(incident)
            log.info("a run rests", extra={"incident": incident, "rest": str(rest.kind), "for": rest.waits_for or ""})
            if rest.kind is RestKind.ENDED:
                await self._forget(incident, unless_open=True)  # an alert may have opened it again just now
            self._failed.pop(incident, None)
        except Unsettled as error:
            await self._unsettled(incident, error)
        except Exception as error:  # noqa: BLE001 (one incident's defect must not end the others)
            await self._defect(incident, error)
        await self._publish(incident)

    async def _unsettled(self, incident: str, error: Unsettled) -> None:
        """It rests until somebody has settled it, which wakes it; the escalation calls for one."""
        log.error(str(error), extra={"incident": incident})
        self._run_context.db.unsettled.setdefault(incident, str(error))
        await self._forget(incident)

    async def end_cleared(self, names: Sequence[str]) -> None:
        """Incidents that nobody investigates: each ends with its alerts."""
        now = self._run_context.clock.now()
        try:
            async with self._run_context.db.write() as tx:
                known = await urgency.among(tx, names)
                names = [one for one in names if one in known and known[one].depth is not Depth.INVESTIGATE]
                await wakes.clear_all(tx, names, now)
                arrived = await alerts.of_all(tx, names)
                over = [name for name in names if name in arrived and cleared(arrived[name])]
                await self._run_context.close_new(tx, over, "its alerts cleared by themselves")
        except Exception as error:  # noqa: BLE001 (one incident's defect must not hold up the others)
            if len(names) == 1 and isinstance(error, Unsettled):
                await self._unsettled(names[0], error)
            elif len(names) == 1:
                await self._defect(names[0], error)
            else:
                for name in names:
                    await self.end_cleared([name])
            return
        await self._publish(*over)
        await asyncio.sleep(0)

    async def _forget(self, incident: str, unless_open: bool = False) -> None:
        async with self._run_context.db.write() as tx:
            known = await incidents.get(tx, incident)
            if known is None or known.state.ended or not unless_open:
                await wakes.clear(tx, incident, self._run_context.clock.now())

    async def _defect(self, incident: str, error: Exception) -> None:
        times = self._failed[incident] = self._failed.get(incident, 0) + 1
        log.exception("a run failed", extra={"incident": incident, "times": times})
        if times < RETRIES:
            await self._wake(incident, "it failed", timedelta(seconds=5 * times))
            return
        await self._forget(incident)
        await self._run_context.give_up(
            incident, f"a defect of Stanch ended its run {times} times ({type(error).__name__})"
        )

    async def _wake(self, incident: str, reason: str, after: timedelta) -> None:
        now = self._run_context.clock.now()
        async with self._run_context.db.write() as tx:
            await wakes.clear(tx, incident, now)
            await wakes.add(tx, incident, reason, now + after)

    async def _rest(self) -> None:
        """Wait for the runs to reach a checkpoint; what does not is cut off, as a crash would, and goes on at the next start."""
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=RESTING.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _news_or(self, seconds: float) -> None:
        """Until there is a hint, or so long."""
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
