"""Assertions: evaluated on facts, and held against the directions a text states."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.domain.claims.directions import Pointer, Way
from agent.domain.claims.quantity import Quantity
from agent.domain.claims.references import Unresolved, evaluate, looks_like_reference
from agent.domain.evidence import Evidence
from agent.domain.finding import Assertion
from tools.spec import Fact

_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_MULTIPLES = ((Way.DOUBLED, 1.75, 2.6), (Way.TRIPLED, 2.6, 3.6), (Way.HALVED, 0.38, 0.62), (Way.SAME, 0.8, 1.25))
_RATES_OF_CHANGE = ("slope", "trend", "change", "delta", "growth")
_FALSE = ("false", "no", "none", "0", "")


@dataclass(frozen=True, slots=True)
class Judged:
    """An assertion that held, and what it can carry."""

    assertion: Assertion
    facts: tuple[tuple[str, Fact], ...]
    ways: frozenset[Way]
    says_none: bool  # it states that something is zero or false


def judge(assertions: Sequence[Assertion], evidence: Mapping[str, Evidence]) -> list[Judged]:
    """The assertions, all of which hold; Unresolved names the first that does not."""
    return [_judge(a, evidence) for a in assertions]


def _judge(assertion: Assertion, evidence: Mapping[str, Evidence]) -> Judged:
    said = f"the assertion {assertion.left} {assertion.op} {assertion.right}"
    if assertion.op not in _ORDER:
        raise Unresolved(f"{said}: the operator is none of {', '.join(_ORDER)}")
    left = evaluate(_bare(assertion.left), evidence)
    right = assertion.right
    other: Quantity | None = None
    if isinstance(right, str) and looks_like_reference(_bare(right)):
        other = evaluate(_bare(right), evidence)
    facts = left.facts + (other.facts if other else ())
    if not left.known or (other is not None and not other.known):
        raise Unresolved(f"{said} cannot be told: a value is unknown")
    if isinstance(left.value, str | bool) or (other is not None and isinstance(other.value, str | bool)):
        return _judge_words(assertion, left, other.value if other else right, facts, said)
    if other is not None and other.dimension != left.dimension:
        raise Unresolved(f"{said} compares {left.unit or 'plain'} with {other.unit or 'plain'}")
    x, y = _numbers(left, other, right, said)
    if not _ORDER[assertion.op](x, y):
        raise Unresolved(f"{said} does not hold: the value is {x:.6g}, the other {y:.6g}")
    ways = _compared(assertion.op, x, y) if other else _against_number(assertion, left, x, y)
    return Judged(assertion, facts, ways, other is None and x == 0 and y == 0 and assertion.op in ("==", "<="))


def _bare(expression: str) -> str:
    return expression.strip().removeprefix("{").removesuffix("}").strip()


def _numbers(left: Quantity, other: Quantity | None, right: str | float, said: str) -> tuple[float, float]:
    """Both sides in one unit. A literal number is in the unit the left fact is recorded in."""
    x = left.base if other else _plain(left.value)
    y = other.base if other else _plain(right)
    if x is None or y is None:
        raise Unresolved(f"{said} cannot be told: not a finite number")
    return x, y


def _plain(value: object) -> float | None:
    if isinstance(value, str):
        value = value.strip().strip("'\"")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if abs(number) != float("inf") and number == number else None


def _judge_words(
    assertion: Assertion, left: Quantity, right: object, facts: tuple[tuple[str, Fact], ...], said: str
) -> Judged:
    if assertion.op not in ("==", "!="):
        raise Unresolved(f"{said} orders words; only == and != go with words")
    a, b = (str(v).strip("'\"").lower() for v in (left.value, right))
    if (a == b) is not (assertion.op == "=="):
        raise Unresolved(f"{said} does not hold: the value is {left.value!r}")
    # the facts' own emptiness, however it was asserted
    ways = {Way.ABSENT} if a in _FALSE or assertion.op == "!=" else {Way.PRESENT}
    ways |= {Way.SAME} if assertion.op == "==" and len(facts) > 1 else set()
    return Judged(assertion, facts, frozenset(ways | {Way.CHANGED}), a in _FALSE)


def _compared(op: str, x: float, y: float) -> frozenset[Way]:
    """What a comparison of two facts carries. The left side is the subject: `now > before` says that it rose."""
    ways = {Way.CHANGED}
    if op in (">", ">=") and x > y:
        ways |= {Way.ROSE, Way.ABOVE}
    if op in ("<", "<=") and x < y:
        ways |= {Way.FELL, Way.BELOW}
    if x == y and op in ("==", "<=", ">="):
        ways |= {Way.SAME}
    return frozenset(ways | _multiples(x / y if y else None))


def _multiples(ratio: float | None) -> set[Way]:
    return {way for way, low, high in _MULTIPLES if ratio is not None and low <= ratio <= high}


def _against_number(assertion: Assertion, left: Quantity, x: float, y: float) -> frozenset[Way]:
    upward, downward = assertion.op in (">", ">="), assertion.op in ("<", "<=")
    call = re.match(r"\s*\{?\s*(ratio|diff)\s*\(", assertion.left)
    if call:
        neutral = 1.0 if call.group(1) == "ratio" else 0.0
        up, down = upward and y >= neutral and x > neutral, downward and y <= neutral and x < neutral
        same = _multiples(x) if call.group(1) == "ratio" else ({Way.SAME} if x == 0 else set())
        return frozenset(
            ({Way.ROSE, Way.ABOVE} if up else set()) | ({Way.FELL, Way.BELOW} if down else set()) | same | {Way.CHANGED}
        )
    ways = {Way.CHANGED}
    if x == 0 and assertion.op in ("==", "<=", "<"):
        ways.add(Way.ABSENT)
    if assertion.op == "!=" or (downward and left.dimension != "plain"):
        ways.add(Way.ABSENT)
    if x > 0 and upward and y >= 0:
        ways.add(Way.PRESENT)
    if upward and y > 0:
        ways.add(Way.ABOVE)
    if downward:
        ways.add(Way.BELOW)
    if any(part in _RATES_OF_CHANGE for _, fact in left.facts for part in fact.id.lower().split(".")):
        ways |= ({Way.ROSE} if upward and y >= 0 and x > 0 else set()) | (
            {Way.FELL} if downward and y <= 0 > x else set()
        )
    return frozenset(ways)


At = Sequence[tuple[int, str, Quantity]]  # position in the clause, expression, value


def borne_out(clause: str, found: Sequence[Pointer], at: At, judged: Sequence[Judged] | None) -> str | None:
    """The first direction of a clause that nothing carries or that its own numbers contradict, and why."""
    here = [fact for _, _, quantity in at for fact in quantity.facts]
    for pointer in found:
        if problem := _contradicted(clause, pointer, at):
            return problem
        if judged is None:
            continue
        fitting = [j for j in judged if not here or any(_same_matter(a, b) for a in here for b in j.facts)]
        if not any(j.ways & pointer.ways for j in fitting):
            return (
                f"{pointer.word!r} is borne out by no assertion about the same facts; assert it (left is the subject)"
            )
    return _negative_change(clause, at)


def _same_matter(a: tuple[str, Fact], b: tuple[str, Fact]) -> bool:
    """Facts of one read about one series: the ratio and the two values it came from."""
    return a[0] == b[0] and (a[1].id == b[1].id or dict(a[1].labels) == dict(b[1].labels))


def _contradicted(clause: str, pointer: Pointer, at: At) -> str | None:
    """Where the clause itself gives both values, they decide: `from A to B`, `A … above B`, `higher: A against B`."""
    pair = _pair(clause, pointer, at)
    if pair is None:
        return None
    (new_name, new), (old_name, old) = pair
    x, y = new.base, old.base
    if x is None or y is None or new.dimension != old.dimension:
        return None
    ways = _compared(">=" if x >= y else "<=", x, y)
    wanted = pointer.ways - {Way.CHANGED, Way.PRESENT, Way.ABSENT}
    if not wanted or ways & wanted:
        return None
    return f"{pointer.word!r} is contradicted by its numbers: {{{new_name}}} is {x:.6g}, {{{old_name}}} is {y:.6g}"


Named = tuple[str, Quantity]


def _pair(clause: str, pointer: Pointer, at: At) -> tuple[Named, Named] | None:
    """(new or subject, old or reference) that a direction word stands between or before."""
    end = pointer.at + len(pointer.word)
    after = [(p, (e, q)) for p, e, q in at if p >= end]
    before = [(p, (e, q)) for p, e, q in at if p < pointer.at]
    if len(after) >= 2:
        lead, middle = clause[end : after[0][0]], clause[after[0][0] + 1 : after[1][0]]
        if re.search(r"\bfrom\W*(?:\w+\W+){0,3}$", lead) and re.search(r"\bto\b", middle):
            return after[1][1], after[0][1]
        if re.search(r"\b(?:from|against|versus|vs|compared|instead|than|up from|down from)\b", middle):
            return after[0][1], after[1][1]
    if before and after and pointer.ways & {Way.ABOVE, Way.BELOW, Way.SAME} and not pointer.word.startswith("§"):
        return before[-1][1], after[0][1]
    return None


def _negative_change(clause: str, at: At) -> str | None:
    for place, name, quantity in at:
        by = re.search(r"\bby\s+$", clause[:place])
        later = re.match(r"§\s*(?:after|later|before|earlier)\b", clause[place:])
        if (by or later) and quantity.base is not None and quantity.base < 0:
            return f"{{{name}}} is negative; turn its arguments round, and the direction with them"
    return None


def untold(judged: Sequence[Judged], said: Sequence[Pointer], shown: Collection[Quantity]) -> str | None:
    """An assertion of none or false that the text neither shows nor says: then text and assertion tell two stories."""
    visible = {(i, fact.id) for quantity in shown for i, fact in quantity.facts}
    opened = {i for i, _ in visible}
    told = {way for pointer in said for way in pointer.ways} & {Way.ABSENT, Way.SAME, Way.BELOW, Way.FELL, Way.CHANGED}
    for one in judged:
        words = any(isinstance(fact.value, bool | str) for _, fact in one.facts)
        seen = opened & {i for i, _ in one.facts} if words else visible & {(i, fact.id) for i, fact in one.facts}
        if one.says_none and not told and not seen:
            return f"{one.assertion.left} {one.assertion.op} {one.assertion.right} says none, and the text does not"
    return None
