"""States as the timeline tells them: what the row of a proposal, or of an incident, has to say.

Events of before they told the state themselves leave more than one possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from agent.domain.incident import State
from agent.domain.timeline import Event, EventKind
from agent.gate.kill_switch import RECORD
from agent.gate.policy import Verdict
from agent.gate.proposal import BEGINS_AS, ProposalState

_S = ProposalState
_BY_ANSWER = {
    "approve": {_S.OPEN, _S.APPROVED}, "deny": {_S.DENIED}, "revoke": {_S.REVOKED, _S.CLAIMED},
    "edit": {_S.SUPERSEDED},
}  # fmt: skip
_BY_OUTCOME = {
    "DONE": {_S.DONE}, "UNKNOWN": {_S.UNKNOWN},
    "NOT_DONE": {_S.NOT_DONE, _S.VOIDED, _S.EXPIRED, _S.REVOKED, _S.DENIED_BY_POLICY},
}  # fmt: skip


def of_incident(incident: str, events: Sequence[Event]) -> State:
    """The state that the last change tells; a record and a conversation are closed from the beginning."""
    told = [str(event.data["to"]) for event in events if event.kind is EventKind.STATE]
    if told:
        return State(told[-1])
    return State.CLOSED if incident == RECORD or incident.startswith("ask-") else State.NEW


def of_proposal(proposal: str, events: Sequence[Event], claimed: bool) -> set[ProposalState]:
    """The states in which the row may be. `claimed`: the executor has claimed it and not yet said that it begins."""
    found: set[ProposalState] = set()
    for event in events:
        if event.data.get("proposal") == proposal:
            found = _after(event, found)
    if claimed and found & {_S.APPROVED, _S.ALLOWED}:
        return {_S.CLAIMED}
    return found


def _after(event: Event, before: set[ProposalState]) -> set[ProposalState]:
    match event.kind:
        case EventKind.VERDICT:
            return {BEGINS_AS[Verdict(event.data["verdict"])]}
        case EventKind.DECISION | EventKind.OUTCOME | EventKind.NOTE if "state" in event.data:
            return {_S(str(event.data["state"]))}
        case EventKind.DECISION:
            return _BY_ANSWER.get(str(event.data["answer"]), before)
        case EventKind.INTENT:
            return {_S.CLAIMED}
        case EventKind.OUTCOME:
            return _BY_OUTCOME[str(event.data["outcome"])]
    return before


def execute_by(proposal: str, created_at: datetime, within: timedelta, events: Sequence[Event]) -> datetime | None:
    """When the execution clock ends, by what was sealed and what began it; None where nothing has."""
    mine = [event for event in events if event.data.get("proposal") == proposal]
    if any(event.kind is EventKind.VERDICT and event.data.get("verdict") == Verdict.ALLOW for event in mine):
        return created_at + within
    began = [event.at for event in mine if event.kind is EventKind.DECISION and event.data.get("answer") == "approve"]
    return max(began) + within if began else None
