"""An incident: alerts that are worked together, and the states it may pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from agent.errors import IllegalTransition


class State(StrEnum):
    NEW = "new"
    INVESTIGATING = "investigating"
    NEEDS_INPUT = "needs_input"
    AWAITING_APPROVAL = "awaiting_approval"
    ACTING = "acting"
    VERIFYING = "verifying"
    RECOVERED = "recovered"
    NO_FAULT = "no_fault"
    INCONCLUSIVE = "inconclusive"
    HANDED_OVER = "handed_over"
    CLOSED = "closed"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({State.RECOVERED, State.NO_FAULT, State.INCONCLUSIVE, State.HANDED_OVER, State.CLOSED})

_OUTCOMES = {State.RECOVERED, State.NO_FAULT, State.INCONCLUSIVE, State.HANDED_OVER}
NEXT: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.INVESTIGATING, State.CLOSED}),
    State.INVESTIGATING: frozenset(
        {State.NEEDS_INPUT, State.AWAITING_APPROVAL, State.ACTING, State.VERIFYING, State.CLOSED} | _OUTCOMES
    ),
    State.NEEDS_INPUT: frozenset({State.INVESTIGATING, State.VERIFYING, State.CLOSED} | _OUTCOMES),
    State.AWAITING_APPROVAL: frozenset({State.INVESTIGATING, State.ACTING, State.VERIFYING, State.CLOSED} | _OUTCOMES),
    State.ACTING: frozenset({State.INVESTIGATING, State.VERIFYING, State.NEEDS_INPUT, State.HANDED_OVER}),
    State.VERIFYING: frozenset({State.INVESTIGATING, State.ACTING, State.NEEDS_INPUT, State.CLOSED} | _OUTCOMES),
    State.RECOVERED: frozenset({State.INVESTIGATING, State.CLOSED}),
    State.NO_FAULT: frozenset({State.INVESTIGATING, State.CLOSED}),
    State.INCONCLUSIVE: frozenset({State.INVESTIGATING, State.CLOSED}),
    State.HANDED_OVER: frozenset({State.INVESTIGATING, State.RECOVERED, State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Kind(StrEnum):
    INFRA = "infra"
    MODEL = "model"
    JOINT = "joint"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Incident:
    """`since` is the earliest startsAt of its alerts; `labels` are those that all its alerts share."""

    id: str
    state: State
    kind: Kind
    title: str
    since: datetime
    severity: str = ""
    alerts: tuple[str, ...] = ()  # fingerprints
    labels: Mapping[str, str] = field(default_factory=dict)
    run: int = 0  # epoch of the runner that may append
    opened_at: datetime | None = None
    ended_at: datetime | None = None

    def to(self, state: State) -> Incident:
        """The incident in its next state; IllegalTransition where that cannot follow. Same state: unchanged."""
        if state is self.state:
            return self
        if state not in NEXT[self.state]:
            raise IllegalTransition(f"Incident {self.id} cannot go from {self.state} to {state}.")
        return replace(self, state=state)
