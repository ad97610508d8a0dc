"""How unusual values are, when a change began, and whether it was a spike or a new level. Robust statistics in numpy."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tools.analysis.series import Floats, Series

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_FLOOR = 0.02  # of the level: a flat history does not make every flicker an anomaly


class Shape(StrEnum):
    STEADY = "steady"
    SPIKE = "spike"  # went and came back
    SHIFT = "level shift"  # went and stayed


def spread(values: Floats) -> float:
    """Robust standard deviation: scaled median absolute deviation, floored at 2 % of the level."""
    if not values.size:
        return float("nan")
    level = float(np.median(values))
    return max(_MAD_TO_SIGMA * float(np.median(np.abs(values - level))), _FLOOR * abs(level), 1e-9)


def robust_z(now: Floats, earlier: Sequence[Floats]) -> float | None:
    """Distance of now's median from the earlier median, in robust standard deviations of the earlier values.

    With several earlier windows the nearest one counts: now is usual if any of them was like it. None without data.
    """
    scores = [
        (float(np.median(now)) - float(np.median(reference))) / spread(reference)
        for reference in earlier
        if reference.size and now.size
    ]
    return min(scores, key=abs) if scores else None


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """`at` is the unix time of the first sample of the new level; `p` the test's probability of so clear a change by chance."""

    at: float
    before: float
    after: float
    p: float


def change_point(series: Series) -> ChangePoint | None:
    """The most likely single change of level by Pettitt's rank test (A. N. Pettitt, Appl. Stat. 28, 1979, 126–135).

    None for fewer than 8 finite samples, or when p > 0.01.
    """
    finite = np.isfinite(series.values)
    times, values = series.times[finite], series.values[finite]
    n = values.size
    if n < 8:
        return None
    ranks = np.searchsorted(np.sort(values), values, "left") + np.searchsorted(np.sort(values), values, "right") + 1
    u = 2 * np.cumsum(ranks / 2) - np.arange(1, n + 1) * (n + 1)
    k = int(np.argmax(np.abs(u[:-1])))
    p = min(1.0, 2 * math.exp(-6 * float(u[k]) ** 2 / (n**3 + n**2)))
    if p > 0.01:
        return None
    return ChangePoint(float(times[k + 1]), float(np.median(values[: k + 1])), float(np.median(values[k + 1 :])), p)


def breach_began(series: Series, op: str, limit: float, tolerate: int = 2) -> float | None:
    """When the breach that holds at the end of the series began: unix time of its first sample.

    Up to `tolerate` samples in a row on the good side do not end it. None when the last samples are on the good side.
    """
    bad = np.array([OPERATORS[op](v, limit) for v in series.values], dtype=bool) & np.isfinite(series.values)
    began, good = None, 0
    for index in range(bad.size - 1, -1, -1):
        if bad[index]:
            began, good = float(series.times[index]), 0
        else:
            good += 1
            if good > tolerate:
                break
    return began


def onset(
    series: Series, reference: Floats, threshold: float = 4.0, lasting: int = 2, floor: float = 0.0
) -> float | None:
    """First time at which `lasting` samples in a row lie more than `threshold` robust deviations from the reference.

    `floor` is the least deviation taken for real, in the series' unit.
    """
    if not reference.size or not series.values.size:
        return None
    far = np.abs(series.values - np.median(reference)) > threshold * max(spread(reference), floor)
    run = 0
    for index, out in enumerate(far):
        run = run + 1 if out else 0
        if run == lasting:
            return float(series.times[index - lasting + 1])
    return None


def shape(series: Series, reference: Floats, threshold: float = 4.0) -> Shape:
    """Spike when it left the reference's band and came back for the last fifth, level shift when it stayed out."""
    began = onset(series, reference, threshold)
    if began is None:
        return Shape.STEADY
    after = series.values[series.times >= began]
    tail = after[-max(2, after.size // 5) :]
    far = np.abs(tail - np.median(reference)) > threshold * spread(reference)
    return Shape.SHIFT if far.mean() >= 0.5 else Shape.SPIKE
