"""How unusual values are, and when a change began. Robust statistics in numpy."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tools.analysis.series import Floats, Series

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_FLOOR = 0.02  # of the level: a flat history does not make every flicker an anomaly


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
