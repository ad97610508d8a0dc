"""A check: one read and what is expected of its numbers. Runbooks, success tests and guards are made of checks."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from agent.errors import UnusableInput
from tools.context import Json
from tools.spec import Fact

RULE = "alert_condition"  # the read that asks an alert's own rule
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_EXPECT = re.compile(r"^\s*(>=|<=|==|!=|>|<)\s*(\S.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Expectation:
    """`OP NUMBER`, or `==`/`!=` with a word (`== 3`, `== true`, `!= Failed`)."""

    op: str
    value: float | str

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.op} {value}"

    def holds(self, facts: tuple[Fact, ...]) -> bool | None:
        """True when it holds for every fact; None (unknown) for no facts, or when any value is absent or NaN."""
        answers = [self._one(f.value) for f in facts]
        if not answers or any(a is None for a in answers):
            return None
        return all(answers)

    def _one(self, value: float | int | str | bool | None) -> bool | None:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(self.value, str):
            same = str(value).lower() == self.value.lower()
            return same if self.op == "==" else not same
        try:
            return _OPERATORS[self.op](float(value), self.value)
        except ValueError:
            return None


def expectation(text: str) -> Expectation:
    """Parse `expect:`; UnusableInput says what is wrong with it."""
    found = _EXPECT.match(text)
    if not found:
        raise UnusableInput(f"expect {text!r} is not OP VALUE, such as '> 0.25' or '== true'.")
    op, value = found.groups()
    try:
        return Expectation(op, float(value))
    except ValueError:
        if op not in ("==", "!="):
            raise UnusableInput(f"expect {text!r} orders a word; only == and != go with words.") from None
        return Expectation(op, value.strip("'\""))


@dataclass(frozen=True, slots=True)
class Check:
    """One read and what is expected of the facts whose id is `fact` or, for "", of those marked as the answer.

    `fact` may end in `.*`. For query_metrics and compare_metrics the answer is every fact whose id ends in `.last`;
    elsewhere every fact with a number.
    """

    read: str
    args: Mapping[str, Json]
    expect: str
    fact: str = ""

    def select(self, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        if self.fact.endswith("*"):
            return tuple(f for f in facts if f.id.startswith(self.fact[:-1]))
        if self.fact:
            return tuple(f for f in facts if f.id == self.fact)
        last = tuple(f for f in facts if f.id.endswith(".last"))
        return last or tuple(f for f in facts if not isinstance(f.value, str))

    def holds(self, facts: tuple[Fact, ...]) -> bool | None:
        return expectation(self.expect).holds(self.select(facts))

    def to_json(self) -> dict[str, Json]:
        return {"read": self.read, "args": dict(self.args), "expect": self.expect, "fact": self.fact}

    @property
    def is_rule(self) -> bool:
        """Whether it asks for the alert's own rule, as code adds it to every success test."""
        return self.read == RULE

    @property
    def words(self) -> str:
        """What it looks at, for people, in full."""
        if self.is_rule:
            labels = ", ".join(f"{k}={v}" for k, v in dict(self.args.get("labels") or {}).items())
            pods = f", pods like {self.args['pod']}" if self.args.get("pod") else ""
            whom = f" for {labels}{pods}" if labels or pods else ""
            return f"the alert's own rule gives nothing{whom}, and has the data to say so: {self.args['expr']}"
        asked = self.args.get("promql") or f"{self.read} {json.dumps(dict(self.args), ensure_ascii=False)}"
        fact = f" {self.fact}" if self.fact and not self.args.get("promql") else ""
        return f"{asked}{fact} {self.expect}"


@dataclass(frozen=True, slots=True)
class Guard:
    """What must not get worse: the check's value, against the value before the action, stays at or over `at_least` times it
    (or, with `at_most`, at or under)."""

    check: Check  # its `expect` is not used
    at_least: float | None = 0.7
    at_most: float | None = None
    name: str = "traffic"

    def to_json(self) -> dict[str, Json]:
        return {"check": self.check.to_json(), "at_least": self.at_least, "at_most": self.at_most, "name": self.name}


@dataclass(frozen=True, slots=True)
class SuccessTest:
    """All checks hold, with data, for `hold` without a break, and that within `within` of the action.

    `already` are the places of the checks that held when it was sealed: by themselves they show nothing. `tells` are those
    that measure how things are, did not hold, and are not the alert's own rule. With `by_person` nothing in it shows a
    recovery, so code never says one and a person is asked.
    """

    checks: tuple[Check, ...]
    hold: timedelta = timedelta(minutes=2)
    within: timedelta = timedelta(minutes=10)
    guards: tuple[Guard, ...] = field(default=())
    already: tuple[int, ...] = ()
    by_person: bool = False
    tells: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """What was sealed before these were known has no `already`, `tells` and `by_person`."""
        found: dict[str, Json] = {
            "checks": [c.to_json() for c in self.checks],
            "hold_s": self.hold.total_seconds(),
            "within_s": self.within.total_seconds(),
            "guards": [g.to_json() for g in self.guards],
        }
        found |= {name: list(places) for name in ("already", "tells") if (places := getattr(self, name))}
        return found | ({"by_person": True} if self.by_person else {})

    @property
    def lines(self) -> tuple[str, ...]:
        """The test in words, one a line, for cards."""
        if not self.checks:
            return ("it mends nothing by itself: nobody asks whether the incident has recovered",)
        found = [
            f"{check.words}{' (holds already: shows nothing by itself)' if place in self.already else ''}"
            for place, check in enumerate(self.checks)
        ]
        found.append(f"held for {_span(self.hold)}, within {_span(self.within)}")
        for guard in self.guards:
            bound = f"at least {guard.at_least:.0%}" if guard.at_least is not None else f"at most {guard.at_most:.0%}"
            found.append(f"guard: {guard.name} stays {bound} of what it was")
        if self.by_person:
            found.append("none of it shows a recovery: a person says whether it is over")
        return tuple(found)


def _span(span: timedelta) -> str:
    """`90 s`, `12 min`, `2 h`."""
    seconds = span.total_seconds()
    if seconds < 120 or seconds % 60:
        return f"{seconds:g} s"
    return f"{seconds / 3600:g} h" if seconds >= 7200 else f"{seconds / 60:g} min"


def check_from_json(data: Mapping[str, Json]) -> Check:
    return Check(str(data["read"]), dict(data["args"]), str(data["expect"]), str(data.get("fact", "")))


def success_from_json(data: Mapping[str, Json]) -> SuccessTest:
    """The inverse of SuccessTest.to_json."""
    guards = tuple(Guard(check_from_json(g["check"]), g["at_least"], g["at_most"], g["name"]) for g in data["guards"])
    checks = tuple(check_from_json(c) for c in data["checks"])
    hold, within = timedelta(seconds=float(data["hold_s"])), timedelta(seconds=float(data["within_s"]))
    already, tells = (tuple(int(place) for place in data.get(name, ())) for name in ("already", "tells"))
    return SuccessTest(checks, hold, within, guards, already, bool(data.get("by_person", False)), tells)
