"""Recovery is said only where it was seen in data (I17): verification against a model that is as plain as can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.case.check import Check, Guard, SuccessTest
from agent.clock import iso
from agent.gate.verification import cadence, judge, look
from tools.spec import Fact

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOLD, WITHIN = timedelta(minutes=2), timedelta(minutes=10)
CHECK, TRAFFIC = Check("query_metrics", {"promql": "p99"}, "< 1"), Check("query_metrics", {"promql": "rps"}, "> 0")
TEST = SuccessTest((CHECK,), HOLD, WITHIN, (Guard(TRAFFIC, at_least=0.7),))
BEFORE = 100.0

values = st.sampled_from((0.5, 0.5, 0.5, 0.5, 2.0, float("nan"), None))  # None: no series at all
traffic = st.sampled_from((100.0, 100.0, 100.0, 100.0, 90.0, 20.0, float("nan"), None))
ages = st.sampled_from((0, 0, 0, 0, 0, 0, 240))  # seconds since the value's window ended
looks = st.lists(st.tuples(st.sampled_from((30, 30, 30, 30, 30, 300)), values, traffic, ages), min_size=1, max_size=14)


def _facts(value: float | None, at: datetime, age: int) -> tuple[Fact, ...]:
    if value is None:
        return ()
    end = iso(at - timedelta(seconds=age))
    return (Fact("value.last", "value", value, "", {}, f"{iso(at - timedelta(minutes=5))}/{end}"),)


def _good(value: float | None, rate: float | None, age: int) -> bool:
    """Fresh numbers that hold, and as much traffic as before but for a little."""
    return age == 0 and value is not None and rate is not None and value < 1 and rate >= 0.7 * BEFORE


@given(looks=looks)
def recovery_is_seen_in_data(looks: list[tuple[int, Any, Any, int]]) -> None:
    at, seen, good_since, said = BEGAN, [], None, None
    for pause, value, rate, age in looks:
        if pause > 3 * cadence(TEST).total_seconds():
            good_since = None  # nobody looked for that long
        at += timedelta(seconds=pause)
        seen.append(look(TEST, [_facts(value, at, age)], [_facts(rate, at, age)], at))
        good_since = (good_since or at) if _good(value, rate, age) else None
        said = judge(TEST, (BEFORE,), seen, BEGAN, at)
        if said.recovered is True:
            assert good_since is not None, (
                f"I17: recovered, and the last look was not good: {value}, {rate}, {age} s old"
            )
            assert at - good_since >= HOLD, f"I17: recovered after {at - good_since} of good looks"
            return
        held = good_since is not None and at - good_since >= HOLD and good_since <= BEGAN + WITHIN
        assert not held or said.final, (
            f"I11: it has held for {at - good_since}, and is not said to" if good_since else ""
        )
        if said.final:
            return
