"""kill -9 at every kind of point from approval to outcome, and again while recovering: at most one effect, honestly told.

Children fork from a parent that has opened nothing, so that a kill costs milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from agent.case.timeline import EventKind
from agent.gate import audit
from agent.gate.ledger import Outcome
from agent.store import executions, timeline
from agent.store.database import Database
from tests.gate.world import Scene, World


class Death:
    """Counts the points at which the process could die, and dies at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0

    def point(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, db: Database) -> None:
        for name in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(db._engine, name, self.statement)
        event.listen(db._engine, "commit", self.point)

    def statement(self, *_: Any) -> None:
        self.point()


def in_child(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run in a forked child; its exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(work())
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def prepare(folder: Path, action: str) -> None:
    db = await Database.open("", folder / "data")
    scene = await Scene(db, folder / "world").open()
    await scene.approve(await scene.propose(action))
    await db.close()


async def run(folder: Path, at: int | None) -> None:
    """Take the incident over and execute, dying at point `at`; without one, note how many points there were."""
    death = Death(at)
    World.point = staticmethod(death.point)
    db = await Database.open("", folder / "data")
    death.watch(db)
    scene = await Scene(db, folder / "world").open()
    await scene.ledger.execute("inc-p1", scene.run)
    (folder / "points").write_text(str(death.count))
    await db.close()


async def examine(folder: Path) -> None:
    db = await Database.open("", folder / "data")
    async with db.read() as tx:
        found = await executions.get(tx, "inc-p1")
        kinds = [str(e.kind) for e in await timeline.events(tx, "inc")]
    broken = [str(one) for one in await audit.verify(db)]
    await db.close()
    told = {"outcome": str(found.outcome) if found else None, "kinds": kinds, "broken": broken}
    (folder / "told").write_text(json.dumps(told))


def spread(count: int, wanted: int) -> list[int]:
    return sorted({1 + round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with an approved proposal, and the number of points of an undisturbed run."""
    made: dict[str, Path] = {}

    def template(action: str) -> Path:
        if action not in made:
            folder = tmp_path_factory.mktemp(action)
            assert in_child(lambda: prepare(folder / "start", action)) == 0
            shutil.copytree(folder / "start", folder / "whole")
            assert in_child(lambda: run(folder / "whole", None)) == 0
            made[action] = folder
        return made[action]

    return template


@pytest.mark.parametrize(
    ("action", "kills", "may_be_unknown"),
    [("set_replicas", 30, False), ("probed", 6, False), ("restart", 6, False), ("blind", 6, True)],
)
def test_killed_anywhere_it_has_one_effect_at_most_and_says_the_truth(
    templates: Callable[[str], Path], tmp_path: Path, action: str, kills: int, may_be_unknown: bool
) -> None:
    template = templates(action)
    points = int((template / "whole" / "points").read_text())
    assert points > 40, "every statement and commit is a point"
    unknown = effects = 0
    for number, at in enumerate(spread(points, kills)):
        folder = tmp_path / str(at)
        shutil.copytree(template / "start", folder)
        assert in_child(lambda folder=folder, at=at: run(folder, at)) == -signal.SIGKILL  # type: ignore[misc]
        if number % 3 == 0:  # and once more, somewhere in the recovery
            in_child(lambda folder=folder, at=at: run(folder, 3 + at % 20))  # type: ignore[misc]
        assert in_child(lambda folder=folder: run(folder, None)) == 0  # type: ignore[misc]
        assert in_child(lambda folder=folder: examine(folder)) == 0  # type: ignore[misc]
        told = json.loads((folder / "told").read_text())
        seen = World(folder / "world").effects
        assert len(seen) <= 1, f"killed at {at}: {len(seen)} effects"
        assert told["broken"] == []
        assert not seen or str(EventKind.INTENT) in told["kinds"]
        assert told["outcome"] in (("DONE", "UNKNOWN") if seen else ("NOT_DONE", "UNKNOWN")), f"killed at {at}: {told}"
        assert told["kinds"].count(str(EventKind.OUTCOME)) == 1
        unknown += told["outcome"] == Outcome.UNKNOWN
        effects += len(seen)
    assert effects > 0
    assert may_be_unknown or unknown == 0
