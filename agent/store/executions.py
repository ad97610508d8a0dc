"""Executions: at most one row a proposal. Its columns fill from left to right: claimed, intended, answered, ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from agent.clock import iso
from agent.store.database import Transaction
from agent.store.schema import executions as table
from tools.context import Json


class Outcome(StrEnum):
    """True, or UNKNOWN: then a person is called and nothing is tried again."""

    DONE = "DONE"
    NOT_DONE = "NOT_DONE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Execution:
    """`receipt` is {text, values} of the target's answer, or None when none arrived. `claimed_at` is None when a claim
    was refused, so that there is no row."""

    proposal: str
    incident: str
    run: int
    action: str
    target: str
    key: str
    claimed_at: datetime | None
    intent_at: datetime | None = None
    answered_at: datetime | None = None
    outcome: Outcome | None = None
    why: str = ""
    receipt: Mapping[str, Json] | None = None
    ended_at: datetime | None = None

    @property
    def values(self) -> Mapping[str, str]:
        """What the target told by name, for the undo."""
        told: Mapping[str, str] = (self.receipt or {}).get("values", {})
        return told

    def to_json(self) -> dict[str, Json]:
        return {
            "outcome": str(self.outcome) if self.outcome else None,
            "started": iso(self.intent_at) if self.intent_at else None,
            "ended": iso(self.ended_at) if self.ended_at else None,
        }


# built once: building a statement costs more than SQLite needs to answer it
_GET = select(table).where(table.c.proposal == bindparam("id"))
_SINCE = select(table.c.proposal, table.c.target).where(table.c.claimed_at > bindparam("since"))
_ADD = insert(table)
_OF = update(table).where(table.c.proposal == bindparam("id"))
_INTEND = _OF.where(table.c.intent_at.is_(None)).values(intent_at=bindparam("now"))
_END = _OF.where(table.c.outcome.is_(None)).values(
    outcome=bindparam("as"),
    why=bindparam("because"),
    receipt=bindparam("told", type_=table.c.receipt.type),
    ended_at=bindparam("ended"),
    answered_at=bindparam("answered"),
)
_END_UNSENT = _END.where(table.c.intent_at.is_(None))


async def add(tx: Transaction, execution: Execution) -> None:
    """Claim: the primary key and the unique key admit one."""
    await tx.execute(_ADD, {name: getattr(execution, name) for name in execution.__slots__})


async def get(tx: Transaction, proposal: str) -> Execution | None:
    row = (await tx.execute(_GET, {"id": proposal})).mappings().first()
    if row is None:
        return None
    return Execution(**dict(row) | {"outcome": Outcome(row["outcome"]) if row["outcome"] else None})


async def intend(tx: Transaction, proposal: str, at: datetime) -> bool:
    """Write the intent, once; False when there was one already: then somebody else may have sent it."""
    return (await tx.execute(_INTEND, {"id": proposal, "now": at})).rowcount == 1


async def answered(tx: Transaction, proposal: str, at: datetime, receipt: Mapping[str, Json]) -> None:
    statement = update(table).where(table.c.proposal == proposal)
    await tx.execute(statement.values(answered_at=at, receipt=_clean(tx, receipt)))


async def end(tx: Transaction, ended: Execution) -> bool:
    """Write the outcome and what the target answered, once; False when there was an outcome already, or when it ends
    without an intent and somebody else has written one meanwhile."""
    values: dict[str, Any] = {"id": ended.proposal, "as": str(ended.outcome), "because": tx.redact(ended.why)}
    values |= {"told": _clean(tx, ended.receipt), "ended": ended.ended_at, "answered": ended.answered_at}
    return (await tx.execute(_END_UNSENT if ended.intent_at is None else _END, values)).rowcount == 1


def _clean(tx: Transaction, receipt: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    """The answer's words without secrets. Its values are names that the undo needs as they are."""
    return receipt and {**receipt, "text": tx.redact(str(receipt.get("text", "")))}


async def count_since(tx: Transaction, since: datetime, target: str) -> tuple[int, int]:
    """How many were claimed after `since`: on all targets, and on this one. What the anchors tell to have been started counts
    whatever the rows say."""
    rows = {row.proposal: str(row.target) for row in await tx.execute(_SINCE, {"since": since})}
    targets = list((rows | tx.anchors.starts_since(since)).values())
    return len(targets), targets.count(target)
