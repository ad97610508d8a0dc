"""Do the gate's own tables say what the timelines say? A row that was changed, added or dropped beside an unbroken chain
would otherwise decide what may start."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import StatementError

from agent.clock import parse_time
from agent.domain.events import (
    DecisionMade,
    EvidenceRecorded,
    IntentDeclared,
    OutcomeKnown,
    ProposalSealed,
    VerdictGiven,
    read,
)
from agent.domain.notes import ProposalWithdrawn
from agent.domain.payload import EventKind, Payload
from agent.domain.timeline import Event, EventOf, events_of
from agent.errors import StanchError
from agent.gate import audited_states
from agent.gate.proposal import digest_of, from_sealed
from agent.store import timeline
from agent.store.database import Transaction
from agent.store.schema import decisions, evidence, executions, proposals
from agent.store.schema import events as event_rows
from agent.store.schema import incidents as incident_rows

MILLISECOND = timedelta(milliseconds=1)  # as exact as an event keeps a time
Found = Iterator[tuple[int, str]]  # number of the event concerned (0: there is none), and what is wrong


async def first_difference(tx: Transaction, incident: str) -> tuple[int, str] | None:
    """The first difference between one incident's verified timeline and the tables that the gate decides by."""
    try:
        events = await timeline.events(tx, incident)
        proposal_rows = await _rows(tx, proposals, proposals.c.incident == incident)
        of_proposals = select(proposals.c.id).where(proposals.c.incident == incident)
        execution_rows = await _rows(tx, executions, executions.c.proposal.in_(of_proposals))
        checks = [
            *_proposals(events, proposal_rows, execution_rows),
            *_decisions(events, await _rows(tx, decisions, decisions.c.proposal.in_(of_proposals))),
            *_executions(tx, events, execution_rows),
            *_targets(execution_rows, proposal_rows),
            *_evidence(events, await _rows(tx, evidence, evidence.c.incident == incident)),
            *_incident(incident, events, await _rows(tx, incident_rows, incident_rows.c.id == incident)),
            *_keys(await _rows(tx, event_rows, event_rows.c.incident == incident)),
            *(
                (0, f"the table of executions counts {row['proposal']} to {row['incident']}")
                for row in execution_rows
                if row["incident"] != incident
            ),
        ]
    except (ValueError, KeyError, TypeError, StatementError, StanchError) as error:
        return 0, f"a row of the gate's tables cannot be read any more: {str(error).splitlines()[0]}"
    return min(checks, key=lambda found: (found[0] == 0, found), default=None)  # what an event tells of comes first


async def _rows(tx: Transaction, table: Any, where: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in (await tx.execute(select(table).where(where))).mappings()]


def _proposals(events: list[Event], rows: list[dict[str, Any]], execution_rows: list[dict[str, Any]]) -> Found:
    known = {event.payload.id: event for event in events_of(events, ProposalSealed)}
    held = {row["id"]: row for row in rows}
    claimed = {row["proposal"] for row in execution_rows if row["intent_at"] is None and row["outcome"] is None}
    for name, event in known.items():
        row = held.get(name)
        if row is None:
            yield event.n, f"proposal {name} is missing from the table of proposals"
        elif row["digest"] != event.payload.digest or digest_of(row["sealed"]) != row["digest"]:
            yield event.n, f"proposal {name} in the table is not what was sealed"
        else:
            yield from _standing(row, events, name in claimed)
    yield from ((0, f"proposal {name} is on no timeline") for name in held if name not in known)


def _standing(row: dict[str, Any], events: list[Event], claimed: bool) -> Found:
    """What is not sealed of a proposal: its state, its clock and its place."""
    name, sealed = row["id"], row["sealed"]
    told = audited_states.of_proposal(name, events, claimed)
    if row["state"] not in told:
        yield (
            0,
            f"the table of proposals says that {name} is {row['state']}, its timeline says {' or '.join(sorted(told))}",
        )
    if row["n"] != sealed["n"]:
        yield 0, f"the number of {name} was changed in the table"
    created, within = parse_time(str(sealed["created_at"])), timedelta(seconds=float(sealed["execute_within_s"]))
    until = audited_states.execute_by(name, created, within, events)
    if row["execute_by"] is not None and (until is None or row["execute_by"] - until >= MILLISECOND):
        yield 0, f"the table gives {name} more time than its timeline"


def _decisions(events: list[Event], rows: list[dict[str, Any]]) -> Found:
    told = {
        (made.proposal, made.person, made.answer, made.digest): event
        for event in events_of(events, DecisionMade)
        if (made := event.payload).person
    }
    held = {(row["proposal"], row["person"], row["answer"], row["digest"]): row for row in rows}
    for (proposal, person, answer, digest), event in told.items():
        row = held.get((proposal, person, answer, digest))
        if row is None:
            yield event.n, f"{person}'s {answer} of {proposal} is missing from the decisions, or was changed there"
        elif abs(row["at"] - event.at) >= MILLISECOND:
            yield event.n, f"when {person} said {answer} to {proposal} was changed among the decisions"
        elif (row["principal"], row["reason"]) != (event.payload.by, event.payload.reason):
            yield event.n, f"as whom, or why, {person} said {answer} to {proposal} was changed among the decisions"
    for proposal, person, answer, _ in sorted(set(held) - set(told)):
        yield 0, f"{person}'s {answer} of {proposal} stands among the decisions, and on no timeline"


