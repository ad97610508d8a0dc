"""What a reasoner may do next, and what it is given to decide on. A reasoner proposes; it never decides or acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from agent.domain.alert import Alert
from agent.domain.cause import Cause
from agent.domain.check import SuccessTest
from agent.domain.evidence import Evidence
from agent.domain.finding import Claim
from agent.domain.incident import Incident, Kind
from agent.domain.timeline import Event
from agent.errors import ReasonerFailed
from agent.library.runbook import Match, Runbook
from tools.context import Catalog, Json, Model, Service
from tools.spec import Action, Read


@dataclass(frozen=True, slots=True)
class Call:
    """One read a reasoner wants made. `why` is shown to people while it runs."""

    read: str
    args: Mapping[str, Json]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    calls: tuple[Call, ...]
    claims: tuple[Claim, ...] = ()  # what was found on the way; shown as soon as it is checked


@dataclass(frozen=True, slots=True)
class RuledOut:
    cause: str
    why: str  # a template, checked like a claim
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotChecked:
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Propose:
    """One action with exact arguments. `source` names where it came from (a runbook section), for provenance."""

    action: str
    args: Mapping[str, Json]
    why: str  # a template, checked like a claim
    claims: tuple[Claim, ...]
    cause: Cause
    success: SuccessTest
    kind: Kind = Kind.UNKNOWN
    ruled_out: tuple[RuledOut, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class AskPerson:
    question: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """The end of thinking. `recovered` is not a reasoner's word: code decides it from the verification.

    `hand_over` names whom to call and why, where a person has to do what no action can.
    """

    claims: tuple[Claim, ...]
    cause: Cause
    kind: Kind = Kind.UNKNOWN
    ruled_out: tuple[RuledOut, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    hand_over: str = ""
    by_hand: tuple[tuple[str, Mapping[str, Json]], ...] = ()  # actions with arguments that are not configured here


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a person's question (question runs only). Checked like a claim; evidence ids stand in its references."""

    text: str


Move: TypeAlias = Look | Propose | AskPerson | Conclude | Reply


@dataclass(frozen=True, slots=True)
class View:
    """All that a reasoner sees. `events` is the whole timeline; everything else is derived from it or from configuration."""

    incident: Incident
    alerts: tuple[Alert, ...]
    events: tuple[Event, ...]
    evidence: Mapping[str, Evidence]
    runbooks: tuple[Match, ...]  # best first; [] = none relevant
    bodies: Mapping[str, Runbook]  # by name, for the matches
    catalog: Catalog
    service: Service | None  # the catalog entry of the incident's alerts
    model: Model | None  # the model it serves or is about
    reads: tuple[Read, ...]  # offered in this incident: backend configured
    actions: tuple[type[Action], ...]
    now: datetime
    question: str | None = None  # set in a question run: look and reply only
    steering: tuple[str, ...] = ()  # people's words since the last move
    rejections: tuple[str, ...] = ()  # why claims or the last proposal were not taken; said once
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one move cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Thought:
    """A move, what it cost, and who thought it (`runbook`, `openai`, `openai→runbook` after a fail-over, one name more each time it changes hands)."""

    move: Move
    by: str
    spent: Spent = Spent()
    notes: Sequence[
        Mapping[str, Json]
    ] = ()  # what belongs on the timeline: repair, fail-over, prompt name, version, hash
    given: Mapping[str, Json] = field(
        default_factory=dict
    )  # what the provider wants back with this move, and no one sees


class ModelFailed(ReasonerFailed):
    """A language model that gave no move, and what that cost."""

    def __init__(self, text: str, spent: Spent) -> None:
        super().__init__(text)
        self.spent = spent


class Reasoner(Protocol):
    """Stateless: everything it needs is in the view, so that a crash loses nothing."""

    name: str

    async def next_move(self, view: View) -> Thought:
        """The next move. Raises ReasonerFailed (or BudgetSpent) when it has none; the fail-over answers that."""
        ...
