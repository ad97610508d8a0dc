"""Portions: what is long is done a piece at a time, and others have the loop and the database in between."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
PORTION = 50  # alerts of one row of the inbox, and of one transaction that makes incidents of them: about 15 ms
Steps = Generator[None, None, T]  # work that may be left off at every `yield`; it returns what it made


def portions(items: Sequence[T], size: int = PORTION) -> Iterator[Sequence[T]]:
    """In order, each of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def at_once(steps: Steps[T]) -> T:
    """Do all of it now."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: T = end.value
            return made


async def by_portions(steps: Steps[T], turn: asyncio.Lock) -> T:
    """Do it a step at a time. `turn` is shared by all who do so: one step of one of them in a turn of the loop."""
    while True:
        async with turn:
            try:
                next(steps)
            except StopIteration as end:
                made: T = end.value
                return made
            await asyncio.sleep(0)
