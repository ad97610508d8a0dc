"""`python -m tests.watched_server FIGURES ARGUMENTS …`: the program itself, with a look at its loop and at its writer.

After SIGUSR1 it begins anew. FIGURES gets one JSON object when it ends: the longest time in which the loop did nothing else, and the longest write
transaction, each with how much of it was processor time of that thread (the rest is the disk, and other processes).
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.api import App, Listener
from agent.app import open_app
from agent.settings import Settings
from agent.store.database import Database, Transaction
from agent.surfaces.cli import main
from tools.context import Clock

EVERY_S = 0.005


@dataclass
class Figures:
    """Milliseconds. `holds` counts those of the loop above 50 ms, `p99` is of all its turns."""

    loop: float = 0.0
    loop_cpu: float = 0.0
    writer: float = 0.0
    writer_cpu: float = 0.0
    writes: int = 0
    collecting: float = 0.0  # the longest that the garbage collector took
    turns: list[float] = field(default_factory=list)

    def begin(self) -> None:
        """Forget what was before: the start of a process is not what is asked about."""
        self.loop = self.loop_cpu = self.writer = self.writer_cpu = self.collecting = self.writes = 0
        self.turns.clear()

    def collected(self, phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            self.collecting = max(self.collecting, (time.thread_time() - self._collecting_since) * 1e3)

    async def watch(self) -> None:
        while True:
            began, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(EVERY_S)
            gap = (time.perf_counter() - began - EVERY_S) * 1e3
            self.turns.append(gap)
            self.loop = max(self.loop, gap)
            self.loop_cpu = max(self.loop_cpu, (time.thread_time() - worked) * 1e3)

    def written(self, seconds: float, cpu: float) -> None:
        self.writes += 1
        self.writer, self.writer_cpu = max(self.writer, seconds * 1e3), max(self.writer_cpu, cpu * 1e3)

    def told(self) -> dict[str, Any]:
        turns = sorted(self.turns) or [0.0]
        return {**asdict(self), "turns": len(turns), "p99": turns[int(len(turns) * 0.99)]}


class Timed:
    """The database's `write`, timed from its beginning to the end of its commit."""

    def __init__(self, db: Database, figures: Figures) -> None:
        self._write, self._figures = db.write, figures

    @asynccontextmanager
    async def write(self, lasting: bool = True) -> AsyncIterator[Transaction]:
        async with self._write(lasting) as tx:
            began, worked = time.perf_counter(), time.thread_time()
            yield tx
            self._figures.written(time.perf_counter() - began, time.thread_time() - worked)


def run(path: Path) -> None:
    figures = Figures()

    @asynccontextmanager
    async def opened(
        settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = ()
    ) -> AsyncIterator[App]:
        async with open_app(settings, clock, listeners) as app:
            db: Any = app.api.run_context.db
            db.write = Timed(db, figures).write
            watching = asyncio.create_task(figures.watch())
            gc.callbacks.append(figures.collected)
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, figures.begin)
            try:
                yield app
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
                path.write_text(json.dumps(figures.told()))

    main(opened)


if __name__ == "__main__":
    figures_path = Path(sys.argv.pop(1))
    run(figures_path)
