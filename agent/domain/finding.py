"""A finding: a claim in which every number is a reference to a fact, with assertions that code checks.

Text writes numbers only as `{E3.p99.last}`, `{ratio(E3.p99.last, E3.p99.before)}`, `{diff(a, b)}`; code fills them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.context import Json


@dataclass(frozen=True, slots=True)
class Assertion:
    """`left op right`; left is a reference or an expression of references, right the same or a number."""

    left: str
    op: str  # > >= < <= == !=
    right: str | float

    def to_json(self) -> dict[str, Json]:
        return {"left": self.left, "op": self.op, "right": self.right}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reasoner says, before it is checked."""

    text: str  # template with references
    asserts: tuple[Assertion, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim that held: numbers filled in, with the evidence it stands on."""

    text: str
    template: str
    evidence: tuple[str, ...]
    asserts: tuple[Assertion, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "text": self.text,
            "template": self.template,
            "evidence": list(self.evidence),
            "asserts": [a.to_json() for a in self.asserts],
        }


@dataclass(frozen=True, slots=True)
class Dropped:
    """A claim that did not hold, and why; reported back to the reasoner once, then counted."""

    claim: Claim
    why: str


def assertion_from_json(data: Mapping[str, Json]) -> Assertion:
    right = data["right"]
    return Assertion(
        str(data["left"]), str(data["op"]), right if isinstance(right, str | float | int) else float(right)
    )


def finding_from_json(data: Mapping[str, Json]) -> Finding:
    """The inverse of Finding.to_json."""
    asserts = tuple(assertion_from_json(one) for one in data.get("asserts", ()))
    return Finding(data["text"], data.get("template", ""), tuple(data["evidence"]), asserts)
