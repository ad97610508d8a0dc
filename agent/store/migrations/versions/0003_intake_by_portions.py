"""What waits in the inbox is taken in by portions: a long entry becomes several, in the same order. And two indices."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
PORTION = 50  # alerts of one entry

_INBOX = sa.table(
    "inbox",
    *(sa.column(name) for name in ("id", "receipt", "source", "received_at", "state", "note")),
    sa.column("body", sa.LargeBinary()),
)


def upgrade() -> None:
    op.create_index("incidents_by_state", "incidents", ["state", "opened_at"])
    op.create_index("attention_by_channel", "attention", ["channel", "depth"])
    _split(op.get_bind())


def _split(connection: sa.Connection) -> None:
    """From the first long entry on all that waits is written again, so that none overtakes another."""
    query = sa.select(_INBOX).where(_INBOX.c.state == "new").order_by(_INBOX.c.id)
    waiting = [dict(row) for row in connection.execute(query).mappings()]
    first = next((n for n, row in enumerate(waiting) if len(_told(row)["alerts"]) > PORTION), len(waiting))
    for row in waiting[first:]:
        connection.execute(sa.delete(_INBOX).where(_INBOX.c.id == row["id"]))
    # the numbers go on behind those that were there: SQLite gives the last one again once its row is gone
    number = connection.execute(sa.select(sa.func.max(_INBOX.c.id))).scalar() or 0
    number = max([number, *(row["id"] for row in waiting)])
    for row in waiting[first:]:
        for part in _parts(row):
            number += 1
            connection.execute(sa.insert(_INBOX), {**part, "id": number})
    if waiting[first:] and connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT setval(pg_get_serial_sequence('inbox', 'id'), :n)"), {"n": number})


def _parts(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    told = _told(row)
    alerts = sorted(told["alerts"], key=_began) if len(told["alerts"]) > PORTION else told["alerts"]
    for n, start in enumerate(range(0, len(alerts), PORTION) or [0]):
        part = {"alerts": alerts[start : start + PORTION], "changes": [] if n else told["changes"]}
        body = zlib.compress(json.dumps(part, separators=(",", ":")).encode(), 1)
        yield {**row, "receipt": f"{row['receipt']}.{n}" if n else row["receipt"], "body": body}


def _began(alert: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(alert["starts_at"].replace("Z", "+00:00"))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(zlib.decompress(row["body"]))
    return told
