"""Decisions: who answered what to exactly which proposal, and when. Rows are only ever added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select

from agent.store.database import Transaction
from agent.store.schema import decisions as table


@dataclass(frozen=True, slots=True)
class Decision:
    """`principal` is the verified identity, `person` the catalog's name of who it is: what a quorum counts."""

    proposal: str
    digest: str
    principal: str
    person: str
    answer: str  # approve | deny | edit | revoke
    reason: str
    at: datetime


_OF = (
    select(*(table.c[name] for name in Decision.__slots__))
    .where(table.c.proposal == bindparam("of"))
    .order_by(table.c.id)
)


async def add(tx: Transaction, decision: Decision) -> None:
    """One person gives one answer once; the same again violates a constraint. `reason` and `at` are as its event keeps them."""
    values = {name: getattr(decision, name) for name in decision.__slots__}
    await tx.execute(insert(table).values(**values))


async def of(tx: Transaction, proposal: str) -> list[Decision]:
    """In the order they were made."""
    rows: Any = await tx.execute(_OF, {"of": proposal})
    return [Decision(*row) for row in rows]
