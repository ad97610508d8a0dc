"""Time grid and seeded noise. Every draw is keyed by a name, so that one thing's noise never depends on another's.

A longer horizon only appends: numpy's generators draw in sequence, so the first n values stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating[Any]]  # of either precision
Mask = npt.NDArray[np.bool_]

STEP_MS = 30_000
DAY_MS = 86_400_000
HISTORY_DAYS = 8
HISTORY_STEPS = HISTORY_DAYS * DAY_MS // STEP_MS
KNOT = 10  # steps between two values of the slow noise: five minutes


def generator(seed: int, *key: object) -> np.random.Generator:
    """A generator that depends on the seed and the key's text only."""
    return np.random.default_rng([seed, crc32("/".join(str(part) for part in key).encode())])


@dataclass(frozen=True)
class Grid:
    """Steps of 30 s from eight days before `start_ms` on; `steps` of them."""

    seed: int
    start_ms: int
    steps: int

    @property
    def first_ms(self) -> int:
        return self.start_ms - HISTORY_STEPS * STEP_MS

    @cached_property
    def times(self) -> npt.NDArray[np.int64]:
        return self.first_ms + STEP_MS * np.arange(self.steps, dtype=np.int64)

    @cached_property
    def hours(self) -> Array:
        """Hours since Monday 00:00 UTC, for daily and weekly patterns."""
        return np.asarray(((self.times - 4 * DAY_MS) % (7 * DAY_MS)) / 3_600_000.0)

    def index(self, at_ms: float) -> int:
        """The first step at or after a time, within 0 … steps."""
        return min(max(-int((self.first_ms - at_ms) // STEP_MS), 0), self.steps)

    def white(self, *key: object) -> Array:
        """Independent standard normal values."""
        return _white(self, key)

    def heavy(self, *key: object) -> Array:
        """Student-t values with three degrees of freedom, cut at ±12, of about unit variance: mostly calm, at times not."""
        return _heavy(self, key)

    def slow(self, *key: object, hours: float = 1.5) -> Array:
        """AR(1) noise of unit variance with the given correlation time, drawn each five minutes and interpolated."""
        return _slow(self, key, hours)

    def ramp(self, from_ms: float, over_ms: float, until_ms: float | None = None) -> Array:
        """0 before, rising to 1 over `over_ms`, and back to 0 over the same time after `until_ms`."""
        up: Array = np.clip((self.times - from_ms) / max(over_ms, 1.0), 0.0, 1.0)
        if until_ms is None:
            return up
        return np.asarray(up * (1 - np.clip((self.times - until_ms) / max(over_ms, 1.0), 0.0, 1.0)))


@lru_cache(maxsize=512)
def _white(grid: Grid, key: tuple[object, ...]) -> Array:
    return generator(grid.seed, *key).standard_normal(grid.steps)


@lru_cache(maxsize=512)
def _heavy(grid: Grid, key: tuple[object, ...]) -> Array:
    pairs = generator(grid.seed, *key).standard_normal((grid.steps, 4))
    squares = pairs[:, 1] * pairs[:, 1] + pairs[:, 2] * pairs[:, 2] + pairs[:, 3] * pairs[:, 3]
    return np.asarray(np.clip(pairs[:, 0] / np.sqrt(squares / 3), -12, 12) / 1.7)


@lru_cache(maxsize=512)
def _slow(grid: Grid, key: tuple[object, ...], hours: float) -> Array:
    knots = -(-grid.steps // KNOT) + 2
    shocks = generator(grid.seed, *key).standard_normal(knots).tolist()
    keep = float(np.exp(-(KNOT * STEP_MS) / (hours * 3_600_000)))
    fresh = (1 - keep * keep) ** 0.5
    values, last = [], shocks[0]
    for shock in shocks:
        last = keep * last + fresh * shock
        values.append(last)
    return np.asarray(np.interp(np.arange(grid.steps), KNOT * np.arange(knots), values))
