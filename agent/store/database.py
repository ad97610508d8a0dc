"""The database: one engine, transactions that read and transactions that write, and the key of the audit chain."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, Executable, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from agent.errors import BadConfiguration
from agent.store import anchors, migrate
from agent.store.anchors import Head

SQLITE_FILE = "stanch.db"
KEY_FILE = "audit.key"
BUSY_MS = 10_000


@dataclass
class Transaction:
    """One transaction. Store functions take it first; what they changed is seen by others when it commits."""

    connection: AsyncConnection
    audit_key: bytes
    heads: dict[str, Head] = field(default_factory=dict)  # timelines appended to, anchored after the commit

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        return await self.connection.execute(statement, values)


class Database:
    """Open with `Database.open`. A `write()` inside a `write()` of the same task waits for itself: pass the transaction on."""

    def __init__(self, engine: AsyncEngine, folder: Path, audit_key: bytes) -> None:
        self.folder = folder
        self.audit_key = audit_key
        self.embedded = engine.dialect.name == "sqlite"
        self._engine = engine
        self._writer = engine.execution_options(write=True)
        # SQLite has one writer: queue here, in order, instead of polling for the lock in the driver
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self.embedded else nullcontext()

    @classmethod
    async def open(cls, url: str, folder: Path | None) -> Database:
        """Connect, and bring the tables up to date. "" is SQLite in `folder`; BadConfiguration says what is wrong."""
        place = _folder(url, folder)
        address = _address(url, place)
        key = _audit_key(place)
        if address.get_backend_name() == "sqlite" and address.database:
            os.close(os.open(address.database, os.O_RDWR | os.O_CREAT, 0o600))
        engine = create_async_engine(address, pool_pre_ping=address.get_backend_name() != "sqlite")
        if engine.dialect.name == "sqlite":
            _behave(engine)
        database = cls(engine, place, key)
        try:
            await migrate.up(database._engine, database._writer)
        except (DBAPIError, OperationalError) as error:
            await engine.dispose()
            shown = address.render_as_string(hide_password=True)
            raise BadConfiguration(f"The database {shown} cannot be used: {error.orig}. Check DATABASE_URL.") from None
        return database

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that may change things; it commits at the end, or leaves nothing behind."""
        async with self._turn:
            async with self._writer.begin() as connection:
                transaction = Transaction(connection, self.audit_key)
                yield transaction
            anchors.append(self.folder, transaction.heads)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only looks."""
        async with self._engine.connect() as connection, connection.begin():
            yield Transaction(connection, self.audit_key)

    async def close(self) -> None:
        await self._engine.dispose()


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
        return URL.create("sqlite+aiosqlite", database=str(folder / SQLITE_FILE))
    try:
        address = make_url(url)
    except ArgumentError:
        raise BadConfiguration("DATABASE_URL is not an address such as postgresql://user:password@host/name.") from None
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    kind = address.drivername.split("+")[0]
    if kind not in drivers:
        raise BadConfiguration(f"DATABASE_URL names {kind!r}; Stanch keeps its data in sqlite or postgresql.")
    return address.set(drivername=drivers[kind])


def _audit_key(folder: Path) -> bytes:
    """32 random bytes, made once. Made under another name and linked, so that two processes agree on one."""
    path = folder / KEY_FILE
    if not path.exists():
        fresh = folder / f"{KEY_FILE}.{os.getpid()}"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, secrets.token_bytes(32))
        os.fsync(file)
        os.close(file)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise BadConfiguration(f"{path} holds {len(key)} bytes instead of 32. Put the right key back from a backup.")
    return key


def _behave(engine: AsyncEngine) -> None:
    """SQLite as a database: durable, one writer at a time, and a write transaction that starts as one."""

    def connected(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # transactions are ours, not the driver's
        cursor = dbapi.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begin)
