"""The timeline: an incident's append-only list of events, a hash chain. Every screen and the report are views of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.clock import iso
from tools.context import Json

FIRST = "0" * 64  # `prev` of event 1


class EventKind(StrEnum):
    ALERT = "alert"  # data: the alert as JSON (alert_json)
    EVIDENCE = "evidence"  # data: evidence_json without body
    FINDING = "finding"  # data: {id, text, template, evidence[], asserts[], dropped?, why?}
    QUESTION = "question"  # data: {text}: to a person (actor = reasoner) or from one (actor = person)
    REPLY = "reply"  # data: {text, evidence[], to}
    PROPOSAL = "proposal"  # data: the sealed proposal (proposal_json)
    VERDICT = "verdict"  # data: {proposal, digest, verdict, rule, why, approvers, quorum}
    DECISION = "decision"  # data: {proposal, answer, by, reason, digest}
    INTENT = "intent"  # data: {proposal, key, digest, arguments}
    OUTCOME = "outcome"  # data: {proposal, outcome, why, receipt}
    VERIFICATION = "verification"  # data: {proposal, recovered: true|false|null, why, evidence[], final}
    STATE = "state"  # data: {from, to, why}
    NOTE = "note"  # data: {text, …}: runbooks recalled, moves, fail-over, steering, dropped claims, conclusions
    COMPACTION = "compaction"  # data: {text}: rendering for a language model starts anew here


@dataclass(frozen=True, slots=True)
class Event:
    """`actor` is `stanch`, a reasoner's name, or a person's principal (`os:ann`, `slack:T1/U2`, `demo:--approve`)."""

    n: int
    incident: str
    run: int
    at: datetime
    kind: EventKind
    actor: str
    data: Mapping[str, Json]
    prev: str
    hash: str

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