def _executions(tx: Transaction, events: list[Event], rows: list[dict[str, Any]]) -> Found:
    held = {row["proposal"]: row for row in rows}
    intents = {event.payload.proposal: event for event in events_of(events, IntentDeclared)}
    outcomes = {e.payload.proposal: e for e in events_of(events, OutcomeKnown) if not e.payload.settled_by}
    for name, event in intents.items():
        row = held.get(name)
        if row is None or row["intent_at"] is None or row["key"] != event.payload.key:
            yield event.n, f"the table of executions does not hold the intent of {name}"
        elif _differs(row["intent_at"], event.at) or _differs(row["claimed_at"], event.payload.claimed_at):
            yield event.n, f"when {name} was started was changed in the table of executions"
        elif row["action"] != event.payload.action:
            yield event.n, f"what {name} does was changed in the table of executions"
    for name, row in held.items():
        told = outcomes.get(name)
        if row["intent_at"] is not None and name not in intents and not (told and told.payload.restored):
            yield 0, f"the table of executions holds an intent of {name} that is on no timeline"
        if row["outcome"] is not None and (told is None or told.payload.outcome != row["outcome"]):
            yield (
                told.n if told else 0,
                f"the table of executions says {row['outcome']} of {name}, the timeline does not",
            )
        elif told is not None and row["outcome"] is None:
            yield told.n, f"the table of executions does not hold the outcome of {name}"
        elif told is not None:
            yield from _answered(tx, name, row, told)


def _answered(tx: Transaction, name: str, row: dict[str, Any], event: EventOf[OutcomeKnown]) -> Found:
    told = event.payload
    if (told.values or {}) != timeline.as_kept(tx, (row["receipt"] or {}).get("values", {})):
        yield event.n, f"what the target answered to {name} was changed in the table of executions"
    elif timeline.as_kept(tx, {"why": row["why"]})["why"] != told.why:
        yield event.n, f"why {name} ended as it did was changed in the table of executions"
    elif told.claimed_at and _differs(row["claimed_at"], parse_time(told.claimed_at)):
        yield event.n, f"when {name} was claimed was changed in the table of executions"


def _differs(held: datetime | None, told: datetime | None) -> bool:
    """Whether a time in a row is another than its event's, where that tells of one."""
    return told is not None and (held is None or abs(held - told) >= MILLISECOND)


def _targets(rows: list[dict[str, Any]], proposal_rows: list[dict[str, Any]]) -> Found:
    """A budget counts by target."""
    held = {row["id"]: row for row in proposal_rows}
    for row in rows:
        of = held[row["proposal"]]
        if row["target"] != str(from_sealed(of["sealed"], of["digest"], of["state"], "", None).target):
            yield 0, f"the target of {row['proposal']} was changed in the table of executions"


def _incident(incident: str, events: list[Event], rows: list[dict[str, Any]]) -> Found:
    """The state and the epoch of its row."""
    if not rows:
        yield 0, "its row is missing"
        return
    told = audited_states.of_incident(incident, events)
    if rows[0]["state"] != told:
        yield 0, f"its row says that it is {rows[0]['state']}, its timeline says {told}"
    if rows[0]["run"] < max((event.run for event in events), default=0):
        yield 0, "its row tells of an earlier run than its timeline"


_RESERVED = ("verdict:", "intent:", "decision:", "outcome:", "settled:", "end:")


def _keys(rows: list[dict[str, Any]]) -> Found:
    """A key is in no hash; those that the gate looks events up by follow from what the events say."""
    for row in rows:
        key, due = str(row["key"] or ""), _key_of(read(EventKind(row["kind"]), row["data"]))
        if key != due if due else key.startswith(_RESERVED):
            yield row["n"], "it stands under another key than it was written with"


def _key_of(told: Payload) -> str:
    """The key that the gate finds an event by; "" for one that it does not look up."""
    match told:
        case VerdictGiven(proposal=proposal):
            return f"verdict:{proposal}"
        case IntentDeclared(proposal=proposal):
            return f"intent:{proposal}"
        case DecisionMade(proposal=proposal, person=person, answer=answer):
            return f"decision:{proposal}:{person}:{answer}"
        case OutcomeKnown(proposal=proposal, settled_by=by):
            return f"settled:{proposal}" if by else f"outcome:{proposal}"
        case ProposalWithdrawn(proposal=proposal):
            return f"end:{proposal}"
    return ""


def _evidence(events: list[Event], rows: list[dict[str, Any]]) -> Found:
    held = {f"E{row['n']}": row for row in rows}
    for event in events_of(events, EvidenceRecorded):
        name, wanted = event.payload.evidence.id, event.payload.evidence.sha256
        if not wanted:
            continue
        row = held.get(name)
        if row is None:
            yield event.n, f"the body of {name} is missing"
        elif _hash(row["body"]) != wanted:
            yield event.n, f"the body of {name} was changed after it was recorded"


def _hash(body: bytes) -> str:
    try:
        return hashlib.sha256(zlib.decompress(body)).hexdigest()
    except zlib.error:
        return ""


async def incidents_with_rows(tx: Transaction) -> list[str]:
    """All incidents, also those whose timeline is gone."""
    return list((await tx.execute(select(incident_rows.c.id).order_by(incident_rows.c.id))).scalars())
