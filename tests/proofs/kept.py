"""What is kept and what never is: a notification that was answered (I10), and a secret that came in on the way (I14)."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from agent.domain.alert import Alert, AlertStatus
from agent.gate.approval import Answer, decide
from agent.gate.executor import Executor
from agent.service.inbox import Inbox
from agent.store.database import Database
from tests.gate.world import ACTIONS, ANN, NOON, LateClock, Scene, SetReplicas
from tools.context import Context
from tools.errors import Refused
from tools.spec import Receipt, State

SECRET = "canaryPlainPassword77"
SAID = f"no: password={SECRET}"


class Talkative(SetReplicas):
    """A target that tells too much."""

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        if self.replicas == 6:
            raise Refused(f"409, {SAID}")
        await super().apply(context, before, key)
        return Receipt(f"accepted, {SAID}")


def what_was_answered_is_kept() -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_answered(Path(place)))


def what_a_secret_leaves() -> None:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(_told(Path(place)))
        left = [file.name for file in Path(place).rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert left == [], f"I14: a secret stands in {left}"


async def _answered(place: Path) -> None:
    """Each answer is followed by what another process sees."""
    alert = Alert("alertmanager", "f1", AlertStatus.FIRING, {"alertname": "A"}, {}, NOON)
    for known in (False, True):
        db, other = await Database.open("", place), await Database.open("", place)
        told = await Inbox(db, LateClock(NOON)).accept("alertmanager", [alert])
        waiting = await Inbox(other, LateClock(NOON)).waiting()
        await db.close()
        await other.close()
        assert waiting == 1, f"I10: answered with {told}, and {waiting} are kept"
        assert told.duplicate is known, f"I10: {told} for one that was {'known' if known else 'new'}"


async def _told(place: Path) -> None:
    """A person and a target say a secret, the target in refusing and in accepting."""
    db = await Database.open("", place / "data")
    scene = await Scene(db, place / "world").open()
    actions: dict[str, Any] = {**ACTIONS, "set_replicas": Talkative}
    scene.executor = Executor(db, scene.clock, lambda: scene.policy, actions, scene.context, scene.entitled)
    denied = await scene.propose(step="1", arguments={"replicas": 5})
    await decide(db, scene.clock, denied.id, denied.digest, ANN, Answer.DENY, SAID)
    for step, replicas in (("2", 6), ("3", 7)):
        proposal = await scene.approve(await scene.propose(step=step, arguments={"replicas": replicas}))
        await scene.executor.execute(proposal.id, scene.run)
    await db.close()
