"""The timeline as a witness: does its keyed chain say what the gate's tables say about one proposal?

Whoever can write the database can write a row that is allowed, approvals that nobody gave, or an execution that never was.
An event they cannot write: its hash needs the key. So what is to start is held against the events from its verdict on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.case.timeline import Event, EventKind, chain_hash
from agent.gate.proposal import Proposal
from agent.store import timeline
from agent.store.database import Transaction
from agent.store.decisions import Decision
from tools.context import Json


async def contradicts(tx: Transaction, proposal: Proposal, made: Sequence[Decision]) -> str | None:
    """Why the proposal with these decisions may not start by its timeline, or None: it tells of exactly them, of no intent
    and of no end. An end of the chain that was cut off is not seen here: `stanch audit verify` finds it."""
    events = await timeline.from_key(tx, proposal.incident, f"verdict:{proposal.id}")
    if not events or not vouches(tx.audit_key, events[0], proposal):
        return "its timeline does not tell that it was sealed like this"
    if (place := _broken(tx.audit_key, events)) is not None:
        return f"its timeline was changed at event {place}"
    mine = [event for event in events if event.data.get("proposal") == proposal.id]
    if any(_is_over(event) for event in mine):
        return "its timeline tells that it has started or ended already"
    told = {_told(event) for event in mine if event.kind is EventKind.DECISION}
    held = {(d.proposal, d.person, d.answer, d.digest) for d in made}
    if differing := sorted(told ^ held):
        _, person, answer, _ = differing[0]
        return f"the decisions and its timeline differ about {person}'s {answer}"
    return None


async def vouched_done(tx: Transaction, proposal: Proposal, values: Mapping[str, Json]) -> bool:
    """Whether its timeline tells that exactly this was sealed, that it was done, as the ledger saw it, and that the target
    answered with these values."""
    first = await timeline.by_key(tx, proposal.incident, f"verdict:{proposal.id}")
    end = await timeline.by_key(tx, proposal.incident, f"outcome:{proposal.id}")
    if first is None or end is None or not vouches(tx.audit_key, first, proposal):
        return False
    told = end.kind, end.data.get("proposal"), end.data.get("outcome"), end.data.get("values")
    wanted = EventKind.OUTCOME, proposal.id, "DONE", timeline.as_kept(tx, values)
    return told == wanted and _genuine(tx.audit_key, end)


def vouches(key: bytes, verdict: Event, proposal: Proposal) -> bool:
    """Whether this genuine event tells of the verdict on exactly what the proposal is now."""
    told = verdict.data.get("proposal"), verdict.data.get("digest")
    return verdict.kind is EventKind.VERDICT and told == (proposal.id, proposal.digest) and _genuine(key, verdict)


def _genuine(key: bytes, event: Event) -> bool:
    return event.hash == chain_hash(key, event.prev, event.to_json())


def _broken(key: bytes, events: Sequence[Event]) -> int | None:
    """The first event that is not genuine or does not follow from the one before. The first of all is known to be genuine."""
    prev = events[0].hash
    for place, event in enumerate(events[1:], events[0].n + 1):
        if event.n != place or event.prev != prev or not _genuine(key, event):
            return place
        prev = event.hash
    return None


def _is_over(event: Event) -> bool:
    if event.kind is EventKind.NOTE:
        return "state" in event.data  # withdrawn: expired, superseded, voided
    return event.kind in (EventKind.INTENT, EventKind.OUTCOME)


def _told(event: Event) -> tuple[str, str, str, str]:
    proposal, person, answer, digest = (str(event.data.get(n)) for n in ("proposal", "person", "answer", "digest"))
    return proposal, person, answer, digest
