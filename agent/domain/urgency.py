"""Urgency: how deep an incident is worked, and whom it may disturb. The scarce good of a night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Depth(StrEnum):
    """What an incident gets; the deepest of its alerts' routes counts."""

    IGNORE = "ignore"  # kept, and no more
    DIGEST = "digest"  # one line in the channel's digest
    CARD = "card"  # a thread with its card; no investigation
    INVESTIGATE = "investigate"

    @property
    def threaded(self) -> bool:
        return self in (Depth.CARD, Depth.INVESTIGATE)


@dataclass(frozen=True, slots=True)
class Urgency:
    """Of one incident. `mentions` are people or groups as the surface writes them (`@ml-oncall`, `U012…`, `S012…`)."""

    incident: str
    depth: Depth
    channel: str = ""
    mentions: tuple[str, ...] = ()
    why: str = ""  # the route, in one line
    post_at: datetime | None = None  # nothing is posted before
    seen_at: datetime | None = None
    called_at: datetime | None = None
