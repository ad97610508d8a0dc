"""Onset, change point, and shape of a series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.analysis.anomaly import Shape, breach_began, change_point, onset, robust_z, shape, spread
from tools.analysis.series import Series, parse_result, resample, thin

RANDOM = np.random.default_rng(7)
QUIET = 1 + 0.05 * RANDOM.standard_normal(200)


def series(*values: float) -> Series:
    return Series({}, np.arange(len(values)) * 30.0, np.array(values, dtype=float))


def joined(*parts: object) -> Series:
    return series(*np.concatenate([np.asarray(p, dtype=float) for p in parts]).tolist())


def test_a_level_shift_is_found_where_it_begins() -> None:
    point = change_point(joined(QUIET[:60], QUIET[:40] + 1))
    assert point is not None
    assert point.at == pytest.approx(60 * 30, abs=60)
    assert point.after - point.before == pytest.approx(1, abs=0.1)


def test_noise_has_no_change_point() -> None:
    found = [change_point(series(*RANDOM.standard_normal(60).tolist())) for _ in range(200)]
    assert sum(p is not None for p in found) <= 6


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 7, [1.0] * 50, [math.nan] * 20])
def test_too_little_or_flat_data_has_no_change_point(values: list[float]) -> None:
    assert change_point(series(*values)) is None


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


def test_a_spike_comes_back_and_a_shift_stays() -> None:
    assert shape(joined(QUIET[:20], QUIET[:5] + 3, QUIET[:30]), QUIET) is Shape.SPIKE
    assert shape(joined(QUIET[:20], QUIET[:30] + 3), QUIET) is Shape.SHIFT
    assert shape(joined(QUIET[:50]), QUIET) is Shape.STEADY


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


def test_resampling_never_looks_ahead_and_forgets_old_samples() -> None:
    found = resample(series(1, 2, 3), np.array([-1.0, 0.0, 29.0, 45.0, 60.0, 1000.0]), within=60)
    assert np.isnan(found[[0, 5]]).all()
    assert found[1:5].tolist() == [1, 1, 2, 3]
    assert np.isnan(resample(series(), np.array([1.0]), 60)).all()


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
