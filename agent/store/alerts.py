"""Alerts, as they were delivered: one row for each signal (fingerprint, startsAt, status) of an incident."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from agent.case.alert import Alert, AlertStatus
from agent.clock import iso, parse_time
from agent.store.database import Transaction
from agent.store.schema import alerts as table
from tools.context import Json

CHUNK = 500  # fingerprints of one statement


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a signal stands: `key` is that of Alert."""

    fingerprint: str
    starts_at: datetime
    incident: str
    key: str


async def kept(tx: Transaction, fingerprints: Collection[str]) -> list[Kept]:
    """All signals of these fingerprints, in the order of arrival."""
    wanted, found = list(fingerprints), list[tuple[int, Kept]]()
    for start in range(0, len(wanted), CHUNK):
        query = select(table.c.id, table.c.fingerprint, table.c.starts_at, table.c.incident, table.c.key)
        query = query.where(table.c.fingerprint.in_(wanted[start : start + CHUNK]))
        rows = await tx.execute(query)
        found += [(row.id, Kept(row.fingerprint, row.starts_at, row.incident, row.key)) for row in rows]
    return [one for _, one in sorted(found, key=lambda one: one[0])]


async def add(tx: Transaction, alerts: Sequence[tuple[str, Alert]]) -> None:
    """Signals (incident, alert) that are not kept yet; the incidents' rows are held."""
    rows = [
        {
            "incident": incident, "key": a.key, "fingerprint": a.fingerprint, "starts_at": a.starts_at, "body": alert_json(a),
        }
        for incident, a in alerts
    ]  # fmt: skip
    if rows:
        await tx.execute(insert(table), rows)


async def of(tx: Transaction, incident: str) -> list[Alert]:
    """In the order of arrival."""
    rows = await tx.execute(select(table.c.body).where(table.c.incident == incident).order_by(table.c.id))
    return [alert_from_json(body) for body in rows.scalars()]


async def known(tx: Transaction, fingerprint: str, since: datetime, width: timedelta) -> bool:
    """Whether any incident has an alert of this fingerprint that began at `since` or less than `width` later."""
    began = (table.c.starts_at >= since, table.c.starts_at < since + width)
    query = select(table.c.id).where(table.c.fingerprint == fingerprint, *began).limit(1)
    return (await tx.execute(query)).first() is not None


async def newest(tx: Transaction, limit: int) -> list[Alert]:
    """Those that arrived last, the newest first."""
    rows = await tx.execute(select(table.c.body).order_by(table.c.id.desc()).limit(limit))
    return [alert_from_json(body) for body in rows.scalars()]


def alert_json(alert: Alert) -> dict[str, Json]:
    return {
        "source": alert.source, "fingerprint": alert.fingerprint, "status": str(alert.status),
        "labels": dict(alert.labels), "annotations": dict(alert.annotations), "starts_at": iso(alert.starts_at),
        "ends_at": iso(alert.ends_at) if alert.ends_at else None, "generator_url": alert.generator_url,
        "group_key": alert.group_key, "extra": dict(alert.extra),
    }  # fmt: skip


def alert_from_json(data: Mapping[str, Json]) -> Alert:
    """The inverse of alert_json."""
    values = dict(data)
    values["status"] = AlertStatus(str(values["status"]))
    values["starts_at"] = parse_time(str(values["starts_at"]))
    values["ends_at"] = parse_time(str(values["ends_at"])) if values["ends_at"] else None
    return Alert(**values)
