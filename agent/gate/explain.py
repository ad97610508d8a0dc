"""Why a proposal gets its verdict: every rule in order with what held and what did not, then the floors, then what else stands
in the way of starting it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from agent.gate.policy import Policy, Request, Ruling, answers
from agent.gate.policy_file import Hours, Limit, Rule, Verdict
from tools.context import Json


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition that a rule states. `holds` None: it cannot be told, and then the stricter answer counts."""

    name: str
    wanted: str
    given: str
    holds: bool | None

    def __str__(self) -> str:
        word = {True: "fits", False: "does not fit", None: "cannot be told to fit"}[self.holds]
        return f"{self.name} is {self.given}, wanted {self.wanted}: {word}"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule. `part` is what it plays: decides | counts | passed | later (an earlier one has decided)."""

    number: int
    name: str
    verdict: Verdict
    part: str
    conditions: tuple[Condition, ...]

    @property
    def why(self) -> str:
        telling = [c for c in self.conditions if c.holds is not True]
        if self.part == "passed":
            return "; ".join(str(c) for c in telling if c.holds is False)
        return "; ".join(str(c) for c in telling or self.conditions) or "it fits everything"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is asked besides the rules when something is to start: a freeze, a budget, the kill switch."""

    what: str
    text: str
    stops: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """`floors` are what made the rules' answer stricter; `standing` is what else is asked at the start."""

    ruling: Ruling
    steps: tuple[Step, ...]
    floors: tuple[str, ...]
    standing: tuple[Standing, ...] = ()

    def reached(self) -> frozenset[int]:
        """Numbers of the rules that took part in the verdict."""
        return frozenset(step.number for step in self.steps if step.part in ("decides", "counts"))


def explain(policy: Policy, request: Request, standing: tuple[Standing, ...] = ()) -> Explanation:
    """The ruling of `policy.rule(request)` with its reasons."""
    if policy.missing:
        return Explanation(policy.rule(request), (), (), standing)
    steps: list[Step] = []
    decided = False
    for number, rule in enumerate(policy.file.rules, 1):
        conditions = _conditions(rule, request)
        told = {c.holds for c in conditions}
        part = "passed" if False in told else "later" if decided else "counts" if None in told else "decides"
        decided = decided or part == "decides"
        steps.append(Step(number, rule.name or f"rule {number}", rule.verdict, part, tuple(conditions)))
    course = policy.course(request)
    floors = [_stricter(a, b) for a, b in pairwise(course) if a != b]
    return Explanation(course[-1], tuple(steps), tuple(floors), standing)


def standing(
    policy: Policy, request: Request, stopped: str | None, this_hour: int, on_target: int
) -> tuple[Standing, ...]:
    """Freezes, budgets and the kill switch, as they stand at the request's moment. `stopped` is the switch of people."""
    freeze = next((f for f in policy.file.freezes if f.holds(request.at, request.action)), None)
    budgets = policy.budgets
    spent = budgets.spent(this_hour, on_target)
    used = f"{this_hour} of {_limited(budgets.per_hour)} in the last hour, {on_target} of {_limited(budgets.per_target_per_hour)} on this target"
    stop = stopped or policy.stopped()
    return (
        Standing("freeze", freeze.reason if freeze else "none now", freeze is not None),
        Standing("budget", spent or used, spent is not None),
        Standing("kill switch", stop or "off", stop is not None),
    )


def _limited(budget: int | None) -> str:
    return "any number" if budget is None else str(budget)


def _conditions(rule: Rule, request: Request) -> list[Condition]:
    """Those the rule states; what it leaves open fits everything."""
    wanted = {
        "action": _globs(rule.action),
        "risk": ", ".join(rule.risk or ()),
        "environment": _globs(rule.environment),
        "cluster": _globs(rule.cluster),
        "service": _globs(rule.service),
        "hours": _hours(rule.hours),
    } | {f"arguments.{name}": _limit(limit) for name, limit in rule.arguments.items()}
    return [
        Condition(name.removeprefix("arguments."), wanted[name], _given(name, request), holds)
        for name, holds in answers(rule, request).items()
        if wanted[name]
    ]


def _globs(globs: list[str] | None) -> str:
    return "" if globs is None or globs == ["*"] else " or ".join(globs)


def _hours(hours: Hours | None) -> str:
    if hours is None:
        return ""
    return f"{' '.join(hours.days)} {hours.from_:%H:%M}-{hours.to:%H:%M} {hours.zone.key}"


def _limit(limit: Limit) -> str:
    """`at most 20, at most ×3 of what is now`."""
    words = {
        "min": "at least {}",
        "max": "at most {}",
        "at_most_times": "at most ×{} of what is now",
        "at_least_times": "at least ×{} of what is now",
        "one_of": "one of {}",
    }
    return ", ".join(words[name].format(_plain(value)) for name, value in limit.model_dump(exclude_none=True).items())


def _plain(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _given(name: str, request: Request) -> str:
    if name.startswith("arguments."):
        argument = name.removeprefix("arguments.")
        now = f" (now {request.before[argument]})" if argument in request.before else ""
        return f"{request.arguments.get(argument, 'not given')}{now}"
    if name == "hours":
        return f"{request.at:%a %H:%M} UTC"
    known = {"action": request.action, "risk": str(request.risk)}.get(name) or getattr(request.target, name)
    return known or "unknown"


def _stricter(before: Ruling, after: Ruling) -> str:
    """What one floor changed, in its own words where it gives any."""
    if before.verdict is not after.verdict:
        return f"{before.verdict} becomes {after.verdict}: {after.why.removeprefix(before.why).strip('; ')}"
    return f"{before.quorum} becomes {after.quorum} people"
