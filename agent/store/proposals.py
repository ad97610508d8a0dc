"""Proposals, as rows: what was sealed never changes, only the state does, and that by compare-and-set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from agent.store.database import Transaction
from agent.store.schema import incidents
from agent.store.schema import proposals as table
from tools.context import Json


@dataclass(frozen=True, slots=True)
class ProposalRow:
    id: str
    incident: str
    n: int
    digest: str
    state: str
    note: str
    execute_by: datetime | None
    sealed: Mapping[str, Json]


_GET = select(*(table.c[name] for name in ProposalRow.__slots__)).where(table.c.id == bindparam("of"))
_HELD = (
    select(incidents.c.run, *(table.c[name] for name in ProposalRow.__slots__))
    .join(incidents, incidents.c.id == table.c.incident)
    .where(table.c.id == bindparam("of"))
    .with_for_update(of=incidents)
)
_SET_STATE = update(table).where(table.c.id == bindparam("of"), table.c.state == bindparam("before"))


async def add(tx: Transaction, row: ProposalRow) -> None:
    values = {name: getattr(row, name) for name in row.__slots__}
    await tx.execute(insert(table).values(**values))


async def get(tx: Transaction, proposal: str) -> ProposalRow | None:
    row: Any = (await tx.execute(_GET, {"of": proposal})).first()
    return ProposalRow(*row) if row else None


async def held(tx: Transaction, proposal: str) -> ProposalRow | None:
    """The row, with its incident's row locked until the transaction ends."""
    found: Any = (await tx.execute(_HELD, {"of": proposal})).first()
    if found is None:
        return None
    row = ProposalRow(*found[1:])
    tx.held[row.incident] = found.run
    if tx.embedded:  # in SQLite's write transaction nobody else can have changed it
        return row
    return await get(tx, proposal)  # as it is now that the lock is held


async def of(tx: Transaction, incident: str) -> list[ProposalRow]:
    """In the order of their numbers."""
    rows = await tx.execute(select(table).where(table.c.incident == incident).order_by(table.c.n))
    return [ProposalRow(**row) for row in rows.mappings()]


async def listing(tx: Transaction, states: Collection[str] | None = None, limit: int = 10_000) -> list[ProposalRow]:
    query = select(table).order_by(table.c.incident, table.c.n).limit(limit)
    if states is not None:
        query = query.where(table.c.state.in_(list(states)))
    return [ProposalRow(**row) for row in (await tx.execute(query)).mappings()]


async def next_number(tx: Transaction, incident: str) -> int:
    """Behind all that there are, and all of which the anchors know that they were started: no name comes twice."""
    held = (await tx.execute(select(func.max(table.c.n)).where(table.c.incident == incident))).scalar() or 0
    begun = [start.proposal.removeprefix(f"{incident}-p") for start in tx.anchors.starts_of(incident).values()]
    return max([int(held), *(int(number) for number in begun if number.isdecimal())]) + 1


async def set_state(
    tx: Transaction, proposal: str, before: str, after: str, note: str, execute_by: datetime | None
) -> bool:
    """False when the state was no longer `before`; then nothing is changed."""
    said = tx.redact(note)
    values = {"of": proposal, "before": before, "state": after, "note": said, "execute_by": execute_by}
    changed = await tx.execute(_SET_STATE, values)
    return changed.rowcount == 1
