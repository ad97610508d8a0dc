"""States as the timeline tells them: what the row of a proposal, or of an incident, has to say.

Events of before they told the state themselves leave more than one possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from agent.domain.events import DecisionMade, IntentDeclared, OutcomeKnown, StateChanged, VerdictGiven
from agent.domain.incident import State
from agent.domain.notes import ProposalWithdrawn
from agent.domain.timeline import Event, about, events_of
from agent.gate.kill_switch import RECORD
from agent.gate.policy import Verdict
from agent.gate.proposal import BEGINS_AS, ProposalState

_S = ProposalState
_BY_ANSWER = {
    "approve": {_S.OPEN, _S.APPROVED},
    "deny": {_S.DENIED},
    "revoke": {_S.REVOKED, _S.CLAIMED},
    "edit": {_S.SUPERSEDED},
}
_BY_OUTCOME = {
    "DONE": {_S.DONE},
    "UNKNOWN": {_S.UNKNOWN},
    "NOT_DONE": {_S.NOT_DONE, _S.VOIDED, _S.EXPIRED, _S.REVOKED, _S.DENIED_BY_POLICY},
}


def of_incident(incident: str, events: Sequence[Event]) -> State:
    """The state that the last change tells; a record and a conversation are closed from the beginning."""
    changes = events_of(events, StateChanged)
    if changes:
        return changes[-1].payload.to
    return State.CLOSED if incident == RECORD or incident.startswith("ask-") else State.NEW


def of_proposal(proposal: str, events: Sequence[Event], claimed: bool) -> set[ProposalState]:
    """The states in which the row may be. `claimed`: the executor has claimed it and not yet said that it begins."""
    found: set[ProposalState] = set()
    for event in events:
        if about(event, proposal):
            found = _after(event, found)
    if claimed and found & {_S.APPROVED, _S.ALLOWED}:
        return {_S.CLAIMED}
    return found


def _after(event: Event, before: set[ProposalState]) -> set[ProposalState]:
    match event.payload:
        case VerdictGiven(verdict=verdict):
            return {BEGINS_AS[Verdict(verdict)]}
        case DecisionMade(state=state) | OutcomeKnown(state=state) | ProposalWithdrawn(state=state) if state:
            return {_S(state)}
        case DecisionMade(answer=answer):
            return _BY_ANSWER.get(answer, before)
        case IntentDeclared():
            return {_S.CLAIMED}
        case OutcomeKnown(outcome=outcome):
            return _BY_OUTCOME[outcome]
    return before


def execute_by(proposal: str, created_at: datetime, within: timedelta, events: Sequence[Event]) -> datetime | None:
    """When the execution clock ends, by what was sealed and what began it; None where nothing has."""
    mine = [event for event in events if about(event, proposal)]
    if any(event.payload.verdict == Verdict.ALLOW for event in events_of(mine, VerdictGiven)):
        return created_at + within
    began = [event.at for event in events_of(mine, DecisionMade) if event.payload.answer == "approve"]
    return max(began) + within if began else None
