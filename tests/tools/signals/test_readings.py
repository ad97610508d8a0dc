"""What counts as out of line: a band's width, how long it has to last, and how well both do on series whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench_signals import TOLD, scored
from tests.labelled_series import cases
from tools.signals.readings import LEAST_PAST, band_of, widened

PAST = np.full(37, 4.0)


def test_a_band_is_as_wide_as_the_noise_but_never_narrower_than_the_floor() -> None:
    assert band_of(PAST, floor=1.0) == pytest.approx((3.0, 5.0))
    assert band_of(PAST + np.arange(37) % 3 - 1.0, floor=0.1) == pytest.approx((0.0, 4 + 4 * 1.4826))
    assert band_of(PAST[: LEAST_PAST - 1], floor=1.0) is None


def test_a_value_that_the_past_had_a_tenth_of_the_time_is_usual_and_one_that_it_had_once_is_not() -> None:
    often, once = PAST.copy(), PAST.copy()
    often[::6], once[5] = 9.0, 9.0
    assert band_of(often, floor=0.1) == pytest.approx((3.68, 9.0))
    assert band_of(once, floor=0.1) == pytest.approx((3.68, 4.32))


def test_what_was_usual_at_this_hour_on_an_earlier_day_widens_a_band_and_a_glimpse_of_it_does_not() -> None:
    assert widened((3.0, 5.0), np.array([20.0, 21.0, 20.0, 22.0]), floor=1.0)[1] > 22
    assert widened((3.0, 5.0), np.array([4.0, 4.0, 4.0]), floor=1.0) == (3.0, 5.0)
    assert widened((3.0, 5.0), np.array([20.0]), floor=1.0) == (3.0, 5.0)


def test_out_of_line_is_mostly_right_on_series_that_nothing_was_tuned_on() -> None:
    found = scored(cases(1700, TOLD))
    assert found["all"].precision > 0.93
    assert found["all"].recall > 0.8
    assert found["kind quiet"].false_of_1000 < 50
    assert found["kind one point"].false_of_1000 < 30
    assert found["kind every day"].false_of_1000 < 250
    within = [one == 0 for one in found["all"].onsets]
    assert sum(within) / len(within) > 0.95
