"""A hundred decisions at once, by three processes on one database: one effect each, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.domain.catalog import Person
from agent.errors import Outdated, Overtaken
from agent.gate import audit, proposal_store
from agent.gate.approval import Answer, decide
from agent.store import decisions, executions
from agent.store.database import Database
from tests.command_line import TOP
from tests.gate.world import ASK, Scene
from tests.proofs.report import Report

PROCESSES, AT_ONCE, ROUNDS, ALL_ROUNDS = 3, 100, 3, 100
CROWD = [f"person{n}" for n in range(AT_ONCE)]


async def crowd(scene: Scene, incident: str, mine: range) -> dict[str, int]:
    """These people approve, all at once, and each of them then lets the runner of this process execute."""
    counts = {"counted": 0, "too late": 0, "done": 0}
    async with scene.db.read() as tx:
        (proposal,) = await proposal_store.of(tx, incident)

    async def one(name: str) -> None:
        person = Person(f"os:{name}", name, ("oncall",))
        try:
            await decide(scene.db, scene.clock, proposal.id, proposal.digest, person, Answer.APPROVE)
            counts["counted"] += 1
        except Outdated:
            counts["too late"] += 1
        ended = await scene.executor.execute(proposal.id, scene.run)
        counts["done"] += ended.outcome == "DONE"

    for ended in await asyncio.gather(*(one(CROWD[n]) for n in mine), return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, Overtaken):
            raise ended
    return counts


async def serve(address: str, place: Path, number: int) -> None:
    """One of the processes: a round for each line that it reads."""
    db = await Database.open(address, place / "data")
    for line in sys.stdin:
        incident, run = json.loads(line)
        scene = crowded(db, place / incident)
        scene.run = run
        print(json.dumps(await crowd(scene, incident, range(number, AT_ONCE, PROCESSES))), flush=True)
    await db.close()


def crowded(db: Database, world: Path) -> Scene:
    scene = Scene(db, world, ASK)
    scene.groups = {"oncall": CROWD}
    return scene


@pytest.fixture
def processes(address: str, tmp_path: Path) -> Any:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.test_concurrency", address, str(tmp_path), str(n)],
            cwd=TOP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    yield started
    for process in started:
        process.communicate()
        assert process.returncode == 0


async def test_a_hundred_decisions_at_once_have_one_effect(
    address: str, processes: list[subprocess.Popen[str]], tmp_path: Path, report: Report
) -> None:
    db = await Database.open(address, tmp_path / "data")
    rounds, violations = ALL_ROUNDS if report.long else ROUNDS, []
    for number in range(rounds):
        incident = f"round-{number}"
        scene = crowded(db, tmp_path / incident)
        await scene.open(incident)
        proposal = await scene.propose("probed", incident=incident)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps([incident, scene.run]) + "\n")
            process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for process in processes if process.stdout is not None]
        async with db.read() as tx:
            ended, made = await executions.get(tx, proposal.id), await decisions.of(tx, proposal.id)
        found = (scene.world.effects, str(ended.outcome) if ended else None, len(made), sum(t["counted"] for t in told))
        if found != ([proposal.key], "DONE", 1, 1):
            violations.append(f"{incident}: {found}")
        assert sum(t["counted"] + t["too late"] for t in told) == AT_ONCE
    broken = await audit.verify(db)
    await db.close()
    made_at_once = {"rounds": rounds, "decisions": rounds * AT_ONCE}
    report.add("postgresql" if address else "sqlite", at_once=made_at_once, violations=len(violations) + len(broken))
    assert (violations, broken) == ([], [])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
