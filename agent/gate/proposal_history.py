"""The timeline as a witness: does its keyed chain say what the gate's tables say about one proposal?

Whoever can write the database can write a row that is allowed, approvals that nobody gave, or an execution that never was.
An event they cannot write: its hash needs the key. So what is to start is held against the events from its verdict on, and
what counts of them (who answered what and when, that it started, how it ended) is taken from there and not from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.domain.events import DecisionMade, IntentDeclared, OutcomeKnown, VerdictGiven
from agent.domain.notes import ProposalWithdrawn
from agent.domain.timeline import Event, EventOf, about, broken_at, events_of, genuine, tells
from agent.errors import Unsettled
from agent.gate.proposal import Proposal
from agent.store import decisions, timeline
from agent.store.anchors import Head
from agent.store.database import Transaction
from agent.store.decisions import Decision
from agent.store.executions import Execution, Outcome
from tools.context import Json

NOT_SEALED = "its timeline does not tell that it was sealed like this"


@dataclass(frozen=True, slots=True)
class Testimony:
    """What the timeline tells of one proposal. `contradicts` says why it may not start; `end` is the executor's own outcome,
    not a person's later word."""

    decisions: Sequence[Decision] = ()
    intent: EventOf[IntentDeclared] | None = None
    end: EventOf[OutcomeKnown] | None = None
    contradicts: str | None = None
    upto: Head | None = None  # the last event that was looked at


async def witnessed(tx: Transaction, proposal: Proposal, against_rows: bool = True) -> Testimony:
    """Everything from its verdict on, held against the rows of decisions if wanted. That the end of the chain was not cut off
    is the anchors' affair (timeline.tail)."""
    events = await timeline.from_key(tx, proposal.incident, f"verdict:{proposal.id}")
    if not events or not vouches(tx.audit_key, events[0], proposal):
        return Testimony(contradicts=NOT_SEALED)
    if (place := broken_at(tx.audit_key, events[1:], events[0].n, events[0].hash)) is not None:
        return Testimony(contradicts=f"its timeline was changed at event {place}")
    mine = [event for event in events if about(event, proposal.id)]
    told = [_told(event) for event in events_of(mine, DecisionMade)]
    intent = next(iter(events_of(mine, IntentDeclared)), None)
    end = next((event for event in events_of(mine, OutcomeKnown) if not event.payload.settled_by), None)
    over = any(isinstance(event.payload, IntentDeclared | OutcomeKnown | ProposalWithdrawn) for event in mine)
    contradicts = "its timeline tells that it has started or ended already" if over else None
    if contradicts is None and against_rows:
        contradicts = await _differing(tx, proposal, told)
    return Testimony(told, intent, end, contradicts, Head(events[-1].n, events[-1].hash))


async def _differing(tx: Transaction, proposal: Proposal, told: Sequence[Decision]) -> str | None:
    held = [_plain(decision) for decision in await decisions.of(tx, proposal.id)]
    differing = [one for one in (*told, *held) if one not in told or one not in held]
    if not differing:
        return None
    return f"the decisions and its timeline differ about {differing[0].person}'s {differing[0].answer}"


def as_told(execution: Execution, said: Testimony) -> Execution:
    """The executor's row as the timeline tells it: an intent or an outcome that somebody took out of the row stands there.
    Unsettled where the row tells an outcome that the timeline does not."""
    if said.end is None:
        if execution.outcome is not None:
            raise Unsettled(
                f"The executor says {execution.outcome} of {execution.proposal}, and its timeline does not. {timeline.SEE_AUDIT}"
            )
        begun = said.intent.at if said.intent is not None else None
        return replace(execution, intent_at=execution.intent_at or begun)
    told = said.end.payload
    outcome = Outcome(told.outcome)
    if execution.outcome is outcome:
        return execution
    receipt = None if told.receipt is None else {"text": told.receipt, "values": told.values or {}}
    return replace(execution, outcome=outcome, why=str(told.why), receipt=receipt, ended_at=said.end.at)


async def vouched_done(tx: Transaction, proposal: Proposal, values: Mapping[str, Json]) -> bool:
    """Whether its timeline tells that exactly this was sealed, that it was done, as the executor saw it, and that the target
    answered with these values."""
    first = await timeline.by_key(tx, proposal.incident, f"verdict:{proposal.id}")
    end = await timeline.by_key(tx, proposal.incident, f"outcome:{proposal.id}")
    if first is None or end is None or not vouches(tx.audit_key, first, proposal):
        return False
    if not genuine(tx.audit_key, end) or not tells(end, OutcomeKnown):
        return False
    told = end.payload.proposal, end.payload.outcome, end.payload.values
    return told == (proposal.id, "DONE", timeline.as_kept(tx, values))


def vouches(key: bytes, verdict: Event, proposal: Proposal) -> bool:
    """Whether this genuine event tells of the verdict on exactly what the proposal is now."""
    if not genuine(key, verdict) or not tells(verdict, VerdictGiven):
        return False
    return (verdict.payload.proposal, verdict.payload.digest) == (proposal.id, proposal.digest)


def _told(event: EventOf[DecisionMade]) -> Decision:
    told = event.payload
    return Decision(told.proposal, told.digest, told.by, told.person, told.answer, told.reason, event.at)


def _plain(decision: Decision) -> Decision:
    """As its event keeps it: to the millisecond."""
    return replace(decision, at=decision.at.replace(microsecond=decision.at.microsecond // 1000 * 1000))
