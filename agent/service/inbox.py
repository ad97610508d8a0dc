"""The inbox: a notification is answered only when it is on disk. Those that arrive together are written together.

A long one is kept as several rows, a few of them a transaction, and answered after the last: what is kept when a crash comes
in between is believed, and the sender sends all of it again, of which that much is known then.
"""

from __future__ import annotations

import asyncio
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from operator import attrgetter

from sqlalchemy.exc import DBAPIError

from agent.domain.alert import Alert
from agent.domain.own_alerts import ours
from agent.domain.redact import Redactor
from agent.errors import Overloaded
from agent.sources.portions import PORTION, portions
from agent.store import inbox
from agent.store.database import Database
from agent.store.inbox import QUARANTINED, Posted, delivery_key, delivery_key_of_body, delivery_key_of_change, packed
from tools.context import Change, Clock

AT_ONCE = 500  # rows of one commit
ROWS = 4  # of one long notification in one commit: others do not wait behind the whole of it
ALERTS = ROWS * PORTION  # of one commit, about: 20 ms
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Receipt:
    """`duplicate` is: everything in it was known, and nothing was kept but the count."""

    receipt: str
    alerts: int
    duplicate: bool


@dataclass(slots=True)
class _Tally:
    """Which deliveries of a batch come for the first time, and how often the others came again."""

    old: AbstractSet[str]
    fresh: set[str] = field(default_factory=set)
    again: Counter[str] = field(default_factory=Counter)

    def first(self, key: str) -> bool:
        if key in self.old or key in self.fresh:
            self.again[key] += 1
            return False
        self.fresh.add(key)
        return True


@dataclass(slots=True)
class _Waiting:
    """A row that waits for its commit: a notification, or a portion of a long one, its parts with the keys of their delivery. `body` is
    set, with why, to quarantine it."""

    receipt: str
    source: str
    alerts: Sequence[tuple[str, Alert]]
    changes: Sequence[tuple[str, Change]]
    answer: asyncio.Future[Receipt]
    body: tuple[str, bytes, str] | None = None

    def delivery_keys(self) -> Iterator[str]:
        yield from (key for key, _ in self.alerts)
        yield from (key for key, _ in self.changes)
        if self.body is not None:
            yield self.body[0]

    @property
    def size(self) -> int:
        return len(self.alerts) + len(self.changes)

    def news(self, tally: _Tally, now: datetime, redact: Redactor) -> Posted | None:
        """What of it is kept; None when all of it is known."""
        if self.body is not None:
            key, body, why = self.body
            return Posted(self.receipt, self.source, now, body, QUARANTINED, why) if tally.first(key) else None
        alerts = [alert for key, alert in self.alerts if tally.first(key)]
        changes = [change for key, change in self.changes if tally.first(key)]
        if not alerts and not changes:
            return None
        return Posted(self.receipt, self.source, now, packed(alerts, changes, redact))


