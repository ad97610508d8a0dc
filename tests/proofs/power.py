"""Where the power can fail: `python -m tests.proofs.power` is as tests.proofs.kills, and takes from the disk what was not on it.

The model of a power cut, of SQLite and the anchors of one data folder:

* The database is as its last commit under `PRAGMA synchronous=FULL` left it. The level is read from the connection at each
  commit; what was committed under NORMAL since then (claims) is gone, as the whole of it could be.
* The anchors hold what they held when fsync last returned for them. What was written since is gone (`torn` 0), there but for
  its last line (1), or there but for half of its last line (2): a suffix of any length could be missing.
* The key is made under fsync. The target and what people have been told (`proposed`, `approved`, `stopped` in its folder) are
  other machines: they keep everything.

What it does not show: pages of a file that reach the disk in another order than they were written, disks that lie about fsync,
and PostgreSQL, whose durability is its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import RootTransaction

from agent.domain.catalog import Person
from agent.gate import audit, kill_switch, startup_audit
from agent.gate.proposal import Proposal
from agent.store import anchors, timeline
from agent.store.database import SQLITE_FILE, Database, Transaction
from tests.gate.world import ANN, ASK, Scene, World
from tests.proofs import kills
from tests.proofs.kills import Death, Lives, Order, Story, in_child

FULL = 2
RESUMING = "somebody resumes, and has not been told that it is done"


@dataclass(frozen=True, slots=True)
class Cut(Order):
    """An order of which every death is a power cut. `torn` says how much of what was not synced is lost."""

    torn: int = 0


class Disk:
    """What a power cut would leave of one data folder, kept beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder.with_name("on disk")

    def keep_database(self) -> None:
        for end in ("", "-wal"):
            self._keep(self.folder / f"{SQLITE_FILE}{end}")

    def keep_anchors(self) -> None:
        self._keep(self.folder / anchors.FILE)

    def _keep(self, path: Path) -> None:
        self.kept.mkdir(exist_ok=True)
        if path.exists():
            shutil.copyfile(path, self.kept / path.name)

    def must_hold(self, text: str, what: str) -> None:
        assert text in (self.kept / anchors.FILE).read_text(), f"{what}, and its anchor is not on disk"

    def fail(self, torn: int) -> None:
        """The power fails, and comes back."""
        written = (self.folder / anchors.FILE).read_bytes()
        synced = (self.kept / anchors.FILE).read_bytes()
        for path in self.folder.iterdir():
            if path.name.startswith((SQLITE_FILE, anchors.FILE)):
                path.unlink()
        for path in self.kept.iterdir():
            shutil.copyfile(path, self.folder / path.name)
        (self.folder / anchors.FILE).write_bytes(left(synced, written, torn))


