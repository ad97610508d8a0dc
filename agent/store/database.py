"""The database: one engine, transactions that read and transactions that write, and the key of the audit chain.

PostgreSQL is spoken to through its asynchronous driver. SQLite's statements take microseconds and run where they are called;
what waits (for another process at BEGIN, for the disk at COMMIT) runs in a thread. An asynchronous driver for SQLite hops between
threads four times a statement, which cost more than everything else the gate does.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Engine, Executable, create_engine, event
from sqlalchemy.engine import URL, Connection, RootTransaction, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from agent.domain.redact import Redactor
from agent.errors import BadConfiguration
from agent.store import migrate
from agent.store.anchors import Anchors, Head, Line, heads_to_lines
from agent.store.audit_key import AuditKeyPlace

SQLITE_FILE = "stanch.db"
BUSY_MS = 10_000
ALONE = "BEGIN IMMEDIATE"  # as the one writer; without that word two that read the same would both write
T = TypeVar("T")


@dataclass
class Transaction:
    """One transaction. Store functions take it first; what they changed is seen by others when it commits."""

    connection: AsyncConnection | Connection
    audit_key: bytes
    anchors: Anchors
    heads: dict[str, Head] = field(default_factory=dict)  # timelines appended to, anchored after the commit
    found: dict[str, Head] = field(default_factory=dict)  # as they were found, and in accordance with what is anchored
    behind: dict[str, Head] = field(default_factory=dict)  # found to be right, and lacking an anchor that a crash took
    named: list[Line] = field(default_factory=list)  # intents: their lines name them
    sync: bool = False  # whether the anchors have to be on disk before the transaction has ended
    held: dict[str, int] = field(default_factory=dict)  # incidents whose row is locked, and their epochs
    redact: Redactor = field(default_factory=Redactor)  # what is written passes it

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        if isinstance(self.connection, Connection):
            return self.connection.execute(statement, values)
        return await self.connection.execute(statement, values)

    @property
    def embedded(self) -> bool:
        """Whether this is SQLite, whose write transaction shuts out all others."""
        return isinstance(self.connection, Connection)

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Hand the connection to what knows no `await` (migrations)."""
        if isinstance(self.connection, Connection):
            return work(self.connection)
        return await self.connection.run_sync(work)


