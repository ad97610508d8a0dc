"""What the shell is told. The first that holds: 1 a defect · 2 input · 4 configuration · 7 check · 5 · 6 · 3 · 0."""

from __future__ import annotations

from enum import IntEnum

from agent import errors
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView


class Exit(IntEnum):
    OK = 0  # recovered, no fault, or already resolved
    DEFECT = 1
    INPUT = 2
    WAITS = 3  # for a person or a clock; suggested, shadowed, denied, handed over, or another process runs it
    CONFIGURATION = 4
    NOT_RECOVERED = 5  # NOT_DONE, UNKNOWN or not recovered
    NO_CAUSE = 6  # none found, or the needed backends are down
    FOUND = 7  # a check found something: lint, policy test, audit verify, doctor


def of_incident(incident_view: IncidentView) -> Exit:
    """How an incident stands, as an exit code."""
    state = incident_view.incident.state
    if state in (State.RECOVERED, State.NO_FAULT, State.CLOSED):
        return Exit.OK
    proposal = incident_view.proposal
    if proposal is not None:
        outcome, seen = incident_view.outcomes.get(proposal.id), incident_view.verification_of(proposal.id)
        if outcome is not None and outcome.payload.outcome in ("NOT_DONE", "UNKNOWN"):
            return Exit.NOT_RECOVERED
        if seen is not None and seen.payload.final and seen.payload.recovered is False:
            return Exit.NOT_RECOVERED
    if state is State.INCONCLUSIVE:
        return Exit.NO_CAUSE
    return Exit.WAITS


def of_error(error: errors.StanchError) -> Exit:
    for kinds, code in (
        ((errors.BadConfiguration, errors.NotEntitled, errors.NotConfigured), Exit.CONFIGURATION),
        ((errors.UnusableInput, errors.Outdated, errors.BadArguments, errors.TargetUnclear), Exit.INPUT),
        ((errors.Busy, errors.Overtaken, errors.Unsettled), Exit.WAITS),
        ((errors.ToolFailed,), Exit.NO_CAUSE),
        ((errors.Refused,), Exit.NOT_RECOVERED),
    ):
        if isinstance(error, kinds):
            return code
    return Exit.DEFECT
