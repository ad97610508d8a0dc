"""Do the gate's own tables say what the timelines say? A row that was changed, added or dropped beside an unbroken chain
would otherwise decide what may start."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import StatementError

from agent.case.timeline import Event, EventKind
from agent.gate.proposal import digest_of
from agent.store import timeline
from agent.store.database import Transaction
from agent.store.schema import decisions, evidence, executions, proposals
from agent.store.schema import incidents as incident_rows

Found = Iterator[tuple[int, str]]  # number of the event concerned (0: there is none), and what is wrong


async def first_difference(tx: Transaction, incident: str) -> tuple[int, str] | None:
    """The first difference between one incident's verified timeline and the tables that the gate decides by."""
    try:
        events = await timeline.events(tx, incident)
        checks = [
            *_proposals(events, await _rows(tx, proposals, proposals.c.incident == incident)),
            *_decisions(events, await _rows(tx, decisions, decisions.c.proposal.in_(
                select(proposals.c.id).where(proposals.c.incident == incident)))),
            *_executions(tx, events, await _rows(tx, executions, executions.c.incident == incident)),
            *_evidence(events, await _rows(tx, evidence, evidence.c.incident == incident)),
        ]  # fmt: skip
    except (ValueError, StatementError) as error:
        return 0, f"a row of the gate's tables cannot be read any more: {str(error).splitlines()[0]}"
    return min(checks, key=lambda found: (found[0] == 0, found), default=None)  # what an event tells of comes first


async def _rows(tx: Transaction, table: Any, where: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in (await tx.execute(select(table).where(where))).mappings()]


def _of(events: list[Event], kind: EventKind) -> list[Event]:
    return [event for event in events if event.kind is kind]


def _proposals(events: list[Event], rows: list[dict[str, Any]]) -> Found:
    known = {str(e.data["id"]): e for e in _of(events, EventKind.PROPOSAL) if "digest" in e.data}
    held = {row["id"]: row for row in rows}
    for name, event in known.items():
        row = held.get(name)
        if row is None:
            yield event.n, f"proposal {name} is missing from the docket"
        elif row["digest"] != event.data["digest"] or digest_of(row["sealed"]) != row["digest"]:
            yield event.n, f"proposal {name} in the docket is not what was sealed"
    yield from ((0, f"proposal {name} is on no timeline") for name in held if name not in known)


def _decisions(events: list[Event], rows: list[dict[str, Any]]) -> Found:
    told = {
        (str(e.data["proposal"]), str(e.data["person"]), str(e.data["answer"]), str(e.data["digest"])): e
        for e in _of(events, EventKind.DECISION)
        if "person" in e.data
    }
    held = {(row["proposal"], row["person"], row["answer"], row["digest"]) for row in rows}
    for (proposal, person, answer, digest), event in told.items():
        if (proposal, person, answer, digest) not in held:
            yield event.n, f"{person}'s {answer} of {proposal} is missing from the decisions, or was changed there"
    for proposal, person, answer, _ in sorted(held - set(told)):
        yield 0, f"{person}'s {answer} of {proposal} stands among the decisions, and on no timeline"


def _executions(tx: Transaction, events: list[Event], rows: list[dict[str, Any]]) -> Found:
    held = {row["proposal"]: row for row in rows}
    intents = {str(e.data["proposal"]): e for e in _of(events, EventKind.INTENT)}
    outcomes = {str(e.data["proposal"]): e for e in _of(events, EventKind.OUTCOME) if "settled_by" not in e.data}
    for name, event in intents.items():
        row = held.get(name)
        if row is None or row["intent_at"] is None or row["key"] != event.data["key"]:
            yield event.n, f"the ledger does not hold the intent of {name}"
    for name, row in held.items():
        if row["intent_at"] is not None and name not in intents:
            yield 0, f"the ledger holds an intent of {name} that is on no timeline"
        told = outcomes.get(name)
        if row["outcome"] is not None and (told is None or told.data["outcome"] != row["outcome"]):
            yield told.n if told else 0, f"the ledger says {row['outcome']} of {name}, the timeline does not"
        elif told is not None and told.data.get("values") != timeline.as_kept(
            tx, (row["receipt"] or {}).get("values", {})
        ):
            yield told.n, f"what the target answered to {name} was changed in the ledger"


def _evidence(events: list[Event], rows: list[dict[str, Any]]) -> Found:
    held = {f"E{row['n']}": row for row in rows}
    for event in _of(events, EventKind.EVIDENCE):
        name, wanted = str(event.data.get("id")), event.data.get("sha256")
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
