"""The inbox: a notification is answered only when it is on disk. Those that arrive together are written together."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from agent.case.alert import Alert
from agent.errors import Overloaded, StoreAway
from agent.store import inbox
from agent.store.database import Database
from agent.store.inbox import QUARANTINED, Posted, packed, signal, signal_of_body, signal_of_change
from tools.context import Change, Clock

AT_ONCE = 500  # notifications of one commit
AWAY = (DBAPIError, NoConnection, OSError)
TRIES = 3  # of a commit that another replica crossed: it kept one of the same signals a moment earlier


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
    keys: tuple[str, ...] = ()  # of its signals, in the order of alerts, changes, quarantine

    def __post_init__(self) -> None:
        self.keys = (*map(signal, self.alerts), *map(signal_of_change, self.changes))
        if self.quarantine is not None:
            self.keys = (*self.keys, signal_of_body(self.source, self.quarantine[0]))


class Inbox:
    """`capacity` is how many notifications may wait for their commit before Overloaded."""

    def __init__(self, db: Database, clock: Clock, capacity: int = 20_000) -> None:
        self._db, self._clock, self._capacity = db, clock, capacity
        self._queue: list[_Waiting] = []
        self._committer: asyncio.Task[None] | None = None
        self.on_news: Callable[[], object] = lambda: None
        self.absorbed = 0  # signals that were known already

    async def accept(self, source: str, alerts: Sequence[Alert], changes: Sequence[Change] = ()) -> Receipt:
        """Keep what is new of a notification; returns once it is on disk. Overloaded where too much waits, StoreAway where
        the database does not take it: then nothing of it was kept."""
        return await self._enter(_Waiting(source, tuple(alerts), tuple(changes), None, _future()))

    async def quarantine(self, source: str, body: bytes, why: str) -> Receipt:
        """Keep what came, as it came, for a person to look at; the same again is a duplicate."""
        return await self._enter(_Waiting(source, (), (), (body, why), _future()))

    async def waiting(self) -> int:
        """How many notifications are kept and not worked yet; StoreAway where the database does not say."""
        try:
            async with self._db.read() as tx:
                return await inbox.waiting(tx)
        except AWAY as error:
            raise StoreAway(f"The database does not answer ({type(error).__name__}).") from error

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
                answers = await self._written(batch)
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

    async def _written(self, batch: Sequence[_Waiting]) -> list[Receipt]:
        for left in reversed(range(TRIES)):
            try:
                return await self._write(batch)
            except AWAY as error:
                if not isinstance(error, IntegrityError) or not left:
                    why = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
                    raise StoreAway(f"The database does not take what comes in ({why}). Send it again.") from error
        raise AssertionError("unreachable")

    async def _write(self, batch: Sequence[_Waiting]) -> list[Receipt]:
        now = self._clock.now()
        async with self._db.write() as tx:
            old = await inbox.known(tx, {key for one in batch for key in one.keys})
            again: Counter[str] = Counter()
            fresh: set[str] = set()
            posted: list[Posted] = []
            answers = []
            for one in batch:
                mine = [key not in old and key not in fresh for key in one.keys]  # an alert twice in one body is rare
                fresh.update(key for key, new in zip(one.keys, mine, strict=True) if new)
                again.update(key for key, new in zip(one.keys, mine, strict=True) if not new)
                receipt = secrets.token_hex(12)
                if any(mine):
                    posted.append(_posted(one, mine, receipt, now))
                answers.append(Receipt(receipt, len(one.alerts), not any(mine)))
            await inbox.keep(tx, posted, fresh, again, now)
        self.absorbed += again.total()
        return answers


def _posted(one: _Waiting, mine: Sequence[bool], receipt: str, now: datetime) -> Posted:
    """Only what is new of it."""
    if one.quarantine is not None:
        body, why = one.quarantine
        return Posted(receipt, one.source, now, body, QUARANTINED, why)
    told: Sequence[Alert | Change] = (*one.alerts, *one.changes)
    new = [it for it, is_new in zip(told, mine, strict=True) if is_new]
    alerts = [it for it in new if isinstance(it, Alert)]
    return Posted(receipt, one.source, now, packed(alerts, [it for it in new if isinstance(it, Change)]))


def _future() -> asyncio.Future[Receipt]:
    return asyncio.get_running_loop().create_future()
