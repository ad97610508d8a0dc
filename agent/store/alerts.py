"""Alerts, as they were delivered: one row for each (fingerprint, startsAt, status) of an incident."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select

from agent.domain.alert import Alert, alert_from_json
from agent.store.database import Transaction
from agent.store.schema import alerts as table
from agent.store.schema import chunks


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an alert stands: `key` is that of Alert."""

    fingerprint: str
    starts_at: datetime
    incident: str
    key: str


async def kept(tx: Transaction, fingerprints: Collection[str]) -> list[Kept]:
    """All alerts of these fingerprints, in the order of arrival."""
    found = list[tuple[int, Kept]]()
    for some in chunks(list(fingerprints)):
        query = select(table.c.id, table.c.fingerprint, table.c.starts_at, table.c.incident, table.c.key)
        rows = await tx.execute(query.where(table.c.fingerprint.in_(some)))
        found += [(row.id, Kept(row.fingerprint, row.starts_at, row.incident, row.key)) for row in rows]
    return [one for _, one in sorted(found, key=lambda one: one[0])]


async def add(tx: Transaction, alerts: Sequence[tuple[str, Alert]]) -> None:
    """Signals (incident, alert) that are not kept yet; the incidents' rows are held."""
    rows = [
        {
            "incident": incident,
            "key": a.key,
            "fingerprint": a.fingerprint,
            "starts_at": a.starts_at,
            "body": a.to_json(),
        }
        for incident, a in alerts
    ]
    if rows:
        await tx.execute(insert(table), rows)


async def of(tx: Transaction, incident: str) -> list[Alert]:
    """In the order of arrival."""
    rows = await tx.execute(select(table.c.body).where(table.c.incident == incident).order_by(table.c.id))
    return [alert_from_json(body) for body in rows.scalars()]


async def of_all(tx: Transaction, incidents: Collection[str]) -> dict[str, list[Alert]]:
    """As `of`, of those incidents that have any."""
    found: dict[str, list[Alert]] = {}
    for some in chunks(list(incidents)):
        query = select(table.c.incident, table.c.body).where(table.c.incident.in_(some)).order_by(table.c.id)
        for row in await tx.execute(query):
            found.setdefault(row.incident, []).append(alert_from_json(row.body))
    return found


async def last(tx: Transaction) -> int:
    """The number of the row that was added last; 0 for none."""
    return int((await tx.execute(select(func.max(table.c.id)))).scalar() or 0)


async def since(tx: Transaction, number: int) -> list[tuple[str, Alert]]:
    """(incident, alert) of the rows that were added after this one."""
    query = select(table.c.incident, table.c.body).where(table.c.id > number).order_by(table.c.id)
    return [(row.incident, alert_from_json(row.body)) for row in await tx.execute(query)]


async def newest(tx: Transaction, limit: int) -> list[Alert]:
    """Those that arrived last, the newest first."""
    rows = await tx.execute(select(table.c.body).order_by(table.c.id.desc()).limit(limit))
    return [alert_from_json(body) for body in rows.scalars()]
