"""What the gate adds to an action: `python -m tests.gate.bench [N]`. The action's own time is subtracted."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.gate.ledger import Ledger
from agent.gate.policy import parse
from agent.store.database import Database
from tests.gate.world import ACTIONS, ALLOW, Scene, SetReplicas
from tools.spec import Receipt, State

now: dict[str, Any] = {"replicas": 0}


class Instant(SetReplicas):
    """A target that takes no time."""

    async def observe(self, context: Any) -> State:
        return State(dict(now))

    async def apply(self, context: Any, before: State, key: str) -> Receipt:
        now["replicas"] = self.replicas
        return Receipt("accepted")


async def measure(count: int) -> list[tuple[float, float]]:
    """(wall, CPU) milliseconds of each execution."""
    with tempfile.TemporaryDirectory() as folder:
        db = await Database.open("", Path(folder) / "data")
        scene = await Scene(db, Path(folder) / "world", ALLOW).open()
        scene.policy = parse(ALLOW)
        actions = {**ACTIONS, "set_replicas": Instant}
        scene.ledger = Ledger(db, scene.clock, lambda: scene.policy, actions, scene.context, scene.entitled)
        now["replicas"], times = 0, []
        for n in range(count):
            proposal = await scene.propose(step=str(n), arguments={"replicas": 1 + n % 100})
            begun = time.perf_counter(), time.process_time()
            await scene.ledger.execute(proposal.id, scene.run)
            times.append(((time.perf_counter() - begun[0]) * 1000, (time.process_time() - begun[1]) * 1000))
        await db.close()
        return times


def main() -> None:
    times = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
    print(
        f"ledger.execute on SQLite, without the action's own time, over {len(times)}: "
        f"median {statistics.median(wall for wall, _ in times):.2f} ms "
        f"(CPU {statistics.median(cpu for _, cpu in times):.2f} ms, fastest {min(times)[0]:.2f} ms)"
    )


if __name__ == "__main__":
    main()
