"""Why a run rests, and what wakes it. Both stand in checkpoints, so their values stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tools.context import Json


class WaitsFor(StrEnum):
    """What a run rests for."""

    APPROVAL = "approval"
    PERSON = "person"  # an answer, or a word on what nobody could tell
    CLOCK = "clock"  # the next look at whether an action helped

    @classmethod
    def read(cls, kept: Json) -> WaitsFor:
        """As a checkpoint keeps it; what it does not name can only be an approval, which is looked up in the store."""
        return next((one for one in cls if one == kept), cls.APPROVAL)


class Why(StrEnum):
    """Why a wait has ended: its value, the node that follows, and whether the proposal that waited loses its reason."""

    next: str
    voids: bool

    def __new__(cls, value: str, follows: str, voids: bool = False) -> Why:
        member = str.__new__(cls, value)
        member._value_, member.next, member.voids = value, follows, voids
        return member

    APPROVED = "approved", "act"
    DENIED = "denied", "think"
    SUPERSEDED = "superseded", "think"
    EXPIRED = "expired", "think", True
    CLEARED = "cleared", "think", True  # the alerts have ended by themselves
    STEERED = "steered", "think", True
    OUTSIDE = "outside", "verify", True  # somebody did exactly this by hand
    DUE = "due", "verify"
    SETTLED = "settled", "verify"  # a person said that an UNKNOWN was done
    ANSWERED = "answered", "think"


@dataclass(frozen=True, slots=True)
class Wake:
    """What the wait is answered with. `proposal` None: the one that the run knows."""

    why: Why
    proposal: str | None = None

    def to_json(self) -> dict[str, Json]:
        return {"why": str(self.why), "proposal": self.proposal}


def follows(why: Json) -> str:
    """The node behind a wait that ended so; to think where it is none that we know."""
    return next((one.next for one in Why if one == why), "think")


def answer_of(answer: Json) -> tuple[str, str]:
    """Why and which proposal ("" where it says none), of a Wake's JSON or of an older version's `why:proposal`."""
    if isinstance(answer, Mapping):
        return str(answer.get("why", "")), str(answer.get("proposal") or "")
    why, _, proposal = str(answer).partition(":")
    return why, proposal
