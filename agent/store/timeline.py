"""The timeline's rows. They are only ever added to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

from sqlalchemy import RowMapping, bindparam, func, insert, select, tuple_

from agent.clock import iso
from agent.domain.notes import KillSwitchRecorded, LossAccepted, gap_in, money_of
from agent.domain.payload import Payload
from agent.domain.text import whole
from agent.domain.timeline import FIRST, Event, EventKind, EventOf, broken_at, chain_hash, genuine
from agent.errors import Unsettled
from agent.store import incidents
from agent.store.anchors import Head, Line, Start
from agent.store.database import Transaction
from agent.store.schema import chunks
from agent.store.schema import events as table
from tools.context import Json

SEE_AUDIT = "Nothing of it starts. `stanch audit verify` says more; put a backup back, then `stanch audit settle`."
SETTLE = "Nothing of it starts until somebody has accepted that: stanch audit settle --reason 'why'."
P = TypeVar("P", bound=Payload)
_INSERT = insert(table)
_HEAD = select(table.c.n, table.c.hash).where(table.c.incident == bindparam("of")).order_by(table.c.n.desc()).limit(1)
_LAST = select(table).where(table.c.incident == bindparam("of")).order_by(table.c.n.desc()).limit(1)
_BY_KEY = select(table).where(table.c.incident == bindparam("of"), table.c.key == bindparam("under"))
_FIRST = (
    select(table.c.n).where(table.c.incident == bindparam("of"), table.c.key == bindparam("under")).scalar_subquery()
)
_FROM = select(table).where(table.c.incident == bindparam("of"), table.c.n >= _FIRST).order_by(table.c.n)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is yet to be chained. `redacted` says that it was made of what has passed the redactor."""

    incident: str
    told: Payload
    actor: str
    at: datetime
    key: str | None = None
    redacted: bool = False


async def append(
    tx: Transaction,
    incident: str,
    told: P,
    actor: str,
    at: datetime,
    key: str | None = None,
    run: int | None = None,
    fresh: bool = False,
    start: Start | None = None,
) -> EventOf[P]:
    """Add one event, chained to the last. With a `key` that is known, nothing is added and the first event comes back.

    Secrets and halves of characters are taken out first: what is chained has none. `run` is the appender's epoch:
    Overtaken unless it is the incident's. None (a surface) takes the incident's. `fresh` says that the key cannot be known
    yet: no look for it. `start` names the intent in the anchor's line. Unsettled where the timeline is not what is anchored.
    """
    epoch = await incidents.hold(tx, incident, run)
    if key is not None and not fresh and (known := await by_key(tx, incident, key)) is not None:
        return cast("EventOf[P]", _same(tx, known, told.KIND, key))
    last = tx.heads.get(incident) or await tail(tx, incident)  # the row is held: nobody else appends
    event = await _add(tx, last, epoch, Entry(incident, told, actor, at, key))
    if start is not None:
        tx.named.append(Line(incident, tx.heads[incident], start))
    return cast("EventOf[P]", event)


async def append_all(tx: Transaction, entries: Sequence[Entry]) -> list[Event]:
    """As `append` with `fresh`, in their order and in one statement. The incidents' rows are held already."""
    for why in (await tails(tx, {one.incident for one in entries} - tx.heads.keys())).values():
        raise Unsettled(why)
    chained = []
    for one in entries:
        chained.append(_chained(tx, tx.heads.get(one.incident) or tx.found[one.incident], tx.held[one.incident], one))
    rows = [event.to_json() | {"at": event.at, "key": one.key} for event, one in zip(chained, entries, strict=True)]
    if rows:
        await tx.execute(_INSERT, rows)
    return chained


async def go_on_behind(
    tx: Transaction, incident: str, told: LossAccepted | KillSwitchRecorded, actor: str, at: datetime
) -> Event:
    """Add the event with which a person accepts a gap: its number lies behind everything that was ever anchored."""
    epoch = await incidents.hold(tx, incident)
    assert told.gap is not None
    tx.sync = True
    return await _add(tx, await head(tx, incident), epoch, Entry(incident, told, actor, at), told.gap.until + 1)


async def _add(tx: Transaction, last: Head, epoch: int, entry: Entry, n: int = 0) -> Event:
    event = _chained(tx, last, epoch, entry, n)
    await tx.execute(_INSERT, event.to_json() | {"at": event.at, "key": entry.key})
    return event


