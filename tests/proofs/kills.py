"""Where a process can die: `python -m tests.proofs.kills` has imported everything and opened nothing, and forks a child for
every life. It reads orders, one JSON a line, and answers each with what became of it.

A life goes from proposal to outcome, or on from where the last one died. It dies before or after every statement, before
every commit, between commit and anchor, and before or after the effect.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from agent.domain.timeline import EventKind
from agent.gate import audit, kill_switch, proposal_store
from agent.gate.approval import Answer, decide
from agent.gate.executor import Outcome
from agent.gate.proposal import Proposal, ProposalState
from agent.store import anchors, decisions, executions, timeline
from agent.store.database import Database, Transaction
from tests.command_line import TOP
from tests.gate.world import ANN, ASK, Scene, World

MEANWHILE = ("nothing", "late", "stopped", "revoked", "changed", "policy")


@dataclass(frozen=True, slots=True)
class Order:
    """`deaths` are the points at which the lives end, one after the other; the last life lives. `meanwhile` is what the
    next life finds changed."""

    incident: str
    action: str
    deaths: tuple[int, ...] = ()
    meanwhile: str = "nothing"


@dataclass
class Story:
    """What became of an order. `points` are those of the last life, `kills` the lives that died where they should."""

    order: dict[str, Any]
    points: int = 0
    kills: int = 0
    effects: int = 0
    outcome: str = ""
    state: str = ""
    violations: list[str] = field(default_factory=list)


class Death:
    """Counts the points at which the process could die, and dies at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0

    def point(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(self, what: str, args: tuple[Any, ...]) -> None:
        """Committed and not yet anchored."""
        if what == "open" and str(args[0]).endswith(anchors.FILE):
            self.point()

    def watch(self, db: Database) -> None:
        engine = db._engine if db.embedded else db._engine.sync_engine  # type: ignore[union-attr]
        for name in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(engine, name, lambda *_: self.point())
        event.listen(engine, "commit", lambda *_: self.point())
        sys.addaudithook(self.opened)


class Lives:
    """All lives of one worker: a database and a folder that they share, an incident and a target for each order."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder

    async def open(self) -> None:
        """The tables are made before anybody dies; migrating has a test of its own."""
        await (await Database.open(self.address, self.folder / "data")).close()

    def tell(self, order: Order) -> Story:
        story = Story(asdict(order))
        for number, at in enumerate([*order.deaths, None]):
            status = in_child(lambda at=at, number=number: self.live(order, at, number))  # type: ignore[misc]
            if at is None and status != 0:
                story.violations.append(f"the last life ended with {status}")
            elif status == -signal.SIGKILL:
                story.kills += 1
            elif status != 0:
                story.violations.append(f"life {number} ended with {status}")
        if story.violations:
            return story
        told = json.loads((self.folder / order.incident / "told").read_text())
        return Story(**asdict(story) | told)

    async def live(self, order: Order, at: int | None, number: int) -> None:
        death = Death(at)
        World.point = staticmethod(death.point)
        db = await Database.open(self.address, self.folder / "data")
        scene = Scene(db, self.folder / order.incident / "world", ASK)
        if number and order.meanwhile != "nothing":
            await change(scene, order)
        death.watch(db)
        await scene.open(order.incident)
        await self.play(scene, order)
        points = death.count
        World.point = staticmethod(lambda: None)
        told = await examine(scene, order) | {"points": points}
        (self.folder / order.incident / "told").write_text(json.dumps(told))
        await db.close()

    async def play(self, scene: Scene, order: Order) -> None:
        """From where it stands to its outcome. What is answered is written down outside, to be held against it later."""
        found = await standing(scene, order)
        if found is None:
            found = await scene.propose(order.action, incident=order.incident)
            scene.world.write("proposed", found.digest)
        if found.state is ProposalState.OPEN:
            if scene.clock.now() > found.approve_by:
                return
            found = await scene.approve(found, ANN)
            scene.world.write("approved", found.digest)
        if found.state in (ProposalState.APPROVED, ProposalState.CLAIMED):
            await scene.executor.execute(found.id, scene.run)


async def standing(scene: Scene, order: Order) -> Proposal | None:
    async with scene.db.read() as tx:
        return next(iter(await proposal_store.of(tx, order.incident)), None)


async def change(scene: Scene, order: Order) -> None:
    """Something comes in between a death and the next life; `in time` says whether it has to be heeded."""
    found = await standing(scene, order)
    match order.meanwhile:
        case "late":
            scene.clock.advance(timedelta(minutes=16))
        case "stopped":
            await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
        case "revoked":
            if found is not None and found.state is ProposalState.APPROVED:
                await decide(scene.db, scene.clock, found.id, found.digest, ANN, Answer.REVOKE, "wait")
        case "changed":
            scene.world.write("version", 7)
        case "policy":
            scene.policy = scene.policy.none()
    if scene.world.read("in time", None) is None:
        async with scene.db.read() as tx:
            row = await executions.get(tx, found.id) if found else None
        stands = found is not None and found.state in (ProposalState.APPROVED, ProposalState.CLAIMED)
        revoked = order.meanwhile != "revoked" or (found is not None and found.state is ProposalState.APPROVED)
        scene.world.write("in time", stands and revoked and (row is None or row.intent_at is None))


async def examine(scene: Scene, order: Order) -> dict[str, Any]:
    """The outcome, and every way in which it is not as promised."""
    found = await standing(scene, order)
    assert found is not None
    if await kill_switch.stopped(scene.db) is not None:
        await kill_switch.press(scene.db, scene.clock, ANN, False, "well again")
    async with scene.db.write() as tx:
        execution = await executions.get(tx, found.id)
        wrong = await violations(tx, scene, order, found, execution)
    effects = scene.world.effects
    outcome = str(execution.outcome) if execution and execution.outcome else ""
    return {"effects": len(effects), "outcome": outcome, "state": str(found.state), "violations": wrong}


async def violations(
    tx: Transaction, scene: Scene, order: Order, found: Proposal, execution: executions.Execution | None
) -> list[str]:
    world, events = scene.world, await timeline.events(tx, order.incident)
    kinds, answers = [e.kind for e in events], await decisions.of(tx, found.id)
    effects, outcome = world.effects, execution.outcome if execution else None
    intents = [e for e in events if e.kind is EventKind.INTENT]
    in_time = bool(world.read("in time", False))
    started = found.state in (ProposalState.CLAIMED, ProposalState.DONE, ProposalState.NOT_DONE, ProposalState.UNKNOWN)
    rules = {
        "I1 the effect is not what was approved": bool(effects)
        and world.read("proposed", found.digest) != found.digest,
        "I1 what was answered for is lost": world.read("proposed", found.digest) != found.digest or not found.intact,
        "I2 an approval is lost": world.read("approved", "") == found.digest
        and not [a for a in answers if a.answer == "approve"],
        "I2 there is an effect without an approval": bool(effects)
        and not [a for a in answers if a.answer == "approve"],
        "I4/I5/I15 it started though something had come in between": in_time and bool(effects),
        "I6 more than one effect": len(effects) > 1 or effects not in ([], [found.key]),
        "I7 done, and nothing happened": outcome is Outcome.DONE and not effects,
        "I7 not done, and it happened": outcome is Outcome.NOT_DONE and bool(effects),
        "I7 there is no outcome": outcome is None and (started or bool(intents)),
        "I7 the timeline tells another outcome": kinds.count(EventKind.OUTCOME) > 1
        or (bool(intents) and [e.data["outcome"] for e in events if e.kind is EventKind.OUTCOME] != [str(outcome)]),
        "I8 an effect without an intent": bool(effects) and len(intents) != 1,
        "I9 a proposal without its one verdict": kinds.count(EventKind.PROPOSAL) != 1
        or kinds.count(EventKind.VERDICT) != 1,
        "I9 decisions differ from the timeline": kinds.count(EventKind.DECISION) != len(answers),
    }
    rows = await audit._rows(tx, order.incident)
    broken = audit.first_break(tx.audit_key, order.incident, rows, tx.anchors.read().get(order.incident, {}))
    return [rule for rule, is_broken in rules.items() if is_broken] + ([f"I9 {broken}"] if broken else [])


def in_child(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run in a forked child; its exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(work())
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def serve(address: str, folder: Path) -> None:
    lives = Lives(address, folder)
    assert in_child(lives.open) == 0
    asyncio.run(lives.live(Order(f"rehearsal-{os.getpid()}", "set_replicas"), None, 0))  # warm, and all is closed again
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection in a child would copy every page that it shares with its parent
    for line in sys.stdin:
        order = Order(**json.loads(line))
        print(json.dumps(asdict(lives.tell(order))), flush=True)


class Workers:
    """Workers side by side, each with a process and a database of its own. "" is SQLite."""

    module = "tests.proofs.kills"  # what they run, and what it tells of an order
    story: type[Any] = Story

    def __init__(self, addresses: Sequence[str]) -> None:
        self.database = "postgresql" if addresses[0] else "sqlite"
        self._places = [tempfile.TemporaryDirectory(prefix="stanch-kills-") for _ in addresses]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", self.module, address, place.name],
                cwd=TOP,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for place, address in zip(self._places, addresses, strict=True)
        ]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()
        for place in self._places:
            place.cleanup()

    def tell(self, orders: Sequence[Any]) -> list[Any]:
        """What became of each order, in their sequence."""
        waiting = queue.SimpleQueue[tuple[int, Any] | None]()
        for numbered in enumerate(orders):
            waiting.put(numbered)
        for _ in self._processes:
            waiting.put(None)
        found: dict[int, Any] = {}

        def work(process: subprocess.Popen[str]) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            while (numbered := waiting.get()) is not None:
                process.stdin.write(json.dumps(asdict(numbered[1])) + "\n")
                process.stdin.flush()
                found[numbered[0]] = self.story(**json.loads(process.stdout.readline()))

        with ThreadPoolExecutor(len(self._processes)) as pool:
            list(pool.map(work, self._processes))
        return [found[number] for number in range(len(orders))]


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
