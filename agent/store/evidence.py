"""Evidence: numbered within its incident, whole, compressed, and its hash on the timeline."""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime

from sqlalchemy import func, insert, select

from agent.domain.events import EvidenceRecorded
from agent.domain.evidence import Evidence, Recorded, evidence_from_json
from agent.store import incidents, timeline
from agent.store.database import Transaction
from agent.store.schema import evidence as table

MOST_BYTES = 2_000_000


async def record(tx: Transaction, incident: str, run: int, recorded: Recorded, at: datetime, key: str) -> Evidence:
    """Number and keep one read, and append its `evidence` event. The same key again gives the evidence there is."""
    await incidents.hold(tx, incident, run)
    known = (
        await tx.execute(select(table.c.meta).where(table.c.incident == incident, table.c.key == key))
    ).scalar_one_or_none()
    if known is not None:
        return evidence_from_json(known)
    n = ((await tx.execute(select(func.max(table.c.n)).where(table.c.incident == incident))).scalar() or 0) + 1
    body = _bounded(tx.redact(recorded.body))
    found = Evidence(
        f"E{n}",
        recorded.read,
        dict(recorded.arguments),
        recorded.by,
        recorded.as_of,
        at,
        recorded.outcome,
        recorded.summary,
        recorded.facts,
        recorded.link,
        hashlib.sha256(body).hexdigest(),
        recorded.why,
    )
    meta = tx.redact.value(found.to_json())
    await tx.execute(
        insert(table).values(
            incident=incident,
            n=n,
            key=key,
            meta=meta,
            extra=tx.redact.value(dict(recorded.extra)),
            body=zlib.compress(body, 6),
        )
    )
    kept = evidence_from_json(meta)
    told = EvidenceRecorded(evidence=kept, extra=dict(recorded.extra) or None)
    await timeline.append(tx, incident, told, recorded.by, at, f"evidence:{key}", run)
    return kept


async def body(tx: Transaction, incident: str, evidence_id: str) -> str | None:
    """The whole text of one read; None for an id that is not there."""
    number = evidence_id.removeprefix("E")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    query = select(table.c.body).where(table.c.incident == incident, table.c.n == int(number))
    packed: bytes | None = (await tx.execute(query)).scalar_one_or_none()
    return None if packed is None else zlib.decompress(packed).decode()


def _bounded(text: str) -> bytes:
    """UTF-8, at most 2 MB; what is cut off is said in the last line."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MOST_BYTES:
        return raw
    note = f"\n… cut: {len(raw)} bytes, of which the first {MOST_BYTES} are kept".encode()
    return raw[: MOST_BYTES - len(note)].decode("utf-8", "ignore").encode() + note
