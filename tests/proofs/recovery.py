"""Recovery is said only where it was seen in data (I17): verification against a model that is as plain as can be.

The test is what a proposal is sealed with: what was asked for, the alert's own rule beside it, and a guard.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import iso
from agent.domain.check import RULE, Check, Guard, SuccessTest
from agent.errors import Refused
from agent.gate.recovery import Blur, settled, timed
from agent.gate.verification import cadence, judge, look
from tools.alerts.condition import FIRING
from tools.spec import Fact

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CHECK, TRAFFIC = Check("query_metrics", {"promql": "p99"}, "< 1"), Check("query_metrics", {"promql": "rps"}, "> 0")
OWN = Check(RULE, {"expr": "p99 > 1", "labels": {"service": "web"}}, "== 0", FIRING)
ASKED = SuccessTest((CHECK, OWN), timedelta(seconds=1), timedelta(minutes=1), (Guard(TRAFFIC, at_least=0.7),))
BLUR = Blur(timedelta(minutes=5), timedelta(minutes=2), timedelta(minutes=1), timedelta(seconds=60))
HOLD, WITHIN = timedelta(minutes=2), timedelta(minutes=5 + 2 + 1 + 2)  # two scrapes; range, `for`, label delay and hold
TEST = timed(ASKED, BLUR)
BEFORE = 100.0

values = st.sampled_from((0.5, 0.5, 0.5, 0.5, 0.5, 2.0, float("nan"), None))  # None: no series at all
fires = st.sampled_from((0, 0, 0, 0, 0, 0, 1, None))  # series the rule gives; None: it cannot be told
traffic = st.sampled_from((100.0, 100.0, 100.0, 100.0, 90.0, 20.0, float("nan"), None))
ages = st.sampled_from((0, 0, 0, 0, 0, 0, 0, 240))  # seconds since the value's window ended
pauses = st.sampled_from((30, 30, 30, 30, 30, 300))
looks = st.lists(st.tuples(pauses, values, fires, traffic, ages), min_size=1, max_size=30)


def _facts(value: float | None, at: datetime, age: int, name: str = "value.last") -> tuple[Fact, ...]:
    if value is None:
        return ()
    end = iso(at - timedelta(seconds=age))
    return (Fact(name, "value", value, "", {}, f"{iso(at - timedelta(minutes=5))}/{end}"),)


def _good(value: float | None, firing: int | None, rate: float | None, age: int) -> bool:
    """Fresh numbers that hold, a rule that gives nothing and can say so, and as much traffic as before but for a little."""
    return age == 0 and value is not None and rate is not None and value < 1 and firing == 0 and rate >= 0.7 * BEFORE


@given(looks=looks, by_person=st.booleans())
def recovery_is_seen_in_data(looks: list[tuple[int, Any, Any, Any, int]], by_person: bool) -> None:
    test = replace(TEST, by_person=by_person)
    at, seen, good_since, said = BEGAN, [], None, None
    for pause, value, firing, rate, age in looks:
        if pause > 3 * cadence(test).total_seconds():
            good_since = None  # nobody looked for that long
        at += timedelta(seconds=pause)
        checks = [_facts(value, at, age), _facts(firing, at, 0, FIRING)]
        seen.append(look(test, checks, [_facts(rate, at, age)], at))
        good_since = (good_since or at) if _good(value, firing, rate, age) else None
        said = judge(test, (BEFORE,), seen, BEGAN, at)
        if said.recovered is True:
            assert not by_person, "I17: nothing in the test shows a recovery, and one was said"
            assert good_since is not None, (
                f"I17: recovered, and the last look was not good: {value}, {firing}, {rate}, {age} s old"
            )
            assert at - good_since >= HOLD, f"I17: recovered after {at - good_since} of good looks"
            return
        if said.recovered is False and "got worse" not in said.why:
            assert at >= BEGAN + WITHIN, f"not recovered after {at - BEGAN}, which may still be what was before"
        held = good_since is not None and at - good_since >= HOLD and good_since <= BEGAN + WITHIN
        assert not held or said.final, (
            f"I11: it has held for {at - good_since}, and is not said to" if good_since else ""
        )
        if said.final:
            return


@given(now=st.tuples(*(st.sampled_from((True, False, None)) for _ in range(2))), rule=st.booleans())
def what_is_sealed_does_not_hold_when_it_is_sealed(now: tuple[bool | None, bool | None], rule: bool) -> None:
    """Refused where the whole holds or the alert's rule is over; without a rule only what is off now may decide."""
    test = SuccessTest((CHECK, OWN if rule else replace(CHECK, read="served_version", args={})))
    try:
        sealed = settled(test, now)
    except Refused:
        assert all(now) or (rule and now[1]), f"refused, and {now} does not hold"
        return
    assert not all(now), "I17: sealed, and it holds already"
    assert not (rule and now[1]), "I17: sealed, and the alert's own rule is over"
    assert sealed.by_person is (not rule and now[0] is not False), f"I17: who decides {now}, with a rule: {rule}"
    assert sealed.already == tuple(place for place, held in enumerate(now) if held)
