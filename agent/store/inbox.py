"""The inbox, as rows: one a notification, kept before it is answered, and what was delivered before."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from agent.clock import iso, parse_time
from agent.domain.alert import Alert, alert_from_json
from agent.domain.redact import Redactor
from agent.store.database import Transaction
from agent.store.schema import chunks, deliveries
from agent.store.schema import inbox as table
from tools.context import Change

NEW, DONE, QUARANTINED = "new", "done", "quarantined"
_KNOWN = select(deliveries.c.key).where(deliveries.c.key.in_(bindparam("keys", expanding=True)))
_COUNTED = (
    update(deliveries)
    .where(deliveries.c.key == bindparam("of"))
    .values(times=deliveries.c.times + bindparam("more"), last_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A notification nobody has worked yet."""

    id: int
    receipt: str
    source: str
    received_at: datetime
    alerts: tuple[Alert, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Posted:
    """A notification to keep. `state` is `new` or `quarantined`; then `body` is what came, as it came."""

    receipt: str
    source: str
    received_at: datetime
    body: bytes
    state: str = NEW
    note: str = ""


def packed(alerts: Sequence[Alert], changes: Sequence[Change], redact: Redactor) -> bytes:
    """What a notification says, to be kept without secrets: zlib over JSON."""
    told = {"alerts": [a.to_json() for a in alerts], "changes": [{**asdict(c), "at": iso(c.at)} for c in changes]}
    return zlib.compress(json.dumps(redact.value(told), separators=(",", ":")).encode(), 1)


def delivery_key(alert: Alert) -> str:
    """What makes two deliveries the same, as a key of fixed length."""
    return hashlib.sha256(alert.key.encode("utf-8", "surrogatepass")).hexdigest()


def delivery_key_of_change(change: Change) -> str:
    """As `delivery_key`, of a change: the id its event has at its source, or all it says."""
    told = [change.source, change.detail["event"]] if "event" in change.detail else [iso(change.at), repr(change)]
    return hashlib.sha256("\0".join(["change", *told]).encode("utf-8", "surrogatepass")).hexdigest()


def delivery_key_of_body(source: str, body: bytes) -> str:
    """As `delivery_key`, of what is kept as it came."""
    return hashlib.sha256(b"\0".join([b"body", source.encode(), body])).hexdigest()


async def known(tx: Transaction, keys: Collection[str]) -> set[str]:
    """Those of the deliveries that came before."""
    found = set[str]()
    for some in chunks(list(keys)):
        found |= set((await tx.execute(_KNOWN, {"keys": some})).scalars())
    return found


async def keep(
    tx: Transaction, posted: Sequence[Posted], fresh: Collection[str], again: Mapping[str, int], at: datetime
) -> None:
    """Notifications, the keys of what is new in them, and how often known ones were delivered again."""
    if fresh:
        await tx.execute(insert(deliveries), [{"key": k, "first_at": at, "last_at": at, "times": 1} for k in fresh])
    if again:
        await tx.execute(_COUNTED, [{"of": key, "more": times, "now": at} for key, times in again.items()])
    if posted:
        await tx.execute(insert(table), [asdict(one) for one in posted])


async def fresh(tx: Transaction, limit: int, alerts: int | None = None) -> list[Entry]:
    """The oldest that nobody has worked: up to `limit`, with up to so many alerts in all, one at least."""
    query = select(table).where(table.c.state == NEW).order_by(table.c.id).limit(limit)
    found: list[Entry] = []
    total = 0
    for row in (await tx.execute(query)).mappings():
        if alerts is not None and total >= alerts:
            break
        entry = _entry(dict(row))
        total += len(entry.alerts)
        if found and alerts is not None and total > alerts:
            break
        found.append(entry)
    return found


async def done(tx: Transaction, ids: Sequence[int]) -> None:
    await tx.execute(update(table).where(table.c.id.in_(ids)).values(state=DONE))


async def set_aside(tx: Transaction, entry: int, why: str) -> None:
    """It could not be worked; it is kept, and shown by `stanch doctor`."""
    await tx.execute(update(table).where(table.c.id == entry).values(state=QUARANTINED, note=why))


async def prune(tx: Transaction, before: datetime) -> None:
    """Forget what was worked, or only delivered again, before then. What waits stays."""
    await tx.execute(delete(table).where(table.c.state != NEW, table.c.received_at < before))
    await tx.execute(delete(deliveries).where(deliveries.c.last_at < before))


async def quarantined(tx: Transaction, limit: int) -> list[tuple[str, str, datetime, str]]:
    """(receipt, source, received at, why), the newest first."""
    query = select(table.c.receipt, table.c.source, table.c.received_at, table.c.note)
    query = query.where(table.c.state == QUARANTINED).order_by(table.c.id.desc()).limit(limit)
    return [(row.receipt, row.source, row.received_at, row.note) for row in await tx.execute(query)]


async def waiting(tx: Transaction) -> int:
    """How many nobody has worked."""
    return int((await tx.execute(select(func.count()).where(table.c.state == NEW))).scalar() or 0)


def _entry(row: Mapping[str, Any]) -> Entry:
    told = json.loads(zlib.decompress(row["body"]))
    return Entry(
        row["id"],
        row["receipt"],
        row["source"],
        row["received_at"],
        tuple(alert_from_json(one) for one in told["alerts"]),
        tuple(Change(**{**one, "at": parse_time(one["at"])}) for one in told["changes"]),
    )
