"""A runbook: Markdown that a tired person and the assistant can both follow, with blocks of checks and actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from agent.domain.cause import Fault
from agent.domain.incident import Kind
from tools.context import Json


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """A `yaml check` block, not yet rendered. `title` is the text line above it."""

    title: str
    read: str
    args: Mapping[str, Json]
    expect: str
    suggests: Fault | None = None
    rules_out: Fault | None = None
    fact: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class ActionBlock:
    """A `yaml action` block under the `### fault` heading it mends, not yet rendered."""

    fault: Fault
    action: str
    args: Mapping[str, Json]
    success: Mapping[str, Json]
    guards: tuple[Mapping[str, Json], ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """`name` is the file's stem. A foreign file has no blocks, no alerts and kind unknown; its text still counts."""

    name: str
    title: str
    description: str
    text: str
    sections: tuple[Section, ...]
    alerts: tuple[str, ...] = ()
    faults: tuple[
        Fault, ...
    ] = ()  # causes that it is about, and signals that it explains: found by what an incident shows
    signals: tuple[str, ...] = ()
    matchers: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = Kind.UNKNOWN
    owner: str = ""
    reviewed: date | None = None
    checks: tuple[CheckBlock, ...] = ()
    actions: tuple[ActionBlock, ...] = ()
    sha256: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A runbook that fits. `why` names how: `runbook_url`, `alert name`, `matcher`, `evidence`, or `text`; score is 0 to 1."""

    name: str
    score: float
    section: str
    why: str
