"""What counts as recovered, decided when a proposal is sealed and while its effect is watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.domain.check import Check, SuccessTest, success_from_json
from agent.errors import Refused
from agent.gate.recovery import Blur, settled, shows_effect, timed
from agent.gate.verification import Look, judge
from tests.gate.world import NOON

P99 = Check("query_metrics", {"promql": "p99{service='web'}"}, "< 1")
VACUOUS = Check("query_metrics", {"promql": "vector(1)"}, "> 0")
SERVED = Check("served_version", {"model": "demand"}, "== true", "agree")
RULE = Check(
    "alert_condition", {"expr": "p99 > 1", "labels": {"service": "web"}, "alertname": "Slow"}, "== 0", "firing.count"
)
MINUTE = timedelta(minutes=1)


def sealed(*checks: Check, now: tuple[bool | None, ...]) -> SuccessTest:
    return settled(SuccessTest(checks), now)


def test_a_vacuous_test_is_sealed_with_the_rule_and_is_no_recovery_without_it() -> None:
    test = sealed(VACUOUS, RULE, now=(True, False))
    assert (test.already, test.by_person) == ((0,), False)
    seen = [Look(NOON + n * 30 * timedelta(seconds=1), (True, False)) for n in range(1, 40)]
    found = judge(test, (), seen, NOON, seen[-1].at)
    assert (found.recovered, found.final, found.helped) == (False, True, False)
    over = [replace(one, checks=(True, True)) for one in seen[:6]]
    assert judge(test, (), over, NOON, over[-1].at).recovered is True


@pytest.mark.parametrize(
    ("checks", "now", "said"),
    [
        ((P99, RULE), (False, True), "ended by itself"),
        ((VACUOUS, RULE), (True, True), "ended by itself"),
        ((VACUOUS,), (True,), "holds already"),
        ((SERVED,), (True,), "holds already"),
    ],
)
def test_what_holds_before_anything_is_done_is_refused(
    checks: tuple[Check, ...], now: tuple[bool | None, ...], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        sealed(*checks, now=now)


@pytest.mark.parametrize(
    ("checks", "now", "by_person"),
    [
        ((P99,), (False,), False),  # out of its band now
        ((P99,), (None,), True),
        ((SERVED,), (False,), True),  # shows only that the action happened
        ((SERVED, P99), (False, True), True),
        ((VACUOUS, SERVED), (True, False), True),
        ((SERVED, RULE), (False, False), False),
        ((SERVED, RULE), (False, None), False),
    ],
)
def test_without_a_rule_or_a_signal_that_is_off_now_a_person_says_whether_it_is_over(
    checks: tuple[Check, ...], now: tuple[bool | None, ...], by_person: bool
) -> None:
    assert sealed(*checks, now=now).by_person is by_person


def test_what_a_person_decides_is_never_called_recovered_by_code() -> None:
    test = sealed(SERVED, now=(False,))
    seen = [Look(NOON + n * MINUTE / 2, (True,)) for n in range(1, 8)]
    found = judge(test, (), seen, NOON, seen[-1].at)
    assert (found.recovered, found.final) == (None, True)
    assert "a person has to say" in found.why


@pytest.mark.parametrize(
    ("promql", "tells"),
    [
        ("vector(1)", False),
        ("time() - 5", False),
        ('sum(kube_deployment_status_replicas{deployment="web"})', False),
        ("kube_deployment_spec_replicas", False),
        ("served_info", False),
        ("kube_pod_container_status_restarts_total", True),
        ("rate(errors_total[5m])", True),
        ("not promql (", False),
    ],
)
def test_that_an_action_happened_is_no_effect(promql: str, tells: bool) -> None:
    assert shows_effect(replace(P99, args={"promql": promql}), frozenset({"served_info"})) is tells


def test_it_has_to_hold_for_two_scrapes_and_a_minute_at_least() -> None:
    short = SuccessTest((P99,), timedelta(seconds=1), MINUTE)
    assert timed(short, Blur()).hold == 2 * MINUTE
    assert timed(short, Blur(interval=timedelta(seconds=15))).hold == MINUTE
    assert timed(short, Blur(interval=timedelta(minutes=5))).hold == 10 * MINUTE
    assert timed(replace(short, hold=30 * MINUTE), Blur()).hold == 30 * MINUTE


def test_the_window_outlasts_all_that_the_trouble_shows_on_in() -> None:
    blur = Blur(30 * MINUTE, 5 * MINUTE, 60 * MINUTE, timedelta(seconds=30))
    assert timed(SuccessTest((P99,)), blur).within == (30 + 5 + 60 + 2) * MINUTE
    assert timed(SuccessTest((P99,), within=timedelta(hours=5)), blur).within == timedelta(hours=5)


def test_before_the_window_is_over_nothing_is_called_a_failure() -> None:
    test = timed(SuccessTest((P99, RULE), MINUTE, MINUTE), Blur(30 * MINUTE, 5 * MINUTE))
    seen = [Look(NOON + n * MINUTE / 2, (False, False)) for n in range(1, 80)]
    early = judge(test, (), seen, NOON, NOON + 36 * MINUTE)
    assert (early.recovered, early.final) == (None, False)
    assert judge(test, (), seen, NOON, NOON + 38 * MINUTE).recovered is False


def test_what_was_asked_held_and_the_alert_goes_on_so_it_is_left_as_it_is() -> None:
    test = sealed(P99, RULE, now=(False, False))
    held = [Look(NOON + n * MINUTE / 2, (True, False)) for n in range(1, 30)]
    found = judge(test, (), held, NOON, held[-1].at)
    assert (found.recovered, found.final, found.helped) == (False, True, True)
    info = Check("query_metrics", {"promql": "served_info{version='2'}"}, "> 0")
    moved = settled(SuccessTest((info, RULE)), (False, False), frozenset({"served_info"}))
    for other in (sealed(P99, RULE, now=(True, False)), sealed(SERVED, RULE, now=(False, False)), moved):
        assert not judge(other, (), held, NOON, held[-1].at).helped
    broken = [*held[:-1], replace(held[-1], checks=(False, False))]
    assert not judge(test, (), broken, NOON, held[-1].at).helped


def test_what_is_new_in_a_test_is_sealed_and_what_was_sealed_before_reads_back_as_it_was() -> None:
    plain = SuccessTest((P99,))
    assert plain.to_json().keys() == {"checks", "hold_s", "within_s", "guards"}
    assert success_from_json(plain.to_json()) == plain
    whole = SuccessTest((VACUOUS, RULE), already=(0,), by_person=True, tells=(1,))
    assert success_from_json(whole.to_json()) == whole
    assert whole.to_json() != replace(whole, by_person=False).to_json() != replace(whole, already=()).to_json()
    assert whole.to_json() != replace(whole, tells=()).to_json()


def test_a_card_says_what_holds_already_and_who_decides() -> None:
    lines = SuccessTest((VACUOUS, RULE), already=(0,), by_person=True).lines
    assert lines[0] == "vector(1) > 0 (holds already: shows nothing by itself)"
    assert lines[1].startswith(
        "the alert's own rule gives nothing for service=web, and has the data to say so: p99 > 1"
    )
    assert lines[-1] == "none of it shows a recovery: a person says whether it is over"
    assert SuccessTest(()).lines == ("it mends nothing by itself: nobody asks whether the incident has recovered",)
