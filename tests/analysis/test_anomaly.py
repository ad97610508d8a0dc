"""Onset, breach, and spread of a series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.analysis.anomaly import breach_began, onset, robust_z, spread
from tools.analysis.series import Series, parse_result, thin

RANDOM = np.random.default_rng(7)
QUIET = 1 + 0.05 * RANDOM.standard_normal(200)


def series(*values: float) -> Series:
    return Series({}, np.arange(len(values)) * 30.0, np.array(values, dtype=float))


def joined(*parts: object) -> Series:
    return series(*np.concatenate([np.asarray(p, dtype=float) for p in parts]).tolist())


@pytest.mark.parametrize(
    ("values", "op", "limit", "began"),
    [
        ([0, 0, 2, 2, 2], ">", 1, 60.0),
        ([0, 2, 0, 2, 2], ">", 1, 30.0),  # one sample on the good side does not end it
        ([2, 0, 0, 0, 2], ">", 1, 120.0),
        ([2, 2, 0, 0, 0], ">", 1, None),
        ([1, 1, 0, 0, 0], "==", 0, 60.0),
        ([2, math.nan, 2], ">", 1, 0.0),
        ([math.nan, math.nan], ">", 1, None),
        ([math.nan, math.nan], "!=", 1, None),
        ([], ">", 1, None),
    ],
)
def test_the_present_breach_is_traced_to_its_first_sample(
    values: list[float], op: str, limit: float, began: float | None
) -> None:
    assert breach_began(series(*values), op, limit) == began


def test_onset_needs_more_than_one_outlier() -> None:
    assert onset(joined(QUIET[:10], [9], QUIET[:10]), QUIET) is None
    assert onset(joined(QUIET[:10], [9, 9]), QUIET) == 300.0
    assert onset(series(), QUIET) is None
    assert onset(series(1.0), np.array([])) is None


def test_the_most_alike_earlier_window_decides() -> None:
    now = np.array([5.0, 5.1])
    score = robust_z(now, [np.array([1.0, 1.1, 0.9]), np.array([5.0, 5.1, 4.9])])
    assert score is not None
    assert abs(score) < 1
    assert robust_z(now, []) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_spread_is_never_zero(values: list[float]) -> None:
    assert spread(np.array(values)) > 0


def test_thinning_keeps_both_ends() -> None:
    thinned = thin(series(*range(1000)), 60)
    assert thinned.times.size <= 60
    assert (thinned.values[0], thinned.values[-1]) == (0, 999)


def test_prometheus_words_become_numbers() -> None:
    one = parse_result("scalar", [1.0, "NaN"])[0]
    assert math.isnan(one.last)
    assert parse_result("vector", [{"metric": {"a": "b"}, "value": [1, "+Inf"]}])[0].last == math.inf
    assert parse_result("matrix", [{"metric": {}, "histograms": []}])[0].values.size == 0
    with pytest.raises(ValueError, match="string"):
        parse_result("string", [1, "x"])
