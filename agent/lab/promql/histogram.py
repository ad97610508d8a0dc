"""histogram_quantile over classic buckets (`le` labels)."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from agent.lab.ports import Floats
from agent.lab.promql.quantile import outside_of_one
from agent.lab.promql.values import NAME, Bools, Labels, Vector, empty, relabelled, rows_by_key, without

NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?|nan)", re.IGNORECASE)


def histogram_quantile(q: Floats, vector: Vector) -> Vector:
    """One series for each set of buckets. Histograms with the same bounds are computed together."""
    bounds = [bound_of(labels) for labels in vector.labels]
    rows = [row for row, bound in enumerate(bounds) if bound is not None]
    groups = rows_by_key(without(vector.labels[row], {"le"}) for row in rows)
    alike: dict[tuple[float, ...], list[tuple[Labels, list[int]]]] = defaultdict(list)
    for labels, members in groups.items():
        its_rows = sorted((rows[member] for member in members), key=lambda row: bounds[row] or 0.0)
        alike[tuple(bounds[row] or 0.0 for row in its_rows)].append((without(labels, {NAME}), its_rows))
    steps = vector.values.shape[1]
    labels_out: list[Labels] = []
    values, present = [empty(steps).values], [empty(steps).present]
    for upper, histograms in alike.items():
        index = np.array([its_rows for _, its_rows in histograms]).T  # (buckets, histograms)
        counts, here = vector.values[index], vector.present[index]  # (buckets, histograms, steps)
        flat = (len(upper), len(histograms) * steps)
        every_q = np.broadcast_to(q, (len(histograms), steps)).ravel()
        quantiles = of_columns(every_q, np.array(upper), counts.reshape(flat), here.reshape(flat))
        values.append(quantiles.reshape(len(histograms), steps))
        present.append(here.any(axis=0))
        labels_out += [labels for labels, _ in histograms]
    result = Vector(labels_out, np.concatenate(values), np.concatenate(present))
    return relabelled(result, labels_out)


def bound_of(labels: Labels) -> float | None:
    """The bucket's upper bound; None for a series that is no bucket, which Prometheus passes over."""
    text = dict(labels).get("le", "")
    return float(text) if NUMBER.fullmatch(text) else None


def of_columns(q: Floats, upper: Floats, counts: Floats, here: Bools) -> Floats:
    """Quantiles of columns of cumulative counts, of which some buckets may be missing."""
    if here.all():
        return of_whole_columns(q, upper, counts)
    result = np.zeros(q.size)
    patterns, which = np.unique(here, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == number)
        if pattern.any():
            result[columns] = of_whole_columns(q[columns], upper[pattern], counts[np.ix_(pattern, columns)])
    return result


def of_whole_columns(q: Floats, upper: Floats, counts: Floats) -> Floats:
    """Prometheus' bucketQuantile: linear interpolation within the bucket that holds the rank."""
    bounds, firsts = np.unique(upper, return_index=True)
    if not np.isposinf(upper[-1]) or bounds.size < 2:
        return outside_of_one(q, np.full(q.size, np.nan))
    counts = monotonic(np.add.reduceat(counts, firsts, axis=0))
    columns = np.arange(q.size)
    with np.errstate(all="ignore"):
        total = counts[-1]
        rank = q * total
        bucket = first_at_least(counts, rank)
        below = np.maximum(bucket - 1, 0)
        start = np.where(bucket > 0, bounds[below], 0.0)
        before = np.where(bucket > 0, counts[below, columns], 0.0)
        count = np.where(bucket > 0, counts[bucket, columns] - before, counts[bucket, columns])
        result = start + (bounds[bucket] - start) * (np.where(bucket > 0, rank - before, rank) / count)
    result = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], result)
    result = np.where(bucket == bounds.size - 1, bounds[-2], result)
    return outside_of_one(q, np.where(total == 0, np.nan, result))


def monotonic(counts: Floats) -> Floats:
    """Counts that fall from one bucket to the next (scraped in between, or aggregated from uneven sets) are lifted."""
    lifted = np.where(np.isnan(counts), np.nan, np.fmax.accumulate(counts, axis=0))
    return np.where(np.isnan(counts[0]), counts, lifted)


def first_at_least(counts: Floats, rank: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Go's sort.Search over all buckets but the last, so that NaN ends where it ends there."""
    low = np.zeros(rank.size, dtype=np.int64)
    high = np.full(rank.size, counts.shape[0] - 1)
    columns = np.arange(rank.size)
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        reached = counts[middle, columns] >= rank
        low = np.where(open_ & ~reached, middle + 1, low)
        high = np.where(open_ & reached, middle, high)
    return low
