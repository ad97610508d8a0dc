"""Verification: recovery is seen in data, or it is not said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import iso
from agent.domain.check import Check, Guard, SuccessTest
from agent.gate.verification import Look, cadence, guard_value, judge, look
from tests.gate.world import NOON
from tools.spec import Fact

P99 = Check("query_metrics", {"promql": "p99"}, "< 1")
TRAFFIC = Guard(Check("query_metrics", {"promql": "rps"}, ""))
TEST = SuccessTest((P99,), hold=timedelta(minutes=2), within=timedelta(minutes=10), guards=(TRAFFIC,))
STEP = timedelta(seconds=30)


def looks(word: str, traffic: str = "") -> list[Look]:
    """One look a step: + held, - did not, ? no data; traffic the same: + kept, - lost, ? no data."""
    held = {"+": True, "-": False, "?": None}
    rate = {"+": 10.0, "-": 1.0, "?": None}
    return [
        Look(NOON + STEP * (i + 1), (held[c],), (rate[t],))
        for i, (c, t) in enumerate(zip(word, traffic or "+" * len(word), strict=True))
    ]


def verdict(
    word: str, traffic: str = "", baseline: tuple[float | None, ...] = (10.0,), at: timedelta | None = None
) -> tuple[bool | None, bool]:
    seen = looks(word, traffic)
    now = NOON + at if at else (seen[-1].at if seen else NOON)
    found = judge(TEST, baseline, seen, NOON, now)
    return found.recovered, found.final


@pytest.mark.parametrize(
    ("word", "traffic", "expected"),
    [
        ("", "", (None, False)),
        ("++++", "", (None, False)),  # 90 s of 120
        ("+++++", "", (True, True)),
        ("---+++++", "", (True, True)),
        ("++++-+", "", (None, False)),  # a break begins anew
        ("++?++", "", (None, False)),
        ("?????", "", (None, False)),
        ("+++++", "+++--", (False, True)),
        ("+++++", "++++-", (None, False)),  # one bad look may be noise
        ("+++++", "+++??", (None, False)),
        ("-" * 20, "", (False, True)),
        ("?" * 20, "", (None, True)),
        ("-" * 19 + "?", "", (None, True)),
        ("-" * 18 + "++", "", (None, False)),  # began in time: it may hold yet
        ("-" * 18 + "+" * 5, "", (True, True)),
    ],
)
def test_what_the_looks_so_far_say(word: str, traffic: str, expected: tuple[bool | None, bool]) -> None:
    assert verdict(word, traffic) == expected


def test_a_guard_that_was_never_measured_before_lets_nobody_say_recovered() -> None:
    assert verdict("+++++", baseline=(None,)) == (None, False)
    assert verdict("+" * 20, baseline=())[0] is None


def test_a_test_without_checks_never_says_recovered() -> None:
    empty = SuccessTest(())
    seen = [Look(NOON + STEP * i, ()) for i in range(9)]
    assert judge(empty, (), seen, NOON, seen[-1].at).recovered is None


def test_looks_from_before_the_action_do_not_count() -> None:
    started = NOON + timedelta(minutes=2)
    assert judge(TEST, (10.0,), looks("+++++"), started, NOON + STEP * 5).recovered is None


def test_a_gap_in_looking_is_no_holding() -> None:
    seen = [looks("+")[0], Look(NOON + timedelta(minutes=6), (True,), (10.0,))]
    assert judge(TEST, (10.0,), seen, NOON, seen[-1].at).recovered is None


def test_an_error_rate_may_be_guarded_from_above() -> None:
    errors = SuccessTest((P99,), guards=(Guard(TRAFFIC.check, None, 1.5, "errors"),))
    worse = [Look(NOON + STEP * i, (True,), (9.0,)) for i in range(1, 6)]
    found = judge(errors, (2.0,), worse, NOON, worse[-1].at)
    assert (found.recovered, found.final) == (False, True)
    assert "errors got worse: 9 against 2 before" in found.why


@given(st.text("+-?", max_size=25), st.integers(0, 3600))
def test_recovered_is_only_said_after_looks_that_held_without_a_break(word: str, later: int) -> None:
    recovered, _ = verdict(word, at=timedelta(seconds=later))
    seen = word[: later // 30]
    assert (recovered is not True) or seen.endswith("+++++")


@given(st.text("?", max_size=40), st.integers(0, 7200))
def test_absent_data_is_neither_recovery_nor_failure(word: str, later: int) -> None:
    assert verdict(word, at=timedelta(seconds=later))[0] is None


def fact(value: float | None, ended: timedelta | None = None) -> Fact:
    window = f"{iso(NOON - timedelta(hours=1))}/{iso(NOON - ended)}" if ended is not None else ""
    return Fact("value.last", "p99", value, window=window)


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        ((fact(0.5),), True),
        ((fact(0.5, timedelta(0)),), True),
        ((fact(1.5),), False),
        (None, None),
        ((), None),
        ((fact(float("nan")),), None),
        ((fact(None),), None),
        ((fact(0.5), fact(float("nan"))), None),
        ((fact(0.5, timedelta(minutes=10)),), None),
        ((Fact("value.last", "p99", 0.5, window="yesterday"),), None),
    ],
)
def test_absent_nan_and_stale_data_are_no_success(facts: tuple[Fact, ...] | None, held: bool | None) -> None:
    seen = look(TEST, [facts], [(fact(8.0),)], NOON)
    assert (seen.checks, seen.guards) == ((held,), (8.0,))


def test_a_guard_measures_the_sum_of_its_series_or_nothing() -> None:
    assert guard_value(TRAFFIC, (fact(3.0), fact(4.0)), NOON) == 7.0
    for missing in (None, (), (fact(3.0), fact(None)), (fact(float("nan")),), (fact(3.0, timedelta(hours=1)),)):
        assert guard_value(TRAFFIC, missing, NOON) is None


def test_it_looks_at_least_four_times_while_it_has_to_hold() -> None:
    assert cadence(TEST) == STEP
    assert cadence(SuccessTest((P99,), hold=timedelta(0))) == timedelta(seconds=10)
    assert cadence(SuccessTest((P99,), hold=timedelta(hours=1))) == timedelta(minutes=1)
