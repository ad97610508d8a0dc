"""The gate on a stage: one database, two runners, and hooks at every point at which something may come in between."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from agent.clock import MovedClock, parse_time
from agent.domain.catalog import Person
from agent.gate import audit, startup_audit
from agent.gate.approval import Decided, decide
from agent.gate.executor import PATIENCE, Executor
from agent.gate.proposal import Proposal
from agent.store import anchors, executions
from agent.store.database import SQLITE_FILE, Database
from agent.store.executions import Execution
from tests.gate.world import ACTIONS, NOON, Base, Scene, World
from tools.context import Context


class Crash(
    Exception
):  # a BaseException would have SQLAlchemy close the connection under an open cursor, and leave its lock
    """The process is gone: nothing of ours catches this."""


class Stage(Scene):
    """`at` counts points down (statements, commits, effects, waits) and then does `then`; `meanwhile` happens between the
    claim and the second look."""

    def __init__(self, db: Database, folder: Path, policy: str) -> None:
        super().__init__(db, folder / "world", policy)
        self.folder = folder
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.at = 0
        self.then: Callable[[], None] = lambda: None
        self.slept = False
        self.arrived: Callable[[str, Base], None] = lambda _key, _action: None
        self.wrong: list[str] = []
        self.clock.point = self._sleep
        self._watch(db)

    @classmethod
    async def opened(cls, folder: Path, policy: str) -> Stage:
        shutil.copytree(await _template(), folder / "data")
        return cls(await Database.open("", folder / "data"), folder, policy)

    async def context(self, incident: str) -> Context:
        if self.meanwhile is not None:
            change, self.meanwhile = self.meanwhile, None
            await change()
        return await super().context(incident)

    async def restart(self) -> None:
        """A new process takes the incident over."""
        self.at, self.meanwhile, self.slept = 0, None, False
        await self.db.close()
        self.db = await Database.open("", self.folder / "data")
        self._watch(self.db)
        self.executor = self.runner(self.db)
        await self.open()

    def runner(self, db: Database) -> Executor:
        return Executor(db, self.clock, lambda: self.policy, ACTIONS, self.context, self.entitled)

    async def decide(
        self, proposal: Proposal, digest: str, person: Person, answer: str, db: Database | None = None
    ) -> Decided:
        """As the api has it: by the policy of today."""
        return await decide(db or self.db, self.clock, proposal.id, digest, person, answer, policy=self.policy)

    async def row(self, proposal: str) -> Execution | None:
        async with self.db.read() as tx:
            return await executions.get(tx, proposal)

    def targets(self) -> list[World]:
        return [self.world, World(self.world.folder / "api")]

    def effects(self) -> list[str]:
        return [key for target in self.targets() for key in target.effects]

    def caused(self) -> list[str]:
        """The keys of all effects, and of those that a target has taken on and that are still to come."""
        return [*self.effects(), *(key for target in self.targets() for key in target.coming)]

    def crash(self) -> None:
        raise Crash

    def jump(self) -> None:
        self.clock.advance(timedelta(seconds=30))

    def sending(self, key: str, action: Base) -> None:
        """What reaches a target must have been announced: durably, and only just now."""
        self.arrived(key, action)
        asked = (
            "SELECT x.intent_at, e.n FROM executions x JOIN events e ON e.key = 'intent:' || x.proposal WHERE x.key = ?"
        )
        with closing(sqlite3.connect(self.db.folder / SQLITE_FILE)) as committed:
            found = committed.execute(asked, (key,)).fetchone()
        if found is None or found[0] is None:
            self.wrong.append("I8: sent without a durable intent on the timeline")
        elif self.clock.now() - parse_time(f"{found[0]}+00:00") > PATIENCE:
            self.wrong.append("I6: sent long after its intent, when a successor may have looked already")

    def _sleep(self) -> None:
        self.slept = True
        self._point()

    def _point(self, *_: Any) -> None:
        self.at -= 1
        if self.at == 0:
            self.then()

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):  # an exception in there would leave a transaction that nobody ends
            self._point()

    def _watch(self, db: Database) -> None:
        for name in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(db._engine, name, self._statement)
        event.listen(db._engine, "commit", self._point)


async def vandalised(folder: Path, statements: list[str], without_anchors: bool) -> list[str]:
    """What the audit finds in a copy of the data after somebody has changed the database by hand."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "data"
        shutil.copytree(folder, copy)
        if without_anchors:
            (copy / anchors.FILE).unlink()
        with closing(sqlite3.connect(copy / SQLITE_FILE)) as raw:
            for statement in statements:
                raw.execute(statement)
            raw.commit()
        db = await Database.open("", copy)
        found = [str(one) for one in await audit.verify(db) if one.incident == "inc"]
        await db.close()
        return found


_made: list[Path] = []


async def _template() -> Path:
    """An empty database, made once a process."""
    if not _made:
        place = Path(tempfile.mkdtemp(prefix="stanch-template-")) / "data"
        place.mkdir(mode=0o700)
        (place / "audit.key").write_bytes(b"k" * 32)
        (place / "audit.key").chmod(0o600)
        db = await Database.open("", place)
        await startup_audit.open_memory(db, MovedClock(NOON))
        await db.close()
        _made.append(place)
    return _made[0]
