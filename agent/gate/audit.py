"""Audit: does every timeline still read as it was written, to the last anchored event?

Rows are read as raw text, because a damaged row need not be a value of its type any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, select, type_coerce

from agent.case.timeline import FIRST, canonical, chain_hash
from agent.clock import iso, parse_time
from agent.gate import books
from agent.store import anchors
from agent.store.anchors import Head
from agent.store.database import Database, Transaction
from agent.store.schema import events as table

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)?")  # as both databases spell it


@dataclass(frozen=True, slots=True)
class Break:
    """Where a timeline no longer is what was written. `n` is the first event concerned; 0: a row that no event tells of."""

    incident: str
    n: int
    what: str

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


async def verify(db: Database) -> list[Break]:
    """All breaks, at most one an incident: the first of its chain, or of the tables that the gate decides by, which have to
    say what its chain says. Empty when everything is as it was written."""
    anchored = anchors.read(db.folder)
    found = []
    async with db.read() as tx:
        for incident in sorted({*await books.incidents_with_rows(tx), *anchored}):
            rows = await _rows(tx, incident)
            if one := first_break(db.audit_key, incident, rows, anchored.get(incident, ())):
                found.append(one)
            elif (differs := await books.first_difference(tx, incident)) is not None:
                found.append(Break(incident, *differs))
    return found


def first_break(key: bytes, incident: str, rows: Sequence[Row], heads: Sequence[Head]) -> Break | None:
    """The first place at which the rows do not follow from one another, or from the heads anchored outside."""
    prev, hashes = FIRST, {}
    for place, row in enumerate(rows, 1):
        if row.n != place:
            return Break(incident, place, f"it is missing; event {row.n} stands in its place")
        if row.prev != prev:
            return Break(incident, place, "it does not follow the event before it")
        if (wrong := _wrong(key, incident, row)) is not None:
            return Break(incident, place, wrong)
        prev = hashes[place] = row.hash
    for head in heads:
        if head.n > len(rows):
            return Break(incident, len(rows) + 1, f"it is missing; events up to {head.n} had been written")
        if hashes[head.n] != head.hash:
            return Break(incident, head.n, "it is not the event that was anchored")
    return None


def _wrong(key: bytes, incident: str, row: Row) -> str | None:
    try:
        at, data = parse_time(row.at), json.loads(row.data)
    except ValueError:
        return "its time or its data cannot be read any more"
    body = {
        "n": row.n, "incident": incident, "run": row.run, "at": iso(at), "kind": row.kind, "actor": row.actor,
        "data": data, "prev": row.prev,
    }  # fmt: skip
    same_spelling = canonical(data).decode() == row.data and _TIME.fullmatch(row.at) and at.microsecond % 1000 == 0
    if not same_spelling or chain_hash(key, row.prev, body) != row.hash:
        return "it was changed after it was written"
    return None


async def _rows(tx: Transaction, incident: str) -> list[Row]:
    c = table.c
    columns = (
        c.n, c.run, cast(c.at, Text).label("at"), c.kind, c.actor, type_coerce(c.data, Text).label("data"), c.prev, c.hash,
    )  # fmt: skip
    rows = await tx.execute(select(*columns).where(c.incident == incident).order_by(c.n))
    return [Row(**_as_utc(dict(row))) for row in rows.mappings()]


def _as_utc(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps UTC without saying so."""
    at = str(row["at"])
    return row | {"at": at if at[10:].count("+") or at[10:].count("-") else f"{at}+00:00"}
