"""Changes that were posted to us. The same change posted twice is kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, select

from agent.clock import iso
from agent.domain.timeline import canonical
from agent.store.database import Transaction
from agent.store.schema import changes as table
from tools.context import Change, Json


async def add(tx: Transaction, change: Change) -> bool:
    """Keep the change; False when it is known."""
    body = tx.redact.value(_body(change))
    key = hashlib.sha256(canonical(body | {"at": iso(change.at)})).hexdigest()
    if (await tx.execute(select(table.c.key).where(table.c.key == key))).first():
        return False
    await tx.execute(insert(table).values(key=key, at=change.at, body=body))
    return True


async def between(tx: Transaction, since: datetime, until: datetime) -> list[Change]:
    """In the order of time, both ends included."""
    query = select(table).where(table.c.at >= since, table.c.at <= until).order_by(table.c.at, table.c.key)
    return [_change(row.at, row.body) for row in await tx.execute(query)]


def _body(change: Change) -> dict[str, Json]:
    return {
        "kind": change.kind,
        "what": change.what,
        "service": change.service,
        "cluster": change.cluster,
        "by": change.by,
        "link": change.link,
        "source": change.source,
        "detail": dict(change.detail),
    }


def _change(at: datetime, body: Mapping[str, Json]) -> Change:
    return Change(at=at, **body)
