"""Aggregations: `sum by (…)`, `topk`, `quantile`, `count_values` and their kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from agent.lab.ports import Floats
from agent.lab.promql.errors import NotComputable
from agent.lab.promql.numbers import plain
from agent.lab.promql.quantile import grouped_quantile, outside_of_one
from agent.lab.promql.values import (
    NAME,
    Bools,
    Labels,
    Vector,
    empty,
    only,
    relabelled,
    rows_by_key,
    with_labels,
    without,
)

Grouping = Callable[[Labels], Labels]


def grouping(names: Sequence[str] | None, excluding: bool) -> Grouping:
    """by (names), without (names), or one group of all."""
    if excluding:
        removed = {*(names or ()), NAME}
        return lambda labels: without(labels, removed)
    kept = set(names or ())
    return lambda labels: only(labels, kept)


def aggregated(name: str, vector: Vector, group_of: Grouping) -> Vector:
    """sum, avg, min, max, count, group, stddev or stdvar of each group, at each step over the series that are there."""
    groups = rows_by_key(group_of(labels) for labels in vector.labels)
    if not groups:
        return empty(vector.values.shape[1])
    order = np.concatenate([np.array(rows) for rows in groups.values()])
    starts = np.cumsum([0, *(len(rows) for rows in groups.values())])[:-1]
    values, present = vector.values[order], vector.present[order]
    counts = np.add.reduceat(present.astype(np.int64), starts, axis=0)
    with np.errstate(all="ignore"):
        return Vector(list(groups), AGGREGATES[name](values, present, starts), counts > 0)


def members(
    values: Floats, present: Bools, starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> list[tuple[Floats, Bools]]:
    """The first series of every group, then the second of every group, and so on, so that all groups go forward together."""
    ends = np.append(starts[1:], len(values))
    sizes = ends - starts
    found = []
    for nth in range(int(sizes.max())):
        rows = np.minimum(starts + nth, len(values) - 1)
        found.append((values[rows], present[rows] & (nth < sizes)[:, np.newaxis]))
    return found


def running_mean(values: Floats, present: Bools, starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """Prometheus' incremental mean, which does not overflow; an infinite mean is only moved by NaN and the other infinity."""
    shape = (starts.size, values.shape[1])
    mean, count = np.zeros(shape), np.zeros(shape)
    for value, here in members(values, present, starts):
        count = count + here
        stays = np.isinf(mean) & ((np.isinf(value) & ((mean > 0) == (value > 0))) | np.isfinite(value))
        step = mean + (value / count - mean / count)
        mean = np.where(here & ~stays, np.where(count == 1, value, step), mean)
    return mean


def running_variance(values: Floats, present: Bools, starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """Welford's algorithm, as Prometheus has it."""
    shape = (starts.size, values.shape[1])
    mean, count, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for value, here in members(values, present, starts):
        count = count + here
        first = here & (count == 1)
        delta = value - mean
        moved = mean + delta / count
        squares = np.where(here & ~first, squares + delta * (value - moved), squares)
        mean = np.where(first, value, np.where(here, moved, mean))
    return squares / count


def masked(ufunc: np.ufunc, absent: float) -> Callable[..., Floats]:
    """Row by row, in order, with what an absent sample counts for."""
    return lambda values, present, starts: ufunc.reduceat(np.where(present, values, absent), starts, axis=0)


AGGREGATES: Mapping[str, Callable[..., Floats]] = {
    "sum": masked(np.add, 0.0),
    "min": masked(np.fmin, np.nan),
    "max": masked(np.fmax, np.nan),
    "avg": running_mean,
    "count": lambda values, present, starts: np.add.reduceat(present.astype(np.float64), starts, axis=0),
    "group": lambda values, present, starts: np.ones((starts.size, values.shape[1])),
    "stdvar": running_variance,
    "stddev": lambda values, present, starts: np.sqrt(running_variance(values, present, starts)),
}


def quantiles(q: Floats, vector: Vector, group_of: Grouping) -> Vector:
    groups = rows_by_key(group_of(labels) for labels in vector.labels)
    steps = vector.values.shape[1]
    if not groups:
        return empty(steps)
    values, present = np.zeros((len(groups), steps)), np.zeros((len(groups), steps), dtype=bool)
    for number, rows in enumerate(groups.values()):
        here = vector.present[rows].T  # step by step
        sizes = here.sum(axis=1)
        filled = sizes > 0
        high = np.cumsum(sizes[filled])
        if high.size:
            flat = vector.values[rows].T[here]
            which = np.repeat(np.arange(high.size), sizes[filled])
            values[number, filled] = grouped_quantile(q[filled], flat, which, high - sizes[filled], high)
        present[number] = filled
    return Vector(list(groups), outside_of_one(q, values), present)


def extremes(k: Floats, vector: Vector, group_of: Grouping, largest: bool) -> Vector:
    """topk and bottomk: the same series, with samples only where they are among the k."""
    if np.isnan(k).any() or (np.abs(k) >= 2**63).any():
        raise NotComputable(f"Scalar value {plain(float(k[0]))} overflows int64")
    limit = np.maximum(np.trunc(k), 0).astype(np.int64)
    present = np.zeros(vector.present.shape, dtype=bool)
    for rows in rows_by_key(group_of(labels) for labels in vector.labels).values():
        here = vector.present[rows]
        keys = np.where(
            np.isnan(vector.values[rows]), -np.inf, vector.values[rows] if largest else -vector.values[rows]
        )
        for step in range(vector.values.shape[1]):
            there = np.flatnonzero(here[:, step])
            chosen = kept_by_heap(keys[there, step].tolist(), int(limit[step]))
            present[np.array(rows)[there[chosen]], step] = True
    return Vector(vector.labels, vector.values, present)


def kept_by_heap(keys: Sequence[float], k: int) -> list[int]:
    """Which of the keys, in order of arrival, are left in a heap of at most k. Only this settles ties as Prometheus does."""
    if k < 1:
        return []
    heap: list[int] = []
    for index, key in enumerate(keys):
        if len(heap) < k:
            heap.append(index)
            sift_up(heap, keys)
        elif keys[heap[0]] < key:
            heap[0] = heap[-1]
            heap.pop()
            sift_down(heap, keys)
            heap.append(index)
            sift_up(heap, keys)
    return heap


def sift_up(heap: list[int], keys: Sequence[float]) -> None:
    child = len(heap) - 1
    while child and keys[heap[child]] < keys[heap[(child - 1) // 2]]:
        parent = (child - 1) // 2
        heap[child], heap[parent] = heap[parent], heap[child]
        child = parent


def sift_down(heap: list[int], keys: Sequence[float]) -> None:
    parent = 0
    while (child := 2 * parent + 1) < len(heap):
        if child + 1 < len(heap) and keys[heap[child + 1]] < keys[heap[child]]:
            child += 1
        if not keys[heap[child]] < keys[heap[parent]]:
            return
        heap[child], heap[parent] = heap[parent], heap[child]
        parent = child


def count_values(label: str, vector: Vector, group_of: Grouping) -> Vector:
    """One series for each value that occurs in a group, which tells how often."""
    counts: dict[Labels, Floats] = {}
    for row, labels in enumerate(vector.labels):
        group = group_of(labels)
        for step in np.flatnonzero(vector.present[row]):
            its_labels = with_labels(group, {label: plain(float(vector.values[row, step]))})
            counts.setdefault(its_labels, np.zeros(vector.values.shape[1]))[step] += 1
    if not counts:
        return empty(vector.values.shape[1])
    values = np.array(list(counts.values()))
    return relabelled(Vector(list(counts), values, values > 0), list(counts))
