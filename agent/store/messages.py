"""Messages, as rows: what each thread of a surface was shown, by slot. What ought to be shown is a view of the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from agent.store.database import Transaction
from agent.store.schema import messages as table


@dataclass(frozen=True, slots=True)
class Sent:
    """`address` and `content` are empty while nobody knows whether it arrived."""

    surface: str
    thread: str
    slot: str
    place: str
    address: str
    content: str
    sent_at: datetime


async def of(tx: Transaction, surface: str, thread: str) -> dict[str, Sent]:
    """By slot."""
    rows = await tx.execute(select(table).where(table.c.surface == surface, table.c.thread == thread))
    return {row["slot"]: Sent(**row) for row in rows.mappings()}


async def put(tx: Transaction, sent: Sent) -> None:
    """Keep it; what was kept of the same slot is replaced."""
    key = {"surface": sent.surface, "thread": sent.thread, "slot": sent.slot}
    rest = {"place": sent.place, "address": sent.address, "content": sent.content, "sent_at": sent.sent_at}
    same = [getattr(table.c, name) == value for name, value in key.items()]
    changed = await tx.execute(update(table).where(*same).values(**rest))
    if not changed.rowcount:
        await tx.execute(insert(table).values(**key, **rest))


async def at(tx: Transaction, surface: str, place: str, address: str) -> Sent | None:
    """The message that the surface calls so."""
    query = select(table).where(table.c.surface == surface, table.c.place == place, table.c.address == address)
    row = (await tx.execute(query)).mappings().first()
    return Sent(**row) if row else None
