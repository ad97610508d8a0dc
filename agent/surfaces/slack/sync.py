"""Keeps threads in step: makes each thread in Slack show what its timeline says. It compares, and posts or edits what differs.

There is no outbox besides: what was sent is kept, what ought to be shown is a view of the store. So a restart, a Slack
that was away and an edit that was overtaken all come right by comparing again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agent.api import App
from agent.domain.incident import Incident
from agent.domain.timeline import Event
from agent.domain.urgency import Urgency
from agent.service.outbox import Outbox, Sent
from agent.surfaces.slack.card_context import Scene
from agent.surfaces.slack.delivery import Barred, Delivery, Gone, Rejected, Wait
from agent.surfaces.slack.redacting_client import DiscreetClient
from agent.surfaces.slack.thread import ROOT, Message, digest, digest_thread, in_digest, wanted
from tools.context import Clock

BETWEEN_MESSAGES: Final = 1.0  # seconds, in one channel: Slack's limit
BETWEEN_EDITS: Final = 3.0  # seconds, of one message
SWEEP: Final = 2.0  # seconds between looks at what other processes committed
BARRED: Final = 60.0  # seconds until a channel is tried again that a person has to mend
LONGEST_WAIT: Final = 30.0
KEPT_IN_SIGHT = timedelta(hours=1)  # how long a thread that has ended is still compared
HEARD = timedelta(seconds=3)  # whoever opens an incident tells us by then; the sweep does not come before
CAUGHT_UP = timedelta(hours=24)  # what ended longer ago and was never shown is not shown any more
LISTED: Final = 1_000  # incidents that a sweep looks at


@dataclass
class Thread:
    """What one thread ought to show, and what it was shown."""

    name: str
    channel: str
    since: datetime
    messages: list[Message]
    sent: dict[str, Sent]
    edited: dict[str, datetime] = field(default_factory=dict)

    @property
    def root(self) -> Sent | None:
        """The message that the others answer, once it has arrived."""
        found = self.sent.get(ROOT)
        return found if found and found.address else None

    def steps(self) -> Iterator[Step]:
        """The first message that was not posted yet, and every edit that is due some time."""
        posting = False
        for message in self.messages:
            known = self.sent.get(message.slot)
            if known is None or not known.address:
                if not posting:
                    yield Step(self, message, known, None)
                posting = True
            elif known.content != message.content:
                last = self.edited.get(message.slot)
                yield Step(self, message, known, last + timedelta(seconds=BETWEEN_EDITS) if last else self.since)


@dataclass(frozen=True)
class Step:
    """One call that is to be made. `due` None: a new message; else an edit that may go out from then on."""

    thread: Thread
    message: Message
    known: Sent | None
    due: datetime | None

    @property
    def urgency(self) -> tuple[int, datetime, datetime]:
        """Roots first, then new messages, then edits; the older first."""
        kind = 2 if self.due else 0 if self.message.slot == ROOT else 1
        return kind, self.due or self.thread.since, self.thread.since


@dataclass
class Channel:
    """When the next call may be made, and how often it failed in a row."""

    free_at: datetime
    failures: int = 0
    problem: str | None = None


class ThreadSync:
    """Posts to Slack what the timelines say, at Slack's pace. `problem` says what a person has to mend, or None."""

    def __init__(self, app: App, outbox: Outbox, clock: Clock | None = None) -> None:
        token = app.settings.slack.bot_token.get_secret_value()
        client = DiscreetClient(app.redact, token, app.settings.slack.api_url, retry_handlers=[])
        self._app = app
        self._postbox = outbox
        self._clock = clock or app.clock
        self._delivery = Delivery(client)
        self._news = asyncio.Event()
        self._stale: set[str] = set()
        self._drawing: set[str] = set()
        self._heads: dict[str, int] = {}
        self._threads: dict[str, Thread] = {}
        self._channels: dict[str, Channel] = {}
        self._swept: datetime | None = None
        self._closing = False
        self._running: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        return next((c.problem for c in self._channels.values() if c.problem), None)

    @property
    def behind(self) -> int:
        """Posts and edits that are still to be made, and incidents that are still to be looked at."""
        return len(self._stale | self._drawing) + sum(1 for thread in self._threads.values() for _ in thread.steps())

    def heard(self, event: Event) -> None:
        """Something was committed to a timeline."""
        self.look(event.incident)

    def look(self, incident: str) -> None:
        """Something about the incident may be shown differently now: an event, its attention, a proposal."""
        self._stale.add(incident)
        self._news.set()

    async def close(self) -> None:
        """Let the call in hand finish; what is left is posted after the next start."""
        self._closing = True
        self._news.set()
        if self._running is not None:
            await asyncio.wait([self._running])

    async def run(self) -> None:
        """Until closed."""
        self._running = asyncio.current_task()
        try:
            while not self._closing:
                self._news.clear()
                await self._sweep()
                self._drawing = self._take_stale()
                while self._drawing:
                    await self._redraw(next(iter(self._drawing)))
                    await asyncio.sleep(0)  # the store is read where it is asked: others have the loop in between
                await self._pause(await self._work())
        finally:
            self._running = None

    # -- what ought to be shown ---------------------------------------------------------------------------------------

    def _take_stale(self) -> set[str]:
        """What is to be drawn anew: not before its channel may be written to, so that a burst of events is drawn once."""
        now = self._clock.now()
        taken = {one for one in self._stale if (t := self._threads.get(one)) is None or self._free_at(t) <= now}
        self._stale -= taken
        return taken

    def _free_at(self, thread: Thread) -> datetime:
        return self._channels[thread.channel].free_at

    async def _sweep(self) -> None:
        """Find incidents that moved without our hearing of it, and draw the digests anew."""
        now = self._clock.now()
        if self._swept is not None and now - self._swept < timedelta(seconds=SWEEP):
            return
        self._swept = now
        listed = await self._postbox.recent(LISTED)
        for incident, attention in listed:
            if attention.depth.threaded and await self._moved(incident, now):
                self._stale.add(incident.id)
        await self._draw_digests(listed)

    async def _moved(self, incident: Incident, now: datetime) -> bool:
        known = self._heads.get(incident.id)
        if incident.ended_at is not None and now - incident.ended_at > (
            KEPT_IN_SIGHT if known is not None else CAUGHT_UP
        ):
            return False
        if known is None:
            return incident.opened_at is None or now - incident.opened_at > HEARD
        return bool(await self._app.api.events(incident.id, known))

    async def _redraw(self, incident_id: str) -> None:
        try:
            await self._drawn(incident_id)
        finally:
            self._drawing.discard(incident_id)

    async def _drawn(self, incident_id: str) -> None:
        attention = await self._postbox.attention(incident_id)
        if attention is None or not attention.depth.threaded:
            return
        known = self._threads.get(incident_id)
        sent = known.sent if known else await self._postbox.sent(incident_id)
        if not sent and attention.post_at is not None and attention.post_at > self._clock.now():
            return  # its head stays unknown, so the sweep looks again
        scene = await self._scene(incident_id, attention)
        incident = scene.incident_view.incident
        self._heads[incident_id] = scene.incident_view.events[-1].n if scene.incident_view.events else 0
        long_over = incident.ended_at is not None and self._clock.now() - incident.ended_at > CAUGHT_UP
        if sent or not (long_over or in_digest(incident, attention)):
            since = incident.opened_at or incident.since
            self._show(Thread(incident_id, self._channel_of(attention), since, wanted(scene), sent), known)

    async def _scene(self, incident_id: str, attention: Urgency) -> Scene:
        api = self._app.api
        proposals = {p.id: p for p in await api.proposals_of(incident_id)}
        currency = self._app.settings.llm.prices.currency
        return Scene(
            await api.incident_view(incident_id), attention, self._app.catalog, proposals, currency, await api.stopped()
        )

    async def _draw_digests(self, listed: Sequence[tuple[Incident, Urgency]]) -> None:
        told: dict[str, list[tuple[Incident, Urgency]]] = {}
        for incident, attention in listed:
            if in_digest(incident, attention) and incident.id not in self._threads:
                told.setdefault(digest_thread(incident, self._channel_of(attention)), []).append((incident, attention))
        oldest = listed[-1][0] if len(listed) == LISTED else None
        for name, entries in told.items():
            first = entries[-1][0]
            if oldest is not None and name.endswith(f"{oldest.opened_at or oldest.since:%Y-%m-%dT%H}"):
                continue  # some of its lines are too old to be listed; it stays as it was shown
            if self._clock.now() - (first.opened_at or first.since) > CAUGHT_UP:
                continue
            known = self._threads.get(name)
            sent = known.sent if known else await self._postbox.sent(name)
            channel = self._channel_of(entries[0][1])
            self._show(Thread(name, channel, first.since, digest(name, entries), sent), known)

    def _channel_of(self, attention: Urgency) -> str:
        return attention.channel or self._app.settings.slack.channel

    def _show(self, thread: Thread, known: Thread | None) -> None:
        thread.edited = known.edited if known else {}
        self._threads[thread.name] = thread
        self._channels.setdefault(thread.channel, Channel(self._clock.now()))

    # -- making it so -------------------------------------------------------------------------------------------------

    async def _work(self) -> float:
        """One call for each channel that may be called now. Seconds until there is something to do again."""
        for name, channel in list(self._channels.items()):
            steps = [s for t in self._threads.values() if t.channel == name for s in t.steps()]
            now = self._clock.now()
            ready = [s for s in steps if s.due is None or s.due <= now]
            if ready and channel.free_at <= now and not self._closing:
                await self._make(min(ready, key=lambda s: s.urgency), channel)
        self._forget()
        return self._until_next()

    def _until_next(self) -> float:
        now = self._clock.now()
        times = [now + timedelta(seconds=SWEEP)]
        times += [self._free_at(self._threads[one]) for one in self._stale if one in self._threads]
        for thread in self._threads.values():
            times += [max(step.due or now, self._free_at(thread)) for step in thread.steps()]
        return max((min(times) - now).total_seconds(), 0.0)

    async def _make(self, step: Step, channel: Channel) -> None:
        """One step; what came in its way decides when the channel is tried again."""
        try:
            await self._deliver(step)
        except Wait as wait:
            channel.failures += 1
            channel.problem = None if wait.seconds is not None else f"{wait}. Posts wait and follow in order."
            seconds = wait.seconds if wait.seconds is not None else min(2.0 ** (channel.failures - 1), LONGEST_WAIT)
        except Barred as barred:
            channel.problem, seconds = str(barred), BARRED
        except (Gone, Rejected):
            await self._give_up(step)
            seconds = BETWEEN_MESSAGES
        else:
            channel.failures, channel.problem, seconds = 0, None, BETWEEN_MESSAGES
        channel.free_at = self._clock.now() + timedelta(seconds=seconds)

    async def _deliver(self, step: Step) -> None:
        """Post or edit, and keep that it was done. A message that may have arrived before is looked for first."""
        thread, message, known = step.thread, step.message, step.known
        root = thread.root
        parent = root.address if root and message.slot != ROOT else ""
        place = root.place if root else thread.channel
        if known is None:
            await self._keep(thread, message.slot, place)
        elif not known.address and (found := await self._found(step, place, parent)):
            await self._keep(thread, message.slot, *found)  # it arrived; what it shows is unknown, so it is edited next
            return
        address = known.address if known else ""
        try:
            place, ts, self._delivery = await self._delivery.send(place, thread.name, message, parent, address)
        except Wait as wait:
            if wait.known and not address:
                del thread.sent[message.slot]  # it certainly did not arrive: nothing has to be looked for
            raise
        thread.edited[message.slot] = self._clock.now()
        await self._keep(thread, message.slot, place, ts, message.content)

    async def _found(self, step: Step, place: str, parent: str) -> tuple[str, str] | None:
        """Channel and ts of a message that arrived without our hearing of it."""
        try:
            return await self._delivery.find(place, step.thread.name, step.message.slot, parent)
        except (Barred, Gone):
            return None  # it cannot be looked for: rather twice than never

    async def _keep(self, thread: Thread, slot: str, place: str, address: str = "", content: str = "") -> None:
        await self._postbox.keep(thread.name, slot, place, address, content)
        thread.sent[slot] = Sent(self._postbox.surface, thread.name, slot, place, address, content, self._clock.now())

    async def _give_up(self, step: Step) -> None:
        """The message was deleted, or no form of it is taken: it counts as shown."""
        place = step.known.place if step.known else step.thread.channel
        address = step.known.address if step.known else ""
        await self._keep(step.thread, step.message.slot, place, address or "none", step.message.content)

    def _forget(self) -> None:
        """Threads of yesterday that show all there is need no more room; whoever moves again is read anew."""
        now = self._clock.now()
        for thread in list(self._threads.values()):
            if now - thread.since > CAUGHT_UP and next(thread.steps(), None) is None:
                del self._threads[thread.name]

    async def _pause(self, seconds: float) -> None:
        """Until the time has passed, or there is news."""
        if self._closing or seconds <= 0:
            return
        waits = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._news.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
