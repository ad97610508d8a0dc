"""What a reasoner is given to decide on, and what it gives: a move. A reasoner proposes; it never decides or acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agent.domain.alert import Alert
from agent.domain.evidence import Evidence
from agent.domain.incident import Incident
from agent.domain.moves import AskPerson, Call, Conclude, Look, Move, NotChecked, Propose, Reply, RuledOut
from agent.domain.notes import Note, Spent
from agent.domain.timeline import Event
from agent.errors import ReasonerFailed
from agent.library.runbook import Match, Runbook
from tools.context import Catalog, Json, Model, Service
from tools.spec import Action, Read

__all__ = [
    "AskPerson",
    "Call",
    "Conclude",
    "Look",
    "Move",
    "NotChecked",
    "Propose",
    "Reasoner",
    "Reply",
    "RuledOut",
    "Spent",
    "Thought",
    "View",
]


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
    last: Thought | None = None  # the move that was not taken, where `rejections` say why
    once: bool = False  # one attempt, without patience


@dataclass(frozen=True, slots=True)
class Thought:
    """A move, what it cost, and who thought it (`runbook`, `openai`, `openai→runbook` after a fail-over, one name more each time it changes hands)."""

    move: Move
    by: str
    spent: Spent = field(default_factory=Spent)
    notes: Sequence[Note] = ()  # what belongs on the timeline: repair, fail-over, prompt name, version, hash
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