class Inbox:
    """`capacity` is how many rows may wait for their commit before one more is Overloaded."""

    def __init__(self, db: Database, clock: Clock, capacity: int = 20_000) -> None:
        self._db, self._clock, self._capacity = db, clock, capacity
        self._queue: list[_Waiting] = []
        self._committer: asyncio.Task[None] | None = None
        self._senders = 0
        self.on_news: Callable[[], object] = lambda: None
        self.on_refusal: Callable[[], object] = lambda: (
            None
        )  # alerts were not taken, and their sender will not repeat them
        self.absorbed = 0  # alerts, changes and odd bodies that were known already

    def raised_here(self, alert: Alert) -> bool:
        """Whether it is our own call for a person, come back."""
        return ours(alert, self._db.audit_key)

    async def accept(self, source: str, alerts: Sequence[Alert], changes: Sequence[Change] = ()) -> Receipt:
        """Keep what is new of a notification; returns once all of it is on disk. Overloaded where too much waits."""
        if len(alerts) > PORTION:
            alerts = sorted(alerts, key=attrgetter("starts_at"))  # as they are taken in: not portion by portion
            await asyncio.sleep(0)
        self._senders += 1
        try:
            return await self._all_of(source, alerts, changes)
        finally:
            self._senders -= 1

    async def _all_of(self, source: str, alerts: Sequence[Alert], changes: Sequence[Change]) -> Receipt:
        """Row by row, a few of them a commit."""
        rows, name, got = list(portions(alerts)) or [()], secrets.token_hex(12), list[Receipt]()
        while len(got) < len(rows):
            some = enumerate(rows[len(got) : len(got) + ROWS], len(got))
            parts = [_part(f"{name}.{n}" if n else name, source, row, () if n else changes) for n, row in some]
            got += await asyncio.gather(*map(self._enter, parts)) if len(parts) > 1 else [await self._enter(parts[0])]
        return Receipt(name, len(alerts), all(one.duplicate for one in got))

    async def quarantine(self, source: str, body: bytes, why: str) -> Receipt:
        """Keep what came, without its secrets, for a person to look at. The same body again is a duplicate."""
        shown = await asyncio.to_thread(self._shown, body)  # it may be long
        odd = delivery_key_of_body(source, body), shown, self._db.redact(why)
        return await self._enter(_Waiting(secrets.token_hex(12), source, (), (), _future(), odd))

    def _shown(self, body: bytes) -> bytes:
        return self._db.redact(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    @property
    def busy(self) -> bool:
        """Whether somebody waits until what he sent is written."""
        return self._senders > 0

    async def waiting(self) -> int:
        """How many notifications are kept and not worked yet."""
        async with self._db.read() as tx:
            return await inbox.waiting(tx)

    async def quarantined(self, limit: int) -> list[tuple[str, str, datetime, str]]:
        """(receipt, source, received at, why) of what was kept for a person, the newest first."""
        async with self._db.read() as tx:
            return await inbox.quarantined(tx, limit)

    async def prune(self) -> None:
        """Forget notifications that nobody will ask for any more; incidents keep their alerts themselves."""
        async with self._db.write() as tx:
            await inbox.prune(tx, self._clock.now() - KEPT)

    async def close(self) -> None:
        """Write what waits."""
        if self._committer is not None:
            await asyncio.gather(self._committer, return_exceptions=True)

    async def _enter(self, one: _Waiting) -> Receipt:
        if len(self._queue) >= self._capacity:
            raise Overloaded(f"{len(self._queue)} notifications wait to be written. Send it again in a few seconds.")
        self._queue.append(one)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        return await one.answer

    async def _commit(self) -> None:
        """Write until nothing waits. What arrives while one transaction is written goes into the next."""
        while self._queue:
            batch = self._next()
            if await self._answer(batch):
                self.on_news()

    def _next(self) -> list[_Waiting]:
        """The longest waiting, as many as one commit may hold."""
        total = list(accumulate(one.size for one in self._queue[:AT_ONCE]))
        count = max(1, bisect_right(total, ALERTS))
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _answer(self, batch: Sequence[_Waiting]) -> bool:
        """Write them together and tell each; whether anything was new.

        Where one of them cannot be written, each is written by itself, so that it fails alone.
        """
        try:
            answers = await self._write(batch)
        except Exception as error:  # noqa: BLE001 (whoever waits is told, whatever it was)
            if len(batch) > 1 and not isinstance(error, DBAPIError):
                return any([await self._answer([one]) for one in batch])
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return False
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
        return not all(answer.duplicate for answer in answers)

    async def _write(self, batch: Sequence[_Waiting]) -> list[Receipt]:
        now, answers, posted = self._clock.now(), [], []
        async with self._db.write() as tx:
            tally = _Tally(await inbox.known(tx, {key for one in batch for key in one.delivery_keys()}))
            for one in batch:
                kept = one.news(tally, now, self._db.redact)
                posted += [kept] if kept is not None else []
                answers.append(Receipt(one.receipt, len(one.alerts), kept is None))
            await inbox.keep(tx, posted, tally.fresh, tally.again, now)
        self.absorbed += tally.again.total()
        return answers


def _part(receipt: str, source: str, alerts: Sequence[Alert], changes: Sequence[Change]) -> _Waiting:
    told = [(delivery_key(alert), alert) for alert in alerts]
    return _Waiting(receipt, source, told, [(delivery_key_of_change(one), one) for one in changes], _future())


def _future() -> asyncio.Future[Receipt]:
    return asyncio.get_running_loop().create_future()
