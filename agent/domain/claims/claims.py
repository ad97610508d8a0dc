"""Checking claims: numbers come from facts, units and names agree with them, and directions are borne out by assertions.

What a text may not do, and what happens: a bare numeral (digits, fractions, number words from two on) fails unless it is
part of a name. `doubled`, `halved`, `rose`, `above`, `no` … are no numerals, they need an assertion that carries them.
A name of the catalog or of a label may only be said of evidence that is about it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from agent.domain.claims.assertions import Judged, borne_out, judge, untold
from agent.domain.claims.directions import pointers
from agent.domain.claims.names import Known, known_names, wrong_name, wrong_numeral
from agent.domain.claims.quantity import UNITS, Quantity, shown
from agent.domain.claims.references import Unresolved, evaluate, pieces
from agent.domain.evidence import Evidence
from agent.domain.finding import Claim, Dropped, Finding

_UNIT_AFTER = re.compile(
    r"^\s?(requests per second|per second|per cent|requests/s|%|[A-Za-zµ×/1]+(?:/s)?)(?![A-Za-z0-9_])"
)
_CLAUSES = re.compile(r"(?<=[.!?;:])\s+|;\s*|,?\s+(?:while|but|whereas|although|though)\s+|\n+")
_AND = re.compile(r",?\s+and\s+|,\s+")


class Filled(NamedTuple):
    """A template with its numbers in place, and the evidence it stands on, in order of mention."""

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a template could not be filled in, and what to write instead."""

    why: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A reference in a template, evaluated."""

    expression: str
    start: int
    end: int
    quantity: Quantity
    unit_end: int  # where a unit that repeats the fact's own ends; = end when there is none


def check(claim: Claim, evidence: Mapping[str, Evidence], names: Collection[str]) -> Finding | Dropped:
    """A finding with numbers in place, or the claim and the first thing wrong with it."""
    try:
        slots = _slots(claim.text, evidence)
        judged = judge(claim.asserts, evidence)
        if not slots and not judged:
            raise Unresolved("it refers to no evidence; refer to the facts it stands on, or assert them")
        cited = _cited(claim.text, slots, judged, evidence)
        _read(claim.text, slots, cited, evidence, names, judged)
    except Unresolved as problem:
        return Dropped(claim, str(problem))
    text = _written(claim.text, slots, evidence)
    return Finding(text, claim.text, tuple(cited), claim.asserts)


def fill(template: str, evidence: Mapping[str, Evidence], names: Collection[str]) -> Filled | Problem:
    """As `check` for a text that cannot carry assertions (a reason, a reply).

    References, numerals, units and names are held to the same rules; a direction is checked where the text itself
    gives both values, and otherwise passes.
    """
    try:
        slots = _slots(template, evidence)
        cited = _cited(template, slots, (), evidence)
        _read(template, slots, cited, evidence, names, None)
    except Unresolved as problem:
        return Problem(str(problem))
    return Filled(_written(template, slots, evidence), tuple(cited))


def _slots(template: str, evidence: Mapping[str, Evidence]) -> list[Slot]:
    slots = []
    for piece in pieces(template):
        quantity = evaluate(piece.expression, evidence)
        if not quantity.known:
            raise Unresolved(f"{{{piece.expression}}} is unknown: no data. Say that it was not seen, or leave it out")
        end = piece.end + _unit_after(template[piece.end :], quantity, piece.expression)
        slots.append(Slot(piece.expression, piece.start, piece.end, quantity, end))
    return slots


def _unit_after(rest: str, quantity: Quantity, expression: str) -> int:
    """Length of a unit written after the reference that repeats its own; Unresolved where it contradicts."""
    found = _UNIT_AFTER.match(rest)
    unit = found.group(1).lower() if found else ""
    if not found or unit not in UNITS or not unit:
        return 0
    dimension = UNITS[unit][0]
    if dimension == "times" and quantity.dimension in ("plain", "times"):
        return 0  # "{E1.count} times": a word that belongs to the sentence
    if isinstance(quantity.value, str) or UNITS[unit] != UNITS.get(quantity.unit.lower()):
        raise Unresolved(
            f"{{{expression}}} is in {quantity.unit or 'plain numbers'}, not in {found.group(1)}; units are written for you"
        )
    return found.end()


def _cited(
    template: str, slots: Iterable[Slot], judged: Iterable[Judged], evidence: Mapping[str, Evidence]
) -> dict[str, None]:
    ids = [i for slot in slots for i, _ in slot.quantity.facts] + [i for j in judged for i, _ in j.facts]
    for mentioned in re.findall(r"(?<![\w.{(])E\d+(?![\w.])", template):
        if mentioned not in evidence:
            raise Unresolved(f"there is no evidence {mentioned}")
        ids.append(mentioned)
    return dict.fromkeys(ids)


def _read(
    template: str,
    slots: Sequence[Slot],
    cited: Iterable[str],
    evidence: Mapping[str, Evidence],
    names: Collection[str],
    judged: Sequence[Judged] | None,
) -> None:
    """Holds every clause against its evidence. `judged` is None where the text cannot carry assertions."""
    masked = _masked(template, slots)
    known = known_names(names, evidence)
    whole = [fact for slot in slots for fact in slot.quantity.facts] + [f for j in judged or () for f in j.facts]
    alone = [evidence[i] for i in cited]
    said = []
    for start, end in _clauses(masked):
        clause = masked[start:end]
        inside = [slot for slot in slots if start <= slot.start < end]
        facts = [fact for slot in inside for fact in slot.quantity.facts] or whole
        about = Known(known, facts, alone if facts is whole else [evidence[i] for i, _ in facts])
        for problem in (wrong_numeral(clause, about), wrong_name(clause, about) if alone else None):
            if problem:
                raise Unresolved(problem)
        found = pointers(clause)
        said += found
        at = [(slot.start - start, slot.expression, slot.quantity) for slot in inside]
        if problem := borne_out(clause, found, at, judged):
            raise Unresolved(problem)
    shown_values = [slot.quantity for slot in slots if not slot.expression.startswith("window")]
    if judged and (problem := untold(judged, said, shown_values)):
        raise Unresolved(problem)


def _masked(template: str, slots: Iterable[Slot]) -> str:
    """The template with each reference as § and as many blanks, so that positions stay."""
    chars = list(template.replace("§", "?"))
    for slot in slots:
        chars[slot.start : slot.end] = "§" + " " * (slot.end - slot.start - 1)
    return "".join(chars)


def _clauses(masked: str) -> list[tuple[int, int]]:
    """Stretches that are judged by themselves. `and` parts two only where each side has its own reference and says
    something of it."""
    bounds = [0, *(m.end() for m in _CLAUSES.finditer(masked)), len(masked)]
    found = []
    for start, end in pairwise(bounds):
        for joint in _AND.finditer(masked, start, end):
            left, right = masked[start : joint.start()], masked[joint.end() : end]
            if "§" in left and "§" in right and pointers(left) and pointers(right.split(" and ")[0]):
                found.append((start, joint.start()))
                start = joint.end()
        found.append((start, end))
    return [(a, b) for a, b in found if masked[a:b].strip()]


def _written(template: str, slots: Sequence[Slot], evidence: Mapping[str, Evidence]) -> str:
    parts, place = [], 0
    for slot in slots:
        near = evidence[slot.quantity.facts[0][0]].as_of
        parts += [template[place : slot.start], shown(slot.quantity, near)]
        place = slot.unit_end
    return "".join([*parts, template[place:]])
