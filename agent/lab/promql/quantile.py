"""Quantiles of many groups at once, as Prometheus computes them."""

from __future__ import annotations

import numpy as np

from agent.lab.ports import Floats
from agent.lab.promql.values import Indexes


def grouped_quantile(q: Floats, values: Floats, groups: Indexes, low: Indexes, high: Indexes) -> Floats:
    """The q-quantile of each group: the weighted mean of its two nearest ranks. NaN sorts before every number.

    `groups` numbers the group of each value, ascending; group i is values[low[i]:high[i]] and is never empty.
    """
    order = np.lexsort((values, ~np.isnan(values), groups))
    in_order = values[order]
    most = (high - low - 1).astype(np.float64)
    with np.errstate(all="ignore"):
        rank = np.where((q >= 0) & (q <= 1), q, 0.0) * most
        below = np.maximum(0, np.floor(rank))
        above = np.minimum(most, below + 1)
        weight = rank - np.floor(rank)
        lower, upper = in_order[low + below.astype(np.int64)], in_order[low + above.astype(np.int64)]
        result = lower * (1 - weight) + upper * weight
    return outside_of_one(q, result)


def outside_of_one(q: Floats, result: Floats) -> Floats:
    """The answers for quantiles that are no quantiles: -Inf below 0, +Inf above 1, NaN for NaN."""
    return np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result)))
