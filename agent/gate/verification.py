"""Verification: has it recovered? Decided from looks at the sealed success test over time; absent data decides nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.clock import parse_time
from agent.domain.check import Check, Guard, SuccessTest
from tools.spec import Fact

STALE = timedelta(minutes=3)  # a value whose window ended longer ago says nothing about now
SOONEST, LATEST = timedelta(seconds=10), timedelta(minutes=1)

Facts = tuple[Fact, ...] | None  # of one read; None = it failed or was empty


@dataclass(frozen=True, slots=True)
class Look:
    """One look: whether each check held and what each guard measured, in the order of the test. None = no usable data."""

    at: datetime
    checks: tuple[bool | None, ...]
    guards: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`recovered` None and not `final`: look again. None and final: it cannot be told, a person decides.

    `helped`: not recovered, and yet what was asked of the action held while the alert's own rule still fires. It is left as
    it is: there is more than one cause.
    """

    recovered: bool | None
    final: bool
    why: str
    helped: bool = False


def cadence(test: SuccessTest) -> timedelta:
    """How often to look: at least four times while it has to hold."""
    return min(max(test.hold / 4, SOONEST), LATEST)


def guard_value(guard: Guard, facts: Facts, at: datetime) -> float | None:
    """What a guard measures: the sum over its series. None when any of it is absent, NaN or stale."""
    values = [_number(fact, at) for fact in guard.check.select(facts or ())]
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None


def look(test: SuccessTest, checks: Sequence[Facts], guards: Sequence[Facts], at: datetime) -> Look:
    """What one round of reads says, for the checks and the guards of the test in their order."""
    return Look(
        at,
        tuple(_holds(check, facts, at) for check, facts in zip(test.checks, checks, strict=True)),
        tuple(guard_value(guard, facts, at) for guard, facts in zip(test.guards, guards, strict=True)),
    )


def judge(
    test: SuccessTest, baseline: Sequence[float | None], looks: Sequence[Look], started: datetime, now: datetime
) -> Verdict:
    """The verdict at `now` on an effect that was there from `started`. `baseline` are the guards' values at sealing."""
    seen = sorted((one for one in looks if started <= one.at <= now), key=lambda one: one.at)
    until = started + test.within
    if worse := _worse(test, baseline, seen):
        return Verdict(False, True, worse)
    held = _held(test, baseline, seen)
    if held is not None and held >= test.hold and seen[-1].at - held <= until:
        if test.by_person:
            return Verdict(
                None, True, f"what was asked for held for {_span(held)}; whether it is over a person has to say"
            )
        return Verdict(True, True, f"all checks held for {_span(held)} with data, and no guard got worse")
    if now < until or (held is not None and now < until + test.hold):
        return Verdict(None, False, _so_far(test, baseline, seen, held))
    if held is None and seen and False in seen[-1].checks:
        said = f"not recovered within {_span(test.within)}: {_so_far(test, baseline, seen, held)}"
        return Verdict(False, True, said, _helped(test, baseline, seen))
    return Verdict(None, True, f"undecided after {_span(test.within)}: {_so_far(test, baseline, seen, held)}")


def _good(test: SuccessTest, baseline: Sequence[float | None], one: Look, of: Sequence[int] | None = None) -> bool:
    """Every check (or those at the places `of`) held and every guard was measured and is no worse: nothing is taken for
    granted."""
    guards = (_kept(g, b, v) for g, b, v in zip(test.guards, _padded(test, baseline), one.guards, strict=True))
    if of is not None:
        one = replace(one, checks=tuple(one.checks[place] for place in of))
    return bool(one.checks) and all(c is True for c in one.checks) and all(kept is True for kept in guards)


def _helped(test: SuccessTest, baseline: Sequence[float | None], seen: Sequence[Look]) -> bool:
    """Whether all but the alert's own rule held to the end, with something in it that did not hold before and measures."""
    own = [place for place, check in enumerate(test.checks) if not check.is_rule]
    if not test.tells:
        return False
    held = _held(test, baseline, seen, own)
    return held is not None and held >= test.hold


def _held(
    test: SuccessTest, baseline: Sequence[float | None], seen: Sequence[Look], of: Sequence[int] | None = None
) -> timedelta | None:
    """For how long it has held up to the last look, without a bad look or a gap in the looking; None: not at the last."""
    first: Look | None = None
    for one in reversed(seen):
        if not _good(test, baseline, one, of) or (first is not None and first.at - one.at > 3 * cadence(test)):
            break
        first = one
    return None if first is None else seen[-1].at - first.at


def _worse(test: SuccessTest, baseline: Sequence[float | None], seen: Sequence[Look]) -> str | None:
    """A guard that was broken at the last two looks: one bad look may be noise."""
    if len(seen) < 2:
        return None
    for place, (guard, before) in enumerate(zip(test.guards, _padded(test, baseline), strict=True)):
        if all(_kept(guard, before, one.guards[place]) is False for one in seen[-2:]):
            return f"{guard.name} got worse: {seen[-1].guards[place]:g} against {before:g} before"
    return None


def _kept(guard: Guard, before: float | None, value: float | None) -> bool | None:
    if before is None or value is None:
        return None
    enough = guard.at_least is None or value >= guard.at_least * before
    return enough and (guard.at_most is None or value <= guard.at_most * before)


def _so_far(test: SuccessTest, baseline: Sequence[float | None], seen: Sequence[Look], held: timedelta | None) -> str:
    if not seen:
        return "nobody has looked yet"
    if held is not None:
        return f"held for {_span(held)} of {_span(test.hold)}"
    last = seen[-1]
    missing = [f"{_measure(c)} has no usable data" for c, a in zip(test.checks, last.checks, strict=True) if a is None]
    failing = [_failing(c) for c, a in zip(test.checks, last.checks, strict=True) if a is False]
    kept = zip(test.guards, _padded(test, baseline), last.guards, strict=True)
    guards = [
        f"{g.name} {'is worse' if k is False else 'cannot be compared'}"
        for g, b, v in kept
        if (k := _kept(g, b, v)) is not True
    ]
    return "; ".join(failing + missing + guards) or "there is nothing to check"


def _holds(check: Check, facts: Facts, at: datetime) -> bool | None:
    if facts is None or any(_stale(fact, at) for fact in check.select(facts)):
        return None
    return check.holds(facts)


def _number(fact: Fact, at: datetime) -> float | None:
    value = fact.value
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or _stale(fact, at):
        return None
    return float(value)


def _stale(fact: Fact, at: datetime) -> bool:
    """Whether the fact's window ended too long before the look. A fact without a window is of the look itself."""
    if not fact.window:
        return False
    try:
        return at - parse_time(fact.window.rsplit("/", 1)[-1]) > STALE
    except (ValueError, OverflowError):
        return True


def _padded(test: SuccessTest, baseline: Sequence[float | None]) -> tuple[float | None, ...]:
    return (*baseline, *(None for _ in test.guards))[: len(test.guards)]


def _failing(check: Check) -> str:
    return f"{_measure(check)} still fires" if check.is_rule else f"{_measure(check)} is not {check.expect}"


def _measure(check: Check) -> str:
    """What a check looks at, in a word: its first metric, else its read and fact."""
    if check.is_rule:
        return f"{check.args.get('alertname') or 'the alert'}'s own rule"
    metric = re.search(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*[{\[]", str(check.args.get("promql") or ""))
    return metric[1] if metric else f"{check.read} {check.fact}".strip()


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds} s" if seconds < 120 or seconds % 60 else f"{seconds // 60} min"