class Database:
    """Open with `Database.open`. A `write()` inside a `write()` of the same task waits for itself: pass the transaction on."""

    def __init__(
        self,
        engine: AsyncEngine | Engine,
        folder: Path,
        audit_key: bytes,
        anchors: Anchors,
        redact: Redactor | None = None,
    ) -> None:
        self.redact = redact or Redactor()
        self.folder = folder
        self.audit_key = audit_key
        self.anchors = anchors
        self.unsettled: dict[str, str] = {}  # incidents in which nothing may start, and why, as far as it was noticed
        self.embedded = isinstance(engine, Engine)
        self._engine = engine
        # SQLite has one writer: queue here, in order, instead of polling for the lock in the driver
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self.embedded else nullcontext()

    @classmethod
    async def open(
        cls, url: str, folder: Path | None, redact: Redactor | None = None, audit_key_place: AuditKeyPlace | None = None
    ) -> Database:
        """Connect, and bring the tables up to date. "" is SQLite in `folder`; BadConfiguration says what is wrong.

        `redact` knows the configuration's own secrets; without it only what looks like one is taken out. `audit_key_place` says where
        key and anchors lie, if not in the folder."""
        place = _folder(url, folder)
        address = _address(url, place)
        key, anchors = (audit_key_place or AuditKeyPlace()).open(place)
        if address.get_backend_name() == "sqlite" and address.database:
            os.close(os.open(address.database, os.O_RDWR | os.O_CREAT, 0o600))
        database = cls(_engine(address), place, key, anchors, redact)
        try:
            async with database.read() as tx:
                outdated = await tx.run_sync(migrate.outdated)
            if outdated:
                async with database.write() as tx:
                    await tx.run_sync(migrate.up)
        except DBAPIError as error:
            await database.close()
            shown = address.render_as_string(hide_password=True)
            raise BadConfiguration(f"The database {shown} cannot be used: {error.orig}. Check DATABASE_URL.") from None
        return database

    @asynccontextmanager
    async def write(self, lasting: bool = True) -> AsyncIterator[Transaction]:
        """A transaction that may change things; it commits at the end, or leaves nothing behind.

        What need not last does not wait for the disk in SQLite: it outlives the process, and perhaps not a power cut. The
        next transaction that lasts makes it last too. It may add nothing to a timeline."""
        async with self._turn, self._begin(lasting) as transaction:
            yield transaction
            assert lasting or not transaction.heads, "what is anchored has to last"

    def _anchor(self, done: Transaction) -> None:
        """What has been committed, outside. What a crash had taken is on disk now for good."""
        lines = heads_to_lines(done.behind | done.heads, done.named)
        self.anchors.append(lines, sync=done.sync or bool(done.named or done.behind))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only looks."""
        if not isinstance(self._engine, Engine):
            async with self._engine.begin() as connection:
                yield self._transaction(connection)
            return
        with self._engine.connect() as embedded:
            transaction = embedded.begin()
            embedded.exec_driver_sql("BEGIN")
            yield self._transaction(embedded)
            transaction.commit()  # it waits for no disk

    def _transaction(self, connection: AsyncConnection | Connection) -> Transaction:
        return Transaction(connection, self.audit_key, self.anchors, redact=self.redact)

    async def close(self) -> None:
        if isinstance(self._engine, Engine):
            self._engine.dispose()
        else:
            await self._engine.dispose()

    @asynccontextmanager
    async def _begin(self, lasting: bool) -> AsyncIterator[Transaction]:
        if not isinstance(self._engine, Engine):
            async with self._engine.begin() as connection:
                transaction = self._transaction(connection)
                yield transaction
            await _in_thread(partial(self._anchor, transaction))
            return
        with self._engine.connect() as embedded:
            begun = embedded.begin()
            await _write_alone(embedded, lasting)
            transaction = self._transaction(embedded)
            yield transaction  # an error leaves the `with`, which rolls back
            await _in_thread(partial(self._commit, begun, transaction))

    def _commit(self, begun: RootTransaction, transaction: Transaction) -> None:
        begun.commit()
        self._anchor(transaction)


async def _write_alone(connection: Connection, lasting: bool) -> None:
    """Begin to write at once, as nearly always; in a thread where another process writes and has to be waited for."""
    raw: Any = connection.connection.dbapi_connection
    durability = f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}"

    def asked_again() -> None:
        """It waits, or says in SQLAlchemy's words what is wrong."""
        for statement in (f"PRAGMA busy_timeout={BUSY_MS}", durability, ALONE):
            connection.exec_driver_sql(statement)

    try:
        for statement in (durability, "PRAGMA busy_timeout=0", ALONE, f"PRAGMA busy_timeout={BUSY_MS}"):
            raw.execute(statement)
    except sqlite3.Error:
        await _in_thread(asked_again)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run what may wait in a thread. Cancelled, it is waited for all the same: nobody else may touch the connection."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _folder(url: str, folder: Path | None) -> Path:
    if folder is None and not url.startswith("sqlite"):
        raise BadConfiguration("A data folder is needed for the audit key and its anchors. Set STANCH_DATA.")
    place = folder or Path(make_url(url).database or ".").parent
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
    except OSError as error:
        raise BadConfiguration(f"The data folder {place} cannot be used: {error}. Set STANCH_DATA.") from None
    return place


def _address(url: str, folder: Path) -> URL:
    if not url:
        return URL.create("sqlite", database=str(folder / SQLITE_FILE))
    try:
        address = make_url(url)
    except ArgumentError:
        raise BadConfiguration("DATABASE_URL is not an address such as postgresql://user:password@host/name.") from None
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    kind = address.drivername.split("+")[0]
    if kind not in drivers:
        raise BadConfiguration(f"DATABASE_URL names {kind!r}; Stanch keeps its data in sqlite or postgresql.")
    return address.set(drivername=drivers[kind])


def _engine(address: URL) -> AsyncEngine | Engine:
    if address.get_backend_name() != "sqlite":
        return create_async_engine(address, pool_pre_ping=True)
    # never wait for a free connection: that would hold up the loop that has to give one back
    engine = create_engine(
        address, connect_args={"check_same_thread": False}, poolclass=QueuePool, pool_size=5, max_overflow=-1
    )
    _behave(engine)
    return engine


def _behave(engine: Engine) -> None:
    """SQLite as a database: durable, one writer at a time, and a write transaction that starts as one."""

    def connected(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # transactions are ours, not the driver's
        cursor = dbapi.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", connected)
