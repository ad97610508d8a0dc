"""Evidence: one recorded result of one read, with its facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from agent.clock import iso, parse_time
from tools.context import Json
from tools.spec import Fact


class ReadOutcome(StrEnum):
    OK = "ok"
    EMPTY = "empty"
    FAILED = "failed"  # stands under "not checked"


@dataclass(frozen=True, slots=True)
class Evidence:
    """`id` is `E1`, `E2` … within its incident. The whole body lies in the store under sha256 of its text."""

    id: str
    read: str
    arguments: Mapping[str, Json]
    by: str  # who asked: a reasoner's name or a person
    as_of: datetime
    at: datetime
    outcome: ReadOutcome
    summary: str
    facts: tuple[Fact, ...] = ()
    link: str | None = None
    sha256: str = ""
    why: str = ""  # what the read was meant to tell

    def fact(self, fact_id: str) -> Fact | None:
        return next((f for f in self.facts if f.id == fact_id), None)

    def to_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "read": self.read,
            "arguments": dict(self.arguments),
            "by": self.by,
            "as_of": iso(self.as_of),
            "at": iso(self.at),
            "outcome": str(self.outcome),
            "summary": self.summary,
            "facts": [fact_json(f) for f in self.facts],
            "link": self.link,
            "sha256": self.sha256,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the recorder needs to number and store one read."""

    read: str
    arguments: Mapping[str, Json]
    by: str
    as_of: datetime
    outcome: ReadOutcome
    summary: str
    body: str
    facts: tuple[Fact, ...] = ()
    link: str | None = None
    why: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict)


def fact_json(fact: Fact) -> dict[str, Json]:
    return {
        "id": fact.id,
        "name": fact.name,
        "value": fact.value,
        "unit": fact.unit,
        "labels": dict(fact.labels),
        "window": fact.window,
    }


def evidence_from_json(data: Mapping[str, Json]) -> Evidence:
    """The inverse of Evidence.to_json; keys of a newer version are passed over."""
    values = {key: value for key, value in data.items() if key in _KEYS}
    facts = tuple(Fact(**f) for f in values.pop("facts"))
    values["as_of"], values["at"] = parse_time(str(values["as_of"])), parse_time(str(values["at"]))
    values["outcome"] = ReadOutcome(str(values["outcome"]))
    return Evidence(facts=facts, **values)


_KEYS = frozenset(one.name for one in fields(Evidence))
