"""Functions over ranges: `rate`, `deriv`, `avg_over_time` and their kin, each over all series and steps at once.

A function gets the windows and returns one value a window, plus the fewest samples it needs. Sums are made in extended
precision, where Prometheus compensates for rounding, so that both end at the same double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from agent.lab.ports import Floats
from agent.lab.promql.quantile import grouped_quantile
from agent.lab.promql.values import Bools, Frame, Indexes, Vector, Windows, nameless, relabelled

BLOCK = 2_000_000  # samples that are expanded at once


def over_windows(name: str, windows: Windows, parameter: Floats | None, frame: Frame) -> Vector:
    """Applies a function of `FUNCTIONS`; where a window has too few samples the result has none."""
    compute, needs = FUNCTIONS[name]
    present = (windows.high - windows.low) >= needs
    values = np.zeros(present.shape)
    if present.any():
        values = compute(windows, present, np.zeros(0) if parameter is None else parameter, frame)
        if compute is rate_at_the_end or compute is difference_at_the_end:
            present &= windows.times[windows.high - 1] != windows.times[windows.high - 2]
    if name == "last_over_time":
        return Vector(windows.labels, values, present)
    keep = np.flatnonzero(present.any(axis=1)).tolist()
    labels = [nameless(windows.labels[row]) for row in keep]
    return relabelled(Vector(labels, values[keep], present[keep]), labels, whole=True)


def ends_of(windows: Windows, present: Bools) -> tuple[Indexes, Indexes]:
    """Indexes of the first and the last sample of each window; index 0 where it has too few."""
    return np.where(present, windows.low, 0), np.where(present, windows.high - 1, 0)


def before_each(flags: Bools) -> Indexes:
    """How many pairs of neighbours (i - 1, i) with i ≤ index are flagged."""
    return np.concatenate([[0], np.cumsum(flags)])


def reduced(
    ufunc: np.ufunc, values: np.ndarray[tuple[int, ...], np.dtype[np.floating]], low: Indexes, high: Indexes
) -> Floats:
    """`ufunc.reduce` over each [low, high); what is returned for an empty one means nothing."""
    padded = np.append(values, values[-1:])
    bounds = np.stack([np.minimum(low, values.size), np.minimum(high, values.size)], axis=-1).ravel()
    with np.errstate(all="ignore"):
        return ufunc.reduceat(padded, bounds)[::2].reshape(low.shape).astype(np.float64)


def summed(values: Floats, low: Indexes, high: Indexes) -> Floats:
    return reduced(np.add, values.astype(np.longdouble), low, high)


def extrapolated(counter: bool, per_second: bool) -> Callable[[Windows, Bools, Floats, Frame], Floats]:
    """rate, increase and delta: the difference within the window, extrapolated to its edges (Prometheus' extrapolatedRate)."""

    def compute(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
        first, last = ends_of(windows, present)
        result = windows.values[last] - windows.values[first]
        if counter:
            result = result + lost_at_resets(windows, first, last)
        to_start: Floats = (windows.times[first] - windows.starts) / 1000
        to_end = (windows.ends - windows.times[last]) / 1000
        sampled: Floats = (windows.times[last] - windows.times[first]) / 1000
        between: Floats = sampled / np.maximum(last - first, 1)
        if counter:
            to_zero = sampled * (windows.values[first] / result)
            sooner = (result > 0) & (windows.values[first] >= 0) & (to_zero < to_start)
            to_start = np.where(sooner, to_zero, to_start)
        threshold = between * 1.1
        extended = sampled + np.where(to_start < threshold, to_start, between / 2)
        extended = extended + np.where(to_end < threshold, to_end, between / 2)
        factor = extended / sampled
        if per_second:
            factor = factor / (windows.range_ms / 1000)
        return result * factor

    return compute


def lost_at_resets(windows: Windows, first: Indexes, last: Indexes) -> Floats:
    """What a counter had counted before each of its resets within the window. Only few windows hold any."""
    falls = windows.values[1:] < windows.values[:-1]
    counted = before_each(falls)
    some = counted[last] > counted[first]
    result = np.zeros(first.shape)
    if some.any():
        lost = np.concatenate([[0.0], np.where(falls, windows.values[:-1], 0.0)])
        result[some] = reduced(np.add, lost, first[some] + 1, last[some] + 1)
    return result


def difference_at_the_end(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
    last = ends_of(windows, present)[1]
    return windows.values[last] - windows.values[last - 1]


def rate_at_the_end(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
    last = ends_of(windows, present)[1]
    now, before = windows.values[last], windows.values[last - 1]
    seconds = (windows.times[last] - windows.times[last - 1]) / 1000
    return np.where(now < before, now, now - before) / seconds


def line(windows: Windows, present: Bools, origin: Indexes) -> tuple[Floats, Floats]:
    """Least squares through each window: slope per second, and the value at `origin` (milliseconds)."""
    slope, intercept = np.zeros(present.shape), np.zeros(present.shape)
    for rows, index, low, high in expanded(windows, present):
        y = windows.values[index]
        x = (windows.times[index] - np.repeat(origin[rows], high - low)) / 1e3
        n = (high - low).astype(np.float64)
        sum_x, sum_y = summed(x, low, high), summed(y, low, high)
        sum_xy, sum_xx = summed(x * y, low, high), summed(x * x, low, high)
        steepness = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x * sum_x / n)
        at_origin = sum_y / n - steepness * sum_x / n
        level = y[low]
        flat = reduced(np.minimum, (y == np.repeat(level, high - low)).astype(np.float64), low, high) == 1
        endless = np.isinf(level)
        slope[rows] = np.where(flat, np.where(endless, np.nan, 0.0), steepness)
        intercept[rows] = np.where(flat, np.where(endless, np.nan, level), at_origin)
    return slope, intercept


def deriv(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
    first = ends_of(windows, present)[0]
    return line(windows, present, windows.times[first])[0]


def predict_linear(windows: Windows, present: Bools, seconds: Floats, frame: Frame) -> Floats:
    slope, intercept = line(windows, present, np.broadcast_to(frame.steps, present.shape))
    return slope * seconds + intercept


def expanded(windows: Windows, present: Bools) -> Iterator[tuple[tuple[Indexes, ...], Indexes, Indexes, Indexes]]:
    """Windows written out one after the other, in blocks of bounded size.

    Yields which windows (to index a (series, steps) array), the index of every sample, and each window's [low, high) in it.
    """
    rows = np.nonzero(present)
    low, sizes = windows.low[rows], (windows.high - windows.low)[rows]
    through = np.cumsum(sizes)
    begin = 0
    while begin < low.size:
        done = int(through[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(through, done + BLOCK, side="right")))
        counts = sizes[begin:end]
        high = np.cumsum(counts)
        starts = high - counts
        index = np.arange(int(high[-1])) + np.repeat(low[begin:end] - starts, counts)
        yield tuple(axis[begin:end] for axis in rows), index, starts, high
        begin = end


def per_window(
    of_window: Callable[[Floats, Indexes, Indexes], Floats],
) -> Callable[[Windows, Bools, Floats, Frame], Floats]:
    def compute(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
        return of_window(windows.values, windows.low, windows.high)

    return compute


def mean(values: Floats, low: Indexes, high: Indexes) -> Floats:
    return summed(values, low, high) / (high - low)


def counted_pairs(flag: Callable[[Floats, Floats], Bools]) -> Callable[[Windows, Bools, Floats, Frame], Floats]:
    """How many neighbours (before, after) within the window are flagged."""

    def compute(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
        first, last = ends_of(windows, present)
        counts = before_each(flag(windows.values[:-1], windows.values[1:]))
        return (counts[last] - counts[first]).astype(np.float64)

    return compute


def variance(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
    result = np.zeros(present.shape)
    for rows, index, low, high in expanded(windows, present):
        values, n = windows.values[index], high - low
        deviation = values - np.repeat(summed(values, low, high) / n, n)
        result[rows] = summed(deviation * deviation, low, high) / n
    return result


def deviation(windows: Windows, present: Bools, parameter: Floats, frame: Frame) -> Floats:
    return np.sqrt(variance(windows, present, parameter, frame))


def quantile(windows: Windows, present: Bools, q: Floats, frame: Frame) -> Floats:
    result = np.zeros(present.shape)
    every_q = np.broadcast_to(q, present.shape)
    for rows, index, low, high in expanded(windows, present):
        groups = np.repeat(np.arange(low.size), high - low)
        result[rows] = grouped_quantile(every_q[rows], windows.values[index], groups, low, high)
    return result


def newest(windows: Windows, present: Bools, _: Floats, frame: Frame) -> Floats:
    return windows.values[ends_of(windows, present)[1]]


FUNCTIONS: Mapping[str, tuple[Callable[[Windows, Bools, Floats, Frame], Floats], int]] = {
    "rate": (extrapolated(counter=True, per_second=True), 2),
    "increase": (extrapolated(counter=True, per_second=False), 2),
    "delta": (extrapolated(counter=False, per_second=False), 2),
    "irate": (rate_at_the_end, 2),
    "idelta": (difference_at_the_end, 2),
    "deriv": (deriv, 2),
    "predict_linear": (predict_linear, 2),
    "resets": (counted_pairs(lambda before, after: after < before), 1),
    "changes": (counted_pairs(lambda before, after: (before != after) & ~(np.isnan(before) & np.isnan(after))), 1),
    "avg_over_time": (per_window(mean), 1),
    "sum_over_time": (per_window(summed), 1),
    "min_over_time": (per_window(lambda values, low, high: reduced(np.fmin, values, low, high)), 1),
    "max_over_time": (per_window(lambda values, low, high: reduced(np.fmax, values, low, high)), 1),
    "count_over_time": (per_window(lambda values, low, high: (high - low).astype(np.float64)), 1),
    "present_over_time": (per_window(lambda values, low, high: np.ones(low.shape)), 1),
    "last_over_time": (newest, 1),
    "stddev_over_time": (deviation, 1),
    "stdvar_over_time": (variance, 1),
    "quantile_over_time": (quantile, 1),
}
