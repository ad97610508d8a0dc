"""The timeline: an incident's append-only list of events, a hash chain. Every screen and the report are views of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeAlias, TypeGuard, TypeVar, cast

from agent.clock import iso
from agent.domain.events import read
from agent.domain.payload import EventKind, Payload
from tools.context import Json

__all__ = ["FIRST", "Event", "EventKind", "EventOf", "broken_at", "canonical", "chain_hash", "events_of", "tells"]
FIRST = "0" * 64  # `prev` of event 1


P = TypeVar("P", bound=Payload, covariant=True)
Q = TypeVar("Q", bound=Payload)


@dataclass(frozen=True)
class EventOf(Generic[P]):
    """One event, which tells a P. `data` is its JSON, as it is chained.

    `actor` is `stanch`, a reasoner's name, or a person's principal (`os:ann`, `slack:T1/U2`, `demo:--approve`).
    """

    n: int
    incident: str
    run: int
    at: datetime
    kind: EventKind
    actor: str
    data: Mapping[str, Json]
    prev: str
    hash: str

    @cached_property
    def payload(self) -> P:
        """What it tells, read once. StanchError where its data cannot be read."""
        return cast("P", read(self.kind, self.data))

    def to_json(self) -> dict[str, Json]:
        return {
            "n": self.n, "incident": self.incident, "run": self.run, "at": iso(self.at), "kind": str(self.kind),
            "actor": self.actor, "data": dict(self.data), "prev": self.prev, "hash": self.hash,
        }  # fmt: skip

    def shown(self) -> dict[str, Json]:
        """As people get it: without what only a language model's provider is given back."""
        return {**self.to_json(), "data": {key: value for key, value in self.data.items() if key != "given"}}


@dataclass(frozen=True, slots=True)
class Gap:
    """What a person accepted as lost: the timeline goes on behind `until`, and what was anchored from `since` on is over.
    `after` is the last event that was left."""

    since: int
    after: int
    until: int


def gap_in(kind: str, data: Mapping[str, Json]) -> Gap | None:
    """The gap that an event states itself. Only what has the key can state one."""
    said = data.get("gap") if kind == EventKind.NOTE else None
    if not isinstance(said, Mapping) or not all(isinstance(said.get(n), int) for n in ("since", "after", "until")):
        return None
    return Gap(said["since"], said["after"], said["until"])


def number_after(last: int, kind: str, data: Mapping[str, Json]) -> int:
    """The number that an event has to have behind the event `last`."""
    gap = gap_in(kind, data)
    return gap.until + 1 if gap is not None and gap.after == last else last + 1


def genuine(key: bytes, event: Event) -> bool:
    """Whether the event is as it was written, by somebody who has the key."""
    return event.hash == chain_hash(key, event.prev, event.to_json())


Event: TypeAlias = EventOf[Payload]


def tells(event: Event, kind: type[Q]) -> TypeGuard[EventOf[Q]]:
    """Whether the event is of that class."""
    return isinstance(event.payload, kind)


def events_of(events: Iterable[Event], kind: type[Q]) -> list[EventOf[Q]]:
    """Those of one class, in their order."""
    return [event for event in events if event.kind is kind.KIND and tells(event, kind)]


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Json | Mapping[str, Json]) -> bytes:
    """One spelling per value: sorted keys, no blanks, NaN refused. Injective for JSON."""
    return _ENCODER.encode(value).encode()


def chain_hash(key: bytes, prev: str, event: Mapping[str, Json]) -> str:
    """HMAC-SHA-256 over the previous hash and the event without its own hash."""
    body = {name: value for name, value in event.items() if name != "hash"}
    return hmac.new(key, prev.encode() + b"\n" + canonical(body), hashlib.sha256).hexdigest()


def broken_at(key: bytes, events: Iterable[Event], after: int = 0, prev: str = FIRST) -> int | None:
    """The first place at which an event does not follow from the one before, or None. They begin behind event `after`, whose
    hash is `prev`."""
    place = after
    for event in events:
        if event.n != number_after(place, event.kind, event.data) or event.prev != prev or not genuine(key, event):
            return place + 1
        place, prev = event.n, event.hash
    return None
