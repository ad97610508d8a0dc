"""The digest: one proposal has one, and two proposals have two."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, Guard, SuccessTest
from agent.gate.policy import Verdict
from agent.gate.proposal import Proposal, Undo, digest_of, from_sealed, seal
from tests.gate.world import NOON
from tools.context import Target
from tools.spec import Risk, State

ONE = seal(
    Proposal(
        id="inc-p1",
        incident="inc",
        n=1,
        parent=None,
        action="scale_workload",
        arguments={"replicas": 6},
        target=Target("workload", "web", "eu-1", "shop", "production", "web"),
        risk=Risk.REVERSIBLE,
        before=State({"replicas": 2}, "7"),
        after=State({"replicas": 6}, "7"),
        key="k",
        success=SuccessTest(
            (Check("query_metrics", {"promql": "p99"}, "< 1"),),
            guards=(Guard(Check("query_metrics", {"promql": "rps"}, "")),),
        ),
        baseline=(10.0,),
        undo=Undo("scale_workload", {"replicas": 2}),
        undo_covered=True,
        covered=False,
        untrusted=(),
        policy_version="v1",
        verdict=Verdict.ASK,
        rule="ask",
        command="kubectl scale",
        dry_run=None,
        why="because",
        cause=Cause("web", Fault.CPU_CONTENTION, 0.9),
        requester="runbook",
        requester_person=None,
        created_at=NOON,
        approve_by=NOON + timedelta(hours=1),
        execute_within=timedelta(minutes=15),
        quorum=1,
        approvers=("oncall",),
        requester_may_approve=False,
    )
)

OTHERWISE: dict[str, Any] = {
    "id": "inc-p2",
    "incident": "other",
    "n": 2,
    "parent": "inc-p0",
    "action": "restart",
    "arguments": {"replicas": 7},
    "target": replace(ONE.target, cluster="us-1"),
    "risk": Risk.DISRUPTIVE,
    "before": State({"replicas": 2}, "8"),
    "after": State({"replicas": 7}, "7"),
    "key": "l",
    "success": replace(ONE.success, hold=timedelta(minutes=1)),
    "baseline": (11.0,),
    "undo": Undo("scale_workload", {"replicas": 3}),
    "undo_covered": False,
    "covered": True,
    "untrusted": ("workload",),
    "policy_version": "v2",
    "verdict": Verdict.ALLOW,
    "rule": "other",
    "command": "x",
    "dry_run": "ok",
    "why": "so",
    "cause": Cause("web", Fault.UNKNOWN),
    "requester": "os:ann",
    "requester_person": "ann",
    "created_at": NOON + timedelta(seconds=1),
    "approve_by": NOON,
    "execute_within": timedelta(minutes=16),
    "quorum": 2,
    "approvers": ("oncall", "leads"),
    "requester_may_approve": True,
    "aside": True,
}
UNSEALED = {"digest", "state", "note", "execute_by"}


@pytest.mark.parametrize("name", sorted(set(Proposal.__slots__) - UNSEALED))
def test_every_part_of_a_proposal_is_under_its_digest(name: str) -> None:
    changed = replace(ONE, **{name: OTHERWISE[name]})
    assert not changed.intact
    assert seal(changed).digest != ONE.digest


def test_the_guards_are_under_the_digest() -> None:
    softer = replace(ONE.success, guards=(replace(ONE.success.guards[0], at_least=0.1),))
    assert not replace(ONE, success=softer).intact


def test_it_reads_back_as_it_was_sealed() -> None:
    assert from_sealed(ONE.sealed(), ONE.digest, "open", "", None) == ONE


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value in which 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return (type(value).__name__, repr(value))


@given(plain, plain)
def test_two_values_share_a_digest_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (digest_of({"a": one}) == digest_of({"a": other})) == (typed(one) == typed(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "b", "c": "d"}, {"a": 'b","c":"d'}),
        ({"a": [1, 2]}, {"a": [12]}),
        ({"a": "1"}, {"a": 1}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({"a": "\u00e9"}, {"a": "e\u0301"}),
        ({"a": [[], []]}, {"a": [[[]]]}),
    ],
)
def test_values_that_look_alike_have_different_digests(one: Any, other: Any) -> None:
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, float("nan"), float("inf"), b"x", NOON])
def test_what_is_no_plain_json_has_no_digest(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        digest_of({"a": value})
