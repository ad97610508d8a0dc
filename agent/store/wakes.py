"""Wakes: a row and a hint that an incident has something to look at, now or when it is due."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select

from agent.domain.urgency import Depth
from agent.store.database import Transaction
from agent.store.schema import attention, chunks, incidents
from agent.store.schema import wakes as table


@dataclass(frozen=True, slots=True)
class Wake:
    id: int
    incident: str
    reason: str
    due: datetime


async def add(tx: Transaction, incident: str, reason: str, due: datetime) -> None:
    """Wake the incident at `due`. The same wake twice is one."""
    same = select(table.c.id).where(table.c.incident == incident, table.c.reason == reason, table.c.due == due)
    if not (await tx.execute(same)).first():
        await tx.execute(insert(table).values(incident=incident, reason=reason, due=due))


async def add_all(tx: Transaction, names: Collection[str], reason: str, due: datetime) -> None:
    """As `add`, of several incidents."""
    for some in chunks(list(dict.fromkeys(names))):
        same = select(table.c.incident).where(table.c.incident.in_(some), table.c.reason == reason, table.c.due == due)
        known = set((await tx.execute(same)).scalars())
        rows = [{"incident": one, "reason": reason, "due": due} for one in some if one not in known]
        if rows:
            await tx.execute(insert(table), rows)


async def due(tx: Transaction, now: datetime) -> list[Wake]:
    """All that are due, the longest due first."""
    query = select(table).where(table.c.due <= now).order_by(table.c.due, table.c.id)
    return [Wake(**row) for row in (await tx.execute(query)).mappings()]


async def due_incidents(
    tx: Transaction, now: datetime, besides: Collection[str] = ()
) -> list[tuple[str, str, datetime, Depth | None]]:
    """(incident, severity, due since, how deep it is worked) of each that has a wake due and is not among `besides`."""
    since = func.min(table.c.due, type_=table.c.due.type).label("since")
    query = (
        select(table.c.incident, incidents.c.severity, since, attention.c.depth)
        .join(incidents, incidents.c.id == table.c.incident)
        .outerjoin(attention, attention.c.incident == table.c.incident)
        .where(table.c.due <= now)
        .group_by(table.c.incident, incidents.c.severity, attention.c.depth)
    )
    rows = [
        (row.incident, row.severity, row.since, None if row.depth is None else Depth(row.depth))
        for row in await tx.execute(query)
    ]
    return [row for row in rows if row[0] not in besides]


async def next_due(tx: Transaction, incident: str | None = None) -> datetime | None:
    """When the next wake is due, of one incident or of all; it may lie in the past."""
    query = select(func.min(table.c.due, type_=table.c.due.type))
    if incident is not None:
        query = query.where(table.c.incident == incident)
    found: datetime | None = (await tx.execute(query)).scalar()
    return found


async def clear_all(tx: Transaction, names: Collection[str], upto: datetime) -> None:
    """As `clear`, of several incidents."""
    await tx.execute(delete(table).where(table.c.incident.in_(list(names)), table.c.due <= upto))


async def clear(tx: Transaction, incident: str, upto: datetime, seen: Iterable[int] | None = None) -> None:
    """Forget the wakes that were due by `upto`, or of these only the ids in `seen`.

    A wake commits together with what it tells of. So clear first and look then, or clear only what was seen.
    """
    statement = delete(table).where(table.c.incident == incident, table.c.due <= upto)
    if seen is not None:
        statement = statement.where(table.c.id.in_(list(seen)))
    await tx.execute(statement)
