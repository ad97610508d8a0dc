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
from agent.domain.events import AboutProposal, read
from agent.domain.notes import ProposalWithdrawn, gap_in
from agent.domain.payload import EventKind, Payload
from agent.errors import StanchError
from tools.context import Json

__all__ = [
    "FIRST",
    "Event",
    "EventKind",
    "EventOf",
    "about",
    "broken_at",
    "canonical",
    "chain_hash",
    "events_of",
    "payload_of",
    "tells",
]
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
            "n": self.n,
            "incident": self.incident,
            "run": self.run,
            "at": iso(self.at),
            "kind": str(self.kind),
            "actor": self.actor,
            "data": dict(self.data),
            "prev": self.prev,
            "hash": self.hash,
        }

    def brief(self) -> dict[str, Json]:
        """What a line of a log says of it."""
        names = ("to", "why", "outcome", "answer", "verdict", "proposal")
        return {name: self.data[name] for name in names if name in self.data}

    def shown(self) -> dict[str, Json]:
        """As people get it: without what only a language model's provider is given back."""
        return {**self.to_json(), "data": {key: value for key, value in self.data.items() if key != "given"}}


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


def about(event: Event, proposal: str) -> bool:
    """Whether the event tells something of that proposal behind its sealing."""
    return isinstance(event.payload, AboutProposal | ProposalWithdrawn) and event.payload.proposal == proposal


def payload_of(event: Event, kind: type[Q]) -> Q:
    """What it tells, which has to be of that class; StanchError otherwise."""
    if not isinstance(event.payload, kind):
        raise StanchError(
            f"Event {event.n} of {event.incident} is no {kind.__name__} but a {type(event.payload).__name__}. "
            "`stanch audit verify` tells whether it was changed after it was written."
        )
    return event.payload


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
