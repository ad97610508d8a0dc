"""References: `{E3.p99.last}`, `{ratio(a, b)}`, `{diff(a, b)}`, `{pct(a)}`, `{window(a)}`, read and evaluated.

`ratio` is a multiple of two values of one unit, `diff` their difference in that unit (of two times: a length of time),
`pct` a share written in percent, `window` the stretch of time a fact was read over, `says` the sentence of a symptom.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agent.domain.claims.quantity import Quantity, of_fact
from agent.domain.evidence import Evidence
from tools.symptoms import is_symptom

_PIECE = re.compile(r"\{([^{}]*)\}")
_CALL = re.compile(r"^\s*([a-z]+)\s*\((.*)\)\s*$", re.DOTALL)
_FACT = re.compile(r"^\s*(E\d+)\.([A-Za-z0-9_][^\s,(){}]*)\s*$")


class Unresolved(ValueError):
    """A reference that cannot be filled in; the text says which, why, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A reference inside a template: the expression and where it stands."""

    expression: str
    start: int
    end: int


def pieces(template: str) -> list[Piece]:
    """The references of a template in order; Unresolved for a stray brace."""
    found = [Piece(m.group(1).strip(), m.start(), m.end()) for m in _PIECE.finditer(template)]
    rest = _PIECE.sub("", template)
    if "{" in rest or "}" in rest:
        raise Unresolved("a brace stands outside a reference; write references as {E3.p99.last} and no other braces")
    return found


def looks_like_reference(text: str) -> bool:
    return bool(_FACT.match(text) or _CALL.match(text))


def evaluate(expression: str, evidence: Mapping[str, Evidence]) -> Quantity:
    """The expression's quantity, value None where a fact is unknown; Unresolved where it has no meaning."""
    if fact := _FACT.match(expression):
        return _fact(fact.group(1), fact.group(2), evidence)
    call = _CALL.match(expression)
    if not call or call.group(1) not in _FUNCTIONS:
        raise Unresolved(f"{{{expression}}} is no reference; write {{E3.fact.id}}, ratio(a, b), diff(a, b) or pct(a)")
    name, inner = call.groups()
    arguments = [evaluate(part, evidence) for part in _split(inner)]
    function, count = _FUNCTIONS[name]
    if len(arguments) != count:
        raise Unresolved(f"{{{expression}}}: {name} takes {count} reference{'s' if count > 1 else ''}")
    try:
        return function(*arguments)
    except Unresolved as problem:
        raise Unresolved(f"{{{expression}}}: {problem}") from None


def _fact(evidence_id: str, fact_id: str, evidence: Mapping[str, Evidence]) -> Quantity:
    if evidence_id not in evidence:
        raise Unresolved(f"there is no evidence {evidence_id}")
    fact = evidence[evidence_id].fact(fact_id)
    if fact is None:
        known = ", ".join(f.id for f in evidence[evidence_id].facts[:12]) or "none"
        raise Unresolved(f"{evidence_id} has no fact {fact_id!r}; its facts are {known}")
    return of_fact(evidence_id, fact)


def _split(inner: str) -> list[str]:
    """Arguments at the top level of a call."""
    parts, depth = [""], 0
    for char in inner:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _ratio(a: Quantity, b: Quantity) -> Quantity:
    x, y = _pair(a, b)
    return Quantity(None if x is None or not y else x / y, "times", a.facts + b.facts)


def _diff(a: Quantity, b: Quantity) -> Quantity:
    x, y = _pair(a, b)
    unit = {"time": "s", "unix": "s", "bytes": "bytes", "ratio": "points"}.get(a.dimension, a.unit)
    return Quantity(None if x is None or y is None else x - y, unit, a.facts + b.facts)


def _pct(a: Quantity) -> Quantity:
    if a.dimension not in ("ratio", "times", "plain") or a.unit == "count":
        raise Unresolved(f"a percentage of something in {a.unit or 'counts'} has no meaning; give it a share")
    return replace(a, unit="ratio")


def _window(a: Quantity) -> Quantity:
    window = a.facts[0][1].window
    if not window:
        raise Unresolved("this fact does not say over which window it was read")
    times = [part.replace("T", " ").removesuffix("Z")[:16] for part in window.split("/")]
    same_day = len(times) == 2 and times[0][:10] == times[1][:10]
    end = times[-1][11:] if same_day else times[-1]
    return Quantity(f"{times[0]} to {end} UTC" if len(times) == 2 else f"{times[0]} UTC", "", a.facts)


def _says(a: Quantity) -> Quantity:
    """The sentence that a read itself made of what it saw, of a fact that stands for a symptom."""
    fact = a.facts[0][1]
    if not is_symptom(fact):
        raise Unresolved("only a symptom (s1, s2 …) says a sentence; refer to any other fact by itself")
    return Quantity(fact.name, "", a.facts)


def _pair(a: Quantity, b: Quantity) -> tuple[float | None, float | None]:
    if isinstance(a.value, str | bool) or isinstance(b.value, str | bool):
        raise Unresolved("words cannot be calculated with")
    if a.dimension != b.dimension:
        raise Unresolved(f"different units: {a.unit or 'plain'} and {b.unit or 'plain'}")
    return a.base, b.base


_FUNCTIONS: Mapping[str, tuple[Callable[..., Quantity], int]] = {
    "ratio": (_ratio, 2),
    "diff": (_diff, 2),
    "pct": (_pct, 1),
    "window": (_window, 1),
    "says": (_says, 1),
}
