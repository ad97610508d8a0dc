"""`stanch policy test`: an operator's table of cases, each with the verdict that policy is to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from agent import yaml_file
from agent.errors import BadConfiguration
from agent.gate.explain import explain
from agent.gate.policy import Policy, Request, Verdict
from tools.context import Target
from tools.spec import Action, Risk

SOME = "some-cluster"  # stands for a cluster that a case does not name; every real target names one


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Circumstances(_Entry):
    """Where and when. What is left out is unknown to policy, but for the cluster: that is one no rule names."""

    environment: str = ""
    cluster: str = SOME
    service: str = ""
    at: datetime | None = Field(None, description="with its zone, else UTC; left out: the moment of the test")
    now: dict[str, Any] = Field(default_factory=dict, description="what the arguments are at present: {replicas: 2}")
    untrusted: list[str] = Field(default_factory=list, description="arguments that only untrusted text names")
    confirmed: bool = Field(True, description="false: the target is a draft of the catalog")


class Case(_Entry):
    name: str
    action: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    circumstances: Circumstances = Circumstances()
    risk: Risk | None = Field(None, description="only for an action that is not installed here")
    expect: Verdict
    quorum: int | None = Field(None, ge=1, description="how many people it is to take")


class Cases(RootModel[list[Case]]):
    """A list of cases."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One case and what policy said. `wrong` is "" when that is what was expected."""

    case: Case
    verdict: Verdict
    quorum: int
    rule: str
    why: str
    wrong: str
    reached: frozenset[int]


@dataclass(frozen=True, slots=True)
class Tested:
    """All cases; `unreached` names the rules of which no case tells anything."""

    checked: tuple[Checked, ...]
    rules: tuple[str, ...]
    unreached: tuple[str, ...]

    @property
    def failed(self) -> int:
        return sum(bool(one.wrong) for one in self.checked)


def load(path: Path) -> list[Case]:
    """The cases of a file; BadConfiguration names every mistake by file, line and mend."""
    found = yaml_file.load(path, Cases).root
    if not found:
        raise BadConfiguration(f"{path}: no case. Write a list of name, action, arguments, circumstances and expect.")
    return found


def run(policy: Policy, cases: Sequence[Case], actions: Mapping[str, type[Action]], now: datetime) -> Tested:
    """Every case put to the policy. Pure: no catalog, no platform, no clock but `now`."""
    checked = tuple(_check(policy, case, actions, now) for case in cases)
    names = tuple(rule.name or f"rule {number}" for number, rule in enumerate(policy.file.rules, 1))
    reached = frozenset().union(*(one.reached for one in checked))
    return Tested(checked, names, tuple(name for number, name in enumerate(names, 1) if number not in reached))


def _check(policy: Policy, case: Case, actions: Mapping[str, type[Action]], now: datetime) -> Checked:
    risk = actions[case.action].risk if case.action in actions else case.risk
    if risk is None:  # the gate knows no such action: whatever the file says, it is never sealed
        why = f"there is no action {case.action!r} here"
        return _compared(case, Verdict.DENY, 1, "", why, frozenset())
    told = explain(policy, _request(case, risk, now))
    ruling = told.ruling
    return _compared(case, ruling.verdict, ruling.quorum, ruling.rule, ruling.why, told.reached())


def _compared(case: Case, verdict: Verdict, quorum: int, rule: str, why: str, reached: frozenset[int]) -> Checked:
    wrong = ""
    if verdict is not case.expect:
        wrong = f"expected {case.expect}, got {verdict}"
    elif case.quorum is not None and quorum != case.quorum:
        wrong = f"expected {case.quorum} people, got {quorum}"
    return Checked(case, verdict, quorum, rule, why, wrong, reached)


def _request(case: Case, risk: Risk, now: datetime) -> Request:
    where = case.circumstances
    at = where.at or now
    target = Target(
        "workload", where.service or case.action, where.cluster, "", where.environment, where.service, where.confirmed
    )
    return Request(
        case.action,
        case.arguments,
        target,
        risk,
        at if at.tzinfo else at.replace(tzinfo=UTC),
        where.now,
        tuple(where.untrusted),
    )
