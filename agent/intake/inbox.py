"""The inbox: a notification is answered only when it is on disk. Those that arrive together are written together."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.case.alert import Alert
from agent.errors import Overloaded
from agent.store import inbox
from agent.store.database import Database
from agent.store.inbox import QUARANTINED, Posted, packed, signal
from tools.context import Change, Clock

AT_ONCE = 500  # notifications of one commit


@dataclass(frozen=True, slots=True)
class Receipt:
    """`duplicate` is: everything in it was known, and nothing was kept but the count."""

    receipt: str
    alerts: int
    duplicate: bool


@dataclass(slots=True)
class _Waiting:
    source: str
    alerts: tuple[Alert, ...]
    changes: tuple[Change, ...]
    quarantine: tuple[bytes, str] | None
    answer: asyncio.Future[Receipt]


class Inbox:
    """`capacity` is how many notifications may wait for their commit, or uncommitted work for the watch, before Overloaded."""

    def __init__(self, db: Database, clock: Clock, capacity: int = 20_000) -> None:
        self._db, self._clock, self._capacity = db, clock, capacity
        self._queue: list[_Waiting] = []
        self._committer: asyncio.Task[None] | None = None
        self.on_news: Callable[[], object] = lambda: None
        self.absorbed = 0  # alerts that were known already

    async def accept(self, source: str, alerts: Sequence[Alert], changes: Sequence[Change] = ()) -> Receipt:
        """Keep what is new of a notification; returns once it is on disk. Overloaded where too much waits."""
        return await self._enter(_Waiting(source, tuple(alerts), tuple(changes), None, _future()))

    async def quarantine(self, source: str, body: bytes, why: str) -> Receipt:
        """Keep what came, as it came, for a person to look at."""
        return await self._enter(_Waiting(source, (), (), (body, why), _future()))

    async def waiting(self) -> int:
        """How many notifications are kept and not worked yet."""
        async with self._db.read() as tx:
            return await inbox.waiting(tx)

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
            batch, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
            try:
                answers = await self._write(batch)
            except Exception as error:  # noqa: BLE001 (whoever waits is told, whatever it was)
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)
            if not all(answer.duplicate for answer in answers):
                self.on_news()

    async def _write(self, batch: Sequence[_Waiting]) -> list[Receipt]:
        now = self._clock.now()
        keys = {signal(alert) for one in batch for alert in one.alerts}
        async with self._db.write() as tx:
            old = await inbox.known(tx, keys)
            again: Counter[str] = Counter()
            posted: list[Posted] = []
            answers = []
            fresh: set[str] = set()
            for one in batch:
                mine = []
                for alert in one.alerts:
                    key = signal(alert)
                    if key in old or key in fresh:
                        again[key] += 1
                    else:
                        fresh.add(key)
                        mine.append(alert)
                receipt = secrets.token_hex(12)
                posted += self._posted(one, mine, receipt)
                nothing_new = not mine and not one.changes and one.quarantine is None
                answers.append(Receipt(receipt, len(one.alerts), nothing_new))
            await inbox.keep(tx, posted, fresh, again, now)
        self.absorbed += again.total()
        return answers

    def _posted(self, one: _Waiting, mine: Sequence[Alert], receipt: str) -> list[Posted]:
        now = self._clock.now()
        if one.quarantine is not None:
            body, why = one.quarantine
            return [replace(Posted(receipt, one.source, now, body), state=QUARANTINED, note=why)]
        if not mine and not one.changes:
            return []
        return [Posted(receipt, one.source, now, packed(mine, one.changes, self._db.redact))]


def _future() -> asyncio.Future[Receipt]:
    return asyncio.get_running_loop().create_future()
