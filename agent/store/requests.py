"""Requests of people's surfaces that were answered already: a replay or a retry is no second request."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, insert, select

from agent.store.database import Transaction
from agent.store.schema import requests as table


async def first(tx: Transaction, surface: str, key: str, at: datetime) -> bool:
    """Remember the request; False when it was there before."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    same = select(table.c.key).where(table.c.surface == surface, table.c.key == digest)
    if (await tx.execute(same)).first():
        return False
    await tx.execute(insert(table).values(surface=surface, key=digest, at=at))
    return True


async def forget(tx: Transaction, before: datetime) -> None:
    """What is older than any signature that is still accepted."""
    await tx.execute(delete(table).where(table.c.at < before))
