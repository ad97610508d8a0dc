"""Audit: does every timeline still read as it was written, to the last anchored event?

Rows are read as raw text, because a damaged row need not be a value of its type any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, select, type_coerce

from agent.clock import iso, parse_time
from agent.domain.notes import Gap, gap_in
from agent.domain.timeline import FIRST, canonical, chain_hash
from agent.errors import Unsettled
from agent.gate import kill_switch, table_audit
from agent.store.database import Database, Transaction
from agent.store.schema import events as table

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?")  # as both databases spell it


@dataclass(frozen=True, slots=True)
class Break:
    """Where a timeline no longer is what was written. `n` is the first event concerned; 0: a row that no event tells of.
    `mend` says what to do about it."""

    incident: str
    n: int
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.incident}, event {self.n}: {self.what}"


@dataclass(frozen=True, slots=True)
class Row:
    """One event as the database gives it, unparsed."""

    n: int
    run: int
    at: str
    kind: str
    actor: str
    data: str
    prev: str
    hash: str


RESTORE = "Put the database back as it was last. Where it cannot be had: stanch audit settle --reason 'why'; then it is asked what was started meanwhile. Nothing of it starts before."
TAMPERED = (
    "Somebody has written to the database: find out who, put back a backup, then: stanch audit settle --reason 'why'."
)
WITNESS = "Put the file back, or look at what it held; then: stanch audit settle --reason 'why'. Nothing starts before."


async def verify(db: Database) -> list[Break]:
    """All breaks, at most one an incident: the first of its chain, or of the tables that the gate decides by, which have to
    say what its chain says. Empty when everything is as it was written."""
    anchored = db.anchors.read()
    found = [Break("anchors", one.number, f"{one.path.name}: the line {one.what}", WITNESS) for one in db.anchors.wrong]
    async with db.read() as tx:
        for incident in sorted({*await table_audit.incidents_with_rows(tx), *anchored}):
            rows = await _rows(tx, incident)
            if one := first_break(db.audit_key, incident, rows, anchored.get(incident, {})):
                found.append(one)
            elif (differs := await table_audit.first_difference(tx, incident)) is not None:
                found.append(Break(incident, *differs, TAMPERED))
        if not any(one.incident in ("anchors", kill_switch.RECORD) for one in found) and (told := await _switch(tx)):
            found.append(told)
    return found


async def _switch(tx: Transaction) -> Break | None:
    """The kill switch's row against its timeline, and the timeline's word on the anchors against them."""
    try:
        differs = await kill_switch.difference(tx)
    except Unsettled as error:
        return Break("anchors", 0, str(error).split(". Nothing")[0], WITNESS)
    return Break(kill_switch.RECORD, 0, differs, TAMPERED) if differs else None


def first_break(key: bytes, incident: str, rows: Sequence[Row], anchored: Mapping[int, frozenset[str]]) -> Break | None:
    """The first place at which the rows do not follow from one another, or from the hashes anchored outside. What a person
    has accepted as lost is passed over, exactly as far as its event says."""
    last, prev, hashes = 0, FIRST, {}
    gaps: list[Gap] = []
    for row in rows:
        gap = _gap(row)
        place = gap.until + 1 if gap is not None and gap.after == last else last + 1
        if row.n != place:
            return Break(incident, place, f"it is missing; event {row.n} stands in its place", TAMPERED)
        if row.prev != prev:
            return Break(incident, place, "it does not follow the event before it", TAMPERED)
        if (wrong := _wrong(key, incident, row)) is not None:
            return Break(incident, place, wrong, TAMPERED)
        gaps += [gap] if gap is not None else []
        last, prev = row.n, row.hash
        hashes[last] = row.hash
    for n, told in anchored.items():
        if any(gap.since <= n <= gap.until for gap in gaps):
            continue
        if n > last:
            return Break(incident, last + 1, f"it is missing; events up to {max(anchored)} had been written", RESTORE)
        if len(told) > 1:
            return Break(incident, n, "two different events were anchored under this number", RESTORE)
        if {hashes.get(n)} != told:
            return Break(incident, n, "it is not the event that was anchored", RESTORE)
    return None


def _gap(row: Row) -> Gap | None:
    try:
        return gap_in(row.kind, json.loads(row.data))
    except (ValueError, AttributeError):
        return None


def _wrong(key: bytes, incident: str, row: Row) -> str | None:
    try:
        at, data = parse_time(row.at), json.loads(row.data)
    except ValueError:
        return "its time or its data cannot be read any more"
    body = {
        "n": row.n,
        "incident": incident,
        "run": row.run,
        "at": iso(at),
        "kind": row.kind,
        "actor": row.actor,
        "data": data,
        "prev": row.prev,
    }
    same_spelling = canonical(data).decode() == row.data and _TIME.fullmatch(row.at) and at.microsecond % 1000 == 0
    if not same_spelling or chain_hash(key, row.prev, body) != row.hash:
        return "it was changed after it was written"
    return None


async def _rows(tx: Transaction, incident: str) -> list[Row]:
    c = table.c
    columns = (
        c.n,
        c.run,
        cast(c.at, Text).label("at"),
        c.kind,
        c.actor,
        type_coerce(c.data, Text).label("data"),
        c.prev,
        c.hash,
    )
    rows = await tx.execute(select(*columns).where(c.incident == incident).order_by(c.n))
    return [Row(**_as_utc(dict(row))) for row in rows.mappings()]


def _as_utc(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps UTC without saying so."""
    at = str(row["at"])
    return row | {"at": at if at[10:].count("+") or at[10:].count("-") else f"{at}+00:00"}
