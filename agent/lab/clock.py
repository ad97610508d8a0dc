"""The lab's clock. It stands while anyone thinks or decides; in real time it runs with the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MOVE = timedelta(seconds=20)  # what one move of an investigation takes


def millis(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


class LabClock:
    """Satisfies `tools.context.Clock`. `moved` is told each new position, so that another process can go on from it."""

    def __init__(self, now: datetime, moved: Callable[[datetime], None] = lambda when: None) -> None:
        self._now = now
        self._moved = moved

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Jumps: nothing happens in the lab but what the world does by itself."""
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def advance(self, by: timedelta = MOVE) -> None:
        self.move_to(self._now + by)

    def move_to(self, due: datetime) -> None:
        """Never backwards."""
        if due > self._now:
            self._now = due
            self._moved(due)


class RunningClock:
    """The lab in real time: the world's time is the machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
