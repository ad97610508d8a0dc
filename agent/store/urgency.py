"""Urgency, as rows: how deep an incident is worked, where it is shown, and when a person last looked at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select, update

from agent.domain.urgency import Depth, Urgency
from agent.store.database import Transaction
from agent.store.schema import attention as table
from agent.store.schema import incidents


async def put(tx: Transaction, one: Urgency, fresh: bool = False) -> None:
    """Keep it; what was kept of the same incident is replaced. `fresh` says that nothing was."""
    same = update(table).where(table.c.incident == one.incident).values(**_columns(one))
    if fresh or not (await tx.execute(same)).rowcount:
        await add_all(tx, [one])


async def add_all(tx: Transaction, fresh: Sequence[Urgency]) -> None:
    """Of incidents of which none is kept."""
    if fresh:
        await tx.execute(insert(table), [{"incident": one.incident, **_columns(one)} for one in fresh])


async def of(tx: Transaction, incident: str) -> Urgency | None:
    row = (await tx.execute(select(table).where(table.c.incident == incident))).mappings().first()
    return None if row is None else _attention(dict(row))


async def threads(tx: Transaction, channel: str, since: datetime) -> dict[str, bool]:
    """The incidents whose threads a channel got since then, and whether they mention somebody."""
    threaded = [str(depth) for depth in Depth if depth.threaded]
    query = (
        select(table.c.incident, table.c.mentions)
        .join(incidents, incidents.c.id == table.c.incident)
        .where(table.c.channel == channel, table.c.depth.in_(threaded), incidents.c.opened_at >= since)
    )
    return {row.incident: bool(row.mentions) for row in await tx.execute(query)}


async def among(tx: Transaction, incidents: Sequence[str]) -> dict[str, Urgency]:
    """Of those incidents that have any, by incident."""
    rows = await tx.execute(select(table).where(table.c.incident.in_(incidents)))
    return {row["incident"]: _attention(dict(row)) for row in rows.mappings()}


async def seen(tx: Transaction, incident: str, at: datetime) -> None:
    """A person looked at the incident, or answered."""
    await tx.execute(update(table).where(table.c.incident == incident).values(seen_at=at))


async def called(tx: Transaction, incident: str, at: datetime) -> None:
    """A person was called for."""
    await tx.execute(update(table).where(table.c.incident == incident).values(called_at=at))


def _columns(one: Urgency) -> dict[str, object]:
    return {
        "depth": str(one.depth),
        "channel": one.channel,
        "mentions": list(one.mentions),
        "why": one.why,
        "post_at": one.post_at,
        "seen_at": one.seen_at,
        "called_at": one.called_at,
    }


def _attention(values: dict[str, object]) -> Urgency:
    return Urgency(**{**values, "depth": Depth(str(values["depth"])), "mentions": tuple(values["mentions"])})  # type: ignore[arg-type]
