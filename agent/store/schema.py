"""The tables. The same statements run on SQLite and PostgreSQL; migrations/ makes what stands here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    types,
)

from agent.domain.timeline import canonical
from tools.context import Json


class Utc(types.TypeDecorator[datetime]):
    """Aware UTC in and out. SQLite would drop the zone and the offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; times come from a Clock and are aware.")
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(types.TypeDecorator[Json]):
    """A JSON value as text in its one canonical spelling."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        return None if value is None else json.loads(value)


class Words(types.TypeDecorator[str]):
    """Text that came from people or machines: NUL and lone surrogates, which no database keeps, become U+FFFD."""

    impl = Text
    cache_ok = True
    _UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else self._UNSTORABLE.sub("\ufffd", value)


CHUNK = 500  # keys of one statement; SQLite takes some tens of thousands
T = TypeVar("T")


def chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many keys at a time as one statement names."""
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))


metadata = MetaData()

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("title", Words, nullable=False),
    Column("since", Utc, nullable=False),
    Column("severity", Words, nullable=False),
    Column("alerts", JsonText, nullable=False),
    Column("labels", JsonText, nullable=False),
    Column("run", Integer, nullable=False),
    Column("opened_at", Utc),
    Column("ended_at", Utc),
    Index("incidents_by_state", "state", "opened_at"),
)

events = Table(
    "events",
    metadata,
    Column("incident", ForeignKey("incidents.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("key", Words),  # appending twice under one key appends once
    UniqueConstraint("incident", "key", name="one_event_per_key"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("incident", ForeignKey("incidents.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("key", Words, nullable=False),
    Column("meta", JsonText, nullable=False),
    Column("extra", JsonText, nullable=False),
    Column("body", LargeBinary, nullable=False),  # zlib
    UniqueConstraint("incident", "key", name="one_evidence_per_key"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("key", Words, nullable=False),
    Column("fingerprint", Words, nullable=False),
    Column("starts_at", Utc, nullable=False),
    Column("body", JsonText, nullable=False),
    UniqueConstraint("incident", "key", name="one_alert_per_key"),
    Index("alerts_by_fingerprint", "fingerprint", "starts_at"),
)

wakes = Table(
    "wakes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("reason", Words, nullable=False),
    Column("due", Utc, nullable=False),
    Index("wakes_by_due", "due"),
    Index("wakes_by_incident", "incident", "due"),
)

changes = Table(
    "changes",
    metadata,
    Column("key", String(64), primary_key=True),  # SHA-256 of the content: the same event posted twice is one change
    Column("at", Utc, nullable=False),
    Column("body", JsonText, nullable=False),
    Index("changes_by_time", "at"),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", String(96), primary_key=True),
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("note", Words, nullable=False),  # why it is in this state
    Column("execute_by", Utc),  # set when it may run: both clocks count from their own start
    Column("sealed", JsonText, nullable=False),
    UniqueConstraint("incident", "n", name="one_proposal_per_number"),
    Index("proposals_by_state", "state"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal", ForeignKey("proposals.id"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("principal", Words, nullable=False),
    Column("person", Words, nullable=False),  # the catalog's name of them: what a quorum counts
    Column("answer", String(16), nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", Utc, nullable=False),
    UniqueConstraint("proposal", "person", "answer", name="one_answer_per_person"),
)

executions = Table(
    "executions",
    metadata,
    Column("proposal", ForeignKey("proposals.id"), primary_key=True),  # at most one execution per proposal, ever
    Column("incident", ForeignKey("incidents.id"), nullable=False),
    Column("run", Integer, nullable=False),
    Column("action", Words, nullable=False),
    Column("target", Words, nullable=False),
    Column("key", Words, nullable=False, unique=True),
    Column("claimed_at", Utc, nullable=False),
    Column("intent_at", Utc),
    Column("answered_at", Utc),
    Column("outcome", String(16)),
    Column("why", Words, nullable=False),
    Column("receipt", JsonText),
    Column("ended_at", Utc),
    Index("executions_by_time", "claimed_at"),
)

switches = Table(
    "switches",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("is_on", Boolean, nullable=False),
    Column("actor", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", Utc),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("receipt", String(64), nullable=False, unique=True),
    Column("source", String(32), nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("state", String(16), nullable=False),  # new | done | quarantined
    Column("note", Words, nullable=False),  # why it is quarantined
    Column("body", LargeBinary, nullable=False),  # zlib of {"alerts": [alert…], "changes": [change…]}, or as it came
    Index("inbox_by_state", "state", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column(
        "key", String(64), primary_key=True
    ),  # SHA-256 of what makes two deliveries the same, such as an alert's fingerprint, start and status
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("times", Integer, nullable=False),  # how often it was delivered
)

attention = Table(
    "attention",
    metadata,
    Column("incident", ForeignKey("incidents.id"), primary_key=True),
    Column("depth", String(16), nullable=False),  # ignore | digest | card | investigate
    Column("channel", Words, nullable=False),
    Column("mentions", JsonText, nullable=False),
    Column("why", Words, nullable=False),
    Column("post_at", Utc),  # nothing is posted before: an alert that usually clears itself waits
    Column("seen_at", Utc),  # when a person last looked or answered
    Column("called_at", Utc),  # when a person was last called for (StanchNeedsPerson)
    Index("attention_by_channel", "channel", "depth"),
)

messages = Table(
    "messages",
    metadata,
    Column("surface", String(16), primary_key=True),
    Column("thread", String(128), primary_key=True),  # an incident's id, or a digest's name
    Column("slot", String(128), primary_key=True),  # root, plan, finding:1, approval:inc-1/p1, …
    Column("place", Words, nullable=False),  # the channel
    Column("address", Words, nullable=False),  # what the surface calls the message (Slack's ts); "" while being sent
    Column("content", String(64), nullable=False),  # SHA-256 of what it shows; "" while being sent
    Column("sent_at", Utc, nullable=False),
    Index("messages_by_address", "surface", "place", "address"),
)

requests = Table(
    "requests",
    metadata,
    Column("surface", String(16), primary_key=True),
    Column("key", String(64), primary_key=True),  # SHA-256 of what makes two deliveries the same request
    Column("at", Utc, nullable=False),
    Index("requests_by_time", "at"),
)
