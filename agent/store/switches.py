"""Switches of the whole installation. `stop` is the kill switch; its row is also the lock that puts claims in a line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, select, update

from agent.store.database import Transaction
from agent.store.schema import switches as table

STOP = "stop"


@dataclass(frozen=True, slots=True)
class Switch:
    name: str
    is_on: bool
    actor: str
    reason: str
    at: datetime | None


_HELD_STOP = select(table).where(table.c.name == STOP).with_for_update()


async def set_stop(tx: Transaction, stopped: bool, actor: str, reason: str, at: datetime) -> None:
    """Stop every action from being started, or let them start again."""
    values = {"is_on": stopped, "actor": actor, "reason": reason, "at": at}
    await tx.execute(update(table).where(table.c.name == STOP).values(**values))


async def stop(tx: Transaction) -> Switch | None:
    """The kill switch's row; None where somebody has taken it away."""
    return _switch((await tx.execute(select(table).where(table.c.name == STOP))).mappings().first())


async def hold_stop(tx: Transaction) -> Switch | None:
    """As `stop`, locked until the transaction ends: whoever claims counts budgets alone."""
    return _switch((await tx.execute(_HELD_STOP)).mappings().first())


def _switch(row: RowMapping | None) -> Switch | None:
    return Switch(**row) if row else None