def left(synced: bytes, written: bytes, torn: int) -> bytes:
    """The anchors after the cut."""
    assert written.startswith(synced), "what was on disk is not written again"
    lines = written[len(synced) :].splitlines(keepends=True)
    if not lines or torn == 0:
        return synced
    last = lines[-1][: len(lines[-1]) // 2] if torn == 2 else b""
    return synced + b"".join(lines[:-1]) + last


class Recorded(Database):
    """Tells a disk what is on it: after a commit, if that waits for the disk."""

    disk: Disk

    def _commit(self, begun: RootTransaction, transaction: Transaction) -> None:
        connection = begun.connection
        level = connection.connection.cursor().execute("PRAGMA synchronous").fetchone()[0]
        begun.commit()
        if level >= FULL:
            self.disk.keep_database()
        self._anchor(transaction)


class Acknowledging(Scene):
    """What people are told, and what is sent, has its anchor on disk."""

    disk: Disk

    async def approve(self, proposal: Proposal, *people: Person) -> Proposal:
        decided = await super().approve(proposal, *people)
        self.disk.must_hold(f'"incident":"{proposal.incident}","n":3', "I9: a decision was acknowledged")
        return decided

    async def press(self, on: bool, reason: str) -> None:
        await kill_switch.press(self.db, self.clock, ANN, on, reason)
        async with self.db.read() as tx:
            n = (await timeline.head(tx, kill_switch.RECORD)).n
        self.disk.must_hold(f'"incident":"{kill_switch.RECORD}","n":{n}', "I9: a stop or its end was acknowledged")

    def sent(self, key: str, _target: object = None) -> None:
        self.disk.must_hold(f'"proposal":"{key.removeprefix("stanch-").rpartition("-")[0]}"', "I8: something was sent")


class Powered(Lives):
    """As the lives of kills, with a folder of its own for each order, and a power cut for each death."""

    async def open(self) -> None:
        """A founded folder for all to begin with."""
        db = await Database.open("", self.folder / "founded")
        await startup_audit.open_memory(db, Scene(db, self.folder / "nobody").clock)
        await db.close()

    def tell(self, order: Order) -> Story:
        self.laid_out(order)
        return super().tell(order)

    def laid_out(self, order: Order) -> None:
        """Its own folder, and what is on disk of it."""
        place = self.folder / order.incident / "data"
        if not place.exists():
            shutil.copytree(self.folder / "founded", place)
            disk = Disk(place)
            disk.keep_database()
            disk.keep_anchors()

    async def live(self, order: Order, at: int | None, number: int) -> None:
        place, death = self.folder / order.incident / "data", Death(at)
        disk = Recorded.disk = Disk(place)
        if number:
            disk.fail(order.torn if isinstance(order, Cut) else 0)
        real = record_syncs(disk, death)
        World.point = staticmethod(death.point)
        db = await Recorded.open("", place)
        scene = Acknowledging(db, self.folder / order.incident / "world", ASK)
        scene.disk, World.reached = disk, staticmethod(scene.sent)
        await startup_audit.open_memory(db, scene.clock)
        assert db.unsettled == {}, f"I11: after a power cut a person has to settle {db.unsettled}"
        if number and order.meanwhile != "nothing":
            await kills.change(scene, order)
        death.watch(db)
        await scene.open(order.incident)
        await self.play(scene, order)
        points = death.count
        World.point = staticmethod(lambda _key: None)
        told = await examined(scene, order) | {"points": points}
        (self.folder / order.incident / "told").write_text(json.dumps(told))
        await db.close()
        os.fsync = real

    async def play(self, scene: Scene, order: Order) -> None:
        """In the middle somebody stops everything, is told so, and resumes."""
        assert isinstance(scene, Acknowledging)
        if scene.world.read("stopped", None) is None and order.action == "restart":
            if await kill_switch.stopped(scene.db) is None:
                await scene.press(True, "smells")
            scene.world.write("stopped", True)
        if scene.world.read("stopped", False) is True:
            assert await kill_switch.stopped(scene.db) is not None, "I15: a stop that was acknowledged is lost"
            scene.world.write("stopped", RESUMING)
        if scene.world.read("stopped", False) == RESUMING:
            if await kill_switch.stopped(scene.db) is not None:
                await scene.press(False, "fine")
            scene.world.write("stopped", False)
        elif order.action == "restart" and await kill_switch.stopped(scene.db) is not None:
            raise AssertionError("I15: a resume that was acknowledged is lost")
        await super().play(scene, order)


async def examined(scene: Scene, order: Order) -> dict[str, Any]:
    told = await kills.examine(scene, order)
    broken = [f"I9 {one}" for one in await audit.verify(scene.db)]
    return told | {"violations": [*told["violations"], *broken]}


def record_syncs(disk: Disk, death: Death) -> Callable[[int], None]:
    """This life's fsync: a real one, after which the disk keeps the file. The power may fail before it and after it. Gives
    the one that was there before."""
    real = os.fsync

    def fsync(file: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        death.point()
        real(file)
        if path.name == anchors.FILE:
            disk.keep_anchors()
        death.point()

    os.fsync = fsync  # type: ignore[assignment]
    return real


def serve(folder: Path) -> None:
    lives = Powered("", folder)
    assert in_child(lives.open) == 0
    lives.laid_out(Cut("rehearsal", "set_replicas"))
    asyncio.run(lives.live(Cut("rehearsal", "set_replicas"), None, 0))  # warm, and all is closed again
    gc.collect()
    gc.freeze()
    gc.disable()  # as in kills
    for line in sys.stdin:
        print(json.dumps(asdict(lives.tell(Cut(**json.loads(line))))), flush=True)


class PowerCuts(kills.Workers):
    module = "tests.proofs.power"


if __name__ == "__main__":
    serve(Path(sys.argv[2]))
