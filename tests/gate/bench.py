"""What the gate adds to an action: `python -m tests.gate.bench [N]`. The action's own time is subtracted."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.gate.executor import Executor
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
        scene.executor = Executor(db, scene.clock, lambda: scene.policy, actions, scene.context, scene.entitled)
        now["replicas"], times = 0, []
        for n in range(count):
            proposal = await scene.propose(step=str(n), arguments={"replicas": 1 + n % 100})
            begun = time.perf_counter(), time.process_time()
            await scene.executor.execute(proposal.id, scene.run)
            times.append(((time.perf_counter() - begun[0]) * 1000, (time.process_time() - begun[1]) * 1000))
        await db.close()
        return times


def quietest(rounds: int, count: int) -> tuple[float, float, list[float]]:
    """(wall, CPU) of the round with the least median, and all rounds' medians: as timeit has it, the least is what the code
    costs, and the rest what else the machine did."""
    medians = []
    for _ in range(rounds):
        times = asyncio.run(measure(count))[10:]  # a process's first ones compile every statement
        medians.append((statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)))
    return *min(medians), [wall for wall, _ in medians]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    wall, cpu, medians = quietest(5, count)
    print(
        f"executor.execute on SQLite, without the action's own time, median of {count}: {wall:.2f} ms (CPU {cpu:.2f} ms) "
        f"in the quietest of 5 rounds ({', '.join(f'{median:.2f}' for median in medians)})"
    )


if __name__ == "__main__":
    main()
