"""The timeline's rows. They are only ever added to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import RowMapping, bindparam, func, insert, select, tuple_

from agent.case.text import whole
from agent.case.timeline import FIRST, Event, EventKind, chain_hash
from agent.clock import iso
from agent.store import incidents
from agent.store.anchors import Head
from agent.store.database import Transaction
from agent.store.schema import chunks
from agent.store.schema import events as table
from tools.context import Json

_INSERT = insert(table)
_HEAD = select(table.c.n, table.c.hash).where(table.c.incident == bindparam("of")).order_by(table.c.n.desc()).limit(1)
_BY_KEY = select(table).where(table.c.incident == bindparam("of"), table.c.key == bindparam("under"))
_FIRST = (
    select(table.c.n).where(table.c.incident == bindparam("of"), table.c.key == bindparam("under")).scalar_subquery()
)
_FROM = select(table).where(table.c.incident == bindparam("of"), table.c.n >= _FIRST).order_by(table.c.n)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is yet to be chained. `redacted` says that `data` was made of what has passed the redactor."""

    incident: str
    kind: EventKind
    actor: str
    data: Mapping[str, Json]
    at: datetime
    key: str | None = None
    redacted: bool = False


async def append(
    tx: Transaction,
    incident: str,
    kind: EventKind,
    actor: str,
    data: Mapping[str, Json],
    at: datetime,
    key: str | None = None,
    run: int | None = None,
    fresh: bool = False,
) -> Event:
    """Add one event, chained to the last. With a `key` that is known, nothing is added and the first event comes back.

    Secrets and halves of characters are taken out of `data` first: what is chained has none. `run` is the appender's epoch: Overtaken unless it is
    the incident's. None (a surface) takes the incident's. `fresh` says that the key cannot be known yet: no look for it.
    """
    epoch = await incidents.hold(tx, incident, run)
    if key is not None and not fresh and (known := await by_key(tx, incident, key)) is not None:
        return known
    last = tx.heads.get(incident) or await head(tx, incident)  # the row is held: nobody else appends
    event = _chained(tx, last, epoch, Entry(incident, kind, actor, data, at, key))
    await tx.execute(_INSERT, event.to_json() | {"at": event.at, "key": key})
    return event


async def append_all(tx: Transaction, entries: Sequence[Entry]) -> list[Event]:
    """As `append` with `fresh`, in their order and in one statement. The incidents' rows are held already."""
    heads = await _heads_of(tx, {one.incident for one in entries} - tx.heads.keys())
    chained = []
    for one in entries:
        last = tx.heads.get(one.incident) or heads.get(one.incident) or Head(0, FIRST)
        chained.append(_chained(tx, last, tx.held[one.incident], one))
    rows = [event.to_json() | {"at": event.at, "key": one.key} for event, one in zip(chained, entries, strict=True)]
    if rows:
        await tx.execute(_INSERT, rows)
    return chained


def _chained(tx: Transaction, last: Head, epoch: int, entry: Entry) -> Event:
    """The event that follows the last one. The caller writes it."""
    data = dict(whole(dict(entry.data))) if entry.redacted else as_kept(tx, entry.data)
    when = entry.at.astimezone(UTC)
    when = when.replace(microsecond=when.microsecond // 1000 * 1000)  # as exact as its JSON, which is what is hashed
    body: dict[str, Json] = {
        "n": last.n + 1, "incident": entry.incident, "run": epoch, "at": iso(when), "kind": str(entry.kind),
        "actor": entry.actor, "data": data, "prev": last.hash,
    }  # fmt: skip
    mark = chain_hash(tx.audit_key, last.hash, body)
    tx.heads[entry.incident] = Head(last.n + 1, mark)
    return Event(last.n + 1, entry.incident, epoch, when, entry.kind, entry.actor, data, last.hash, mark)


async def _heads_of(tx: Transaction, incidents: Collection[str]) -> dict[str, Head]:
    """The last event of each that has any."""
    found: dict[str, Head] = {}
    for some in chunks(sorted(incidents)):
        newest = (
            select(table.c.incident, func.max(table.c.n)).where(table.c.incident.in_(some)).group_by(table.c.incident)
        )
        query = select(table.c.incident, table.c.n, table.c.hash).where(tuple_(table.c.incident, table.c.n).in_(newest))
        found |= {row.incident: Head(row.n, row.hash) for row in await tx.execute(query)}
    return found


def as_kept(tx: Transaction, data: Mapping[str, Json]) -> dict[str, Json]:
    """The data as an event keeps it: without secrets and halves of characters."""
    return dict(whole(tx.redact.value(dict(data))))


async def events(tx: Transaction, incident: str, after: int = 0) -> list[Event]:
    """In order, those whose number is greater than `after`."""
    query = select(table).where(table.c.incident == incident, table.c.n > after).order_by(table.c.n)
    return [_event(row) for row in (await tx.execute(query)).mappings()]


async def money_since(tx: Transaction, since: datetime) -> float:
    """What all moves since then have cost, over all incidents."""
    query = select(table.c.data).where(table.c.kind == str(EventKind.NOTE), table.c.at >= since)
    spent = [data.get("spent") or {} for data in (await tx.execute(query)).scalars()]
    return float(sum(one.get("money", 0.0) for one in spent))


async def head(tx: Transaction, incident: str) -> Head:
    """The last event's number and hash; number 0 for an empty timeline."""
    row = (await tx.execute(_HEAD, {"of": incident})).first()
    return Head(row.n, row.hash) if row else Head(0, FIRST)


async def heads(tx: Transaction) -> dict[str, int]:
    """Of each incident, the number of its last event."""
    rows = await tx.execute(select(table.c.incident, func.max(table.c.n).label("n")).group_by(table.c.incident))
    return {str(row.incident): int(row.n) for row in rows}


async def by_key(tx: Transaction, incident: str, key: str) -> Event | None:
    """The event that was appended under a key."""
    row = (await tx.execute(_BY_KEY, {"of": incident, "under": key})).mappings().first()
    return _event(row) if row else None


async def from_key(tx: Transaction, incident: str, key: str) -> list[Event]:
    """In order, the event that was appended under a key and all after it; none where the key is unknown."""
    return [_event(row) for row in (await tx.execute(_FROM, {"of": incident, "under": key})).mappings()]


async def incidents_with_events(tx: Transaction) -> list[str]:
    return list((await tx.execute(select(table.c.incident).distinct().order_by(table.c.incident))).scalars())


def _event(row: RowMapping) -> Event:
    values = {name: value for name, value in row.items() if name != "key"}
    return Event(**values | {"kind": EventKind(values["kind"])})