def _chained(tx: Transaction, last: Head, epoch: int, entry: Entry, n: int = 0) -> Event:
    """The event that follows the last one, numbered `n` behind a gap. The caller writes it."""
    n = n or last.n + 1
    written = entry.told.to_json()
    data = dict(whole(written)) if entry.redacted else as_kept(tx, written)
    when = entry.at.astimezone(UTC)
    when = when.replace(microsecond=when.microsecond // 1000 * 1000)  # as exact as its JSON, which is what is hashed
    body: dict[str, Json] = {
        "n": n,
        "incident": entry.incident,
        "run": epoch,
        "at": iso(when),
        "kind": str(entry.told.KIND),
        "actor": entry.actor,
        "data": data,
        "prev": last.hash,
    }
    mark = chain_hash(tx.audit_key, last.hash, body)
    tx.heads[entry.incident] = Head(n, mark)
    return EventOf(n, entry.incident, epoch, when, entry.told.KIND, entry.actor, data, last.hash, mark)


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


def _same(tx: Transaction, known: Event, kind: EventKind, key: str) -> Event:
    """What stands under the key already; a key is in no hash, so it may have been moved to another event."""
    if known.kind is not kind or not genuine(tx.audit_key, known):
        raise Unsettled(
            f"Event {known.n} of {known.incident} stands under the key {key!r}, and is not what was kept there. {SEE_AUDIT}"
        )
    return known


# -- what is anchored -------------------------------------------------------------------------------------------------


async def tail(tx: Transaction, incident: str) -> Head:
    """The last event, after it was held against the anchors: it is the one with the greatest number there, or follows from
    it. Unsettled otherwise: then nothing of the incident is started, run or added to."""
    if incident not in tx.found:
        found = await head(tx, incident)
        tx.found[incident] = await accords(tx, incident, found)
    return tx.found[incident]


async def tails(tx: Transaction, incidents: Collection[str]) -> dict[str, str]:
    """As `tail` for many at once; of those that are not what is anchored, why."""
    fresh, wrong = set(incidents) - tx.found.keys(), {}
    heads = await _heads_of(tx, fresh) if fresh else {}
    for incident in sorted(fresh):
        try:
            tx.found[incident] = await accords(tx, incident, heads.get(incident, Head(0, FIRST)))
        except Unsettled as error:
            wrong[incident] = str(error)
    return wrong


async def last(tx: Transaction, incident: str) -> Event | None:
    """The last event itself, as `tail`, and as it was written."""
    row = (await tx.execute(_LAST, {"of": incident})).mappings().first()
    event = _event(row) if row else None
    tx.found[incident] = await accords(tx, incident, Head(event.n, event.hash) if event else Head(0, FIRST))
    if event is not None and not genuine(tx.audit_key, event):
        raise Unsettled(f"Event {event.n} of {incident} was changed after it was written. {SEE_AUDIT}")
    return event


async def accords(tx: Transaction, incident: str, found: Head) -> Head:
    """The head as it was found, where it is what is anchored or follows from it; Unsettled otherwise."""
    anchored = tx.anchors.last(incident)
    if anchored == found or (anchored is None and found.n == 0):
        return found
    if anchored is not None and anchored.n > found.n:
        lost = f"{anchored.n}" if found.n + 1 == anchored.n else f"{found.n + 1} to {anchored.n}"
        what = f"has lost events {lost}" if found.n else f"is missing, with its events up to {anchored.n}"
        raise Unsettled(f"{incident} {what}: the database was cut, or an older one was put back. {SETTLE}")
    if anchored is not None and anchored.n == found.n:
        raise Unsettled(f"Event {found.n} of {incident} is not the one that was anchored. {SEE_AUDIT}")
    since = anchored or Head(0, FIRST)
    fresh = await events(tx, incident, since.n)
    gap = gap_in(fresh[0].kind, fresh[0].data)
    if gap is not None and gap.since <= since.n <= gap.until:  # the very word with which a person accepted it
        since, fresh = Head(0, FIRST), await events(tx, incident)
    if (place := broken_at(tx.audit_key, fresh, since.n, since.hash)) is not None:
        raise Unsettled(f"{incident} is broken at event {place}. {SEE_AUDIT}")
    tx.behind[incident] = found  # written, and then a crash took its anchor
    return found


async def verified(tx: Transaction, incident: str) -> Head:
    """The last event, after the whole chain was verified and held against the anchors; Unsettled where it breaks."""
    if (place := broken_at(tx.audit_key, await events(tx, incident))) is not None:
        raise Unsettled(f"{incident} is broken at event {place}. {SEE_AUDIT}")
    return await tail(tx, incident)


async def unchecked_last(tx: Transaction, incident: str) -> Event | None:
    """The last event, whatever is anchored; None as well where it is not what was written."""
    row = (await tx.execute(_LAST, {"of": incident})).mappings().first()
    event = _event(row) if row else None
    return event if event is not None and genuine(tx.audit_key, event) else None


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
    return sum(money_of(note) for note in (await tx.execute(query)).scalars())


async def head(tx: Transaction, incident: str) -> Head:
    """The last event's number and hash; number 0 for an empty timeline."""
    row = (await tx.execute(_HEAD, {"of": incident})).first()
    return Head(row.n, row.hash) if row else Head(0, FIRST)


async def heads(tx: Transaction) -> dict[str, int]:
    """Of each incident, the number of its last event."""
    rows = await tx.execute(select(table.c.incident, func.max(table.c.n).label("n")).group_by(table.c.incident))
    return {str(row.incident): int(row.n) for row in rows}


async def last_heads(tx: Transaction) -> dict[str, Head]:
    """Of each incident with events, the last one."""
    newest = select(table.c.incident, func.max(table.c.n).label("n")).group_by(table.c.incident).subquery()
    query = select(table.c.incident, table.c.n, table.c.hash).join(
        newest, (newest.c.incident == table.c.incident) & (newest.c.n == table.c.n)
    )
    return {str(row.incident): Head(row.n, row.hash) for row in await tx.execute(query)}


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
    return EventOf(**values | {"kind": EventKind(values["kind"])})
