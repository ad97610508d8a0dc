"""Notes: events by which Stanch itself remembers, one class for each, told apart by the key that only it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from agent.domain import moves
from agent.domain.cause import Cause
from agent.domain.moves import Conclude, Move, NotChecked, Propose, RuledOut, not_checked_from_json
from agent.domain.payload import SPARSE, EventKind, Flag, Flat, Payload, Spelling, Texts, Whole
from tools.context import Json


@dataclass(frozen=True, slots=True)
class Spent:
    """What one move cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def to_json(self) -> dict[str, Json]:
        return {
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "money": self.money,
            "seconds": round(self.seconds, 3),
        }


def spent_from_json(data: Mapping[str, Json]) -> Spent:
    """The inverse of Spent.to_json; where only the sum of tokens was kept, they count as the prompt's."""
    prompt = data.get("prompt_tokens", data.get("tokens", 0))
    return Spent(prompt, data.get("completion_tokens", 0), data.get("money", 0.0), data.get("seconds", 0.0))


@dataclass(frozen=True, slots=True)
class RunbookFound:
    """A runbook for the alert, the best first. `section` is where it fits best."""

    name: str
    score: float
    section: str
    why: str


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that has ended and in which the same alert fired; `cause` in words."""

    id: str
    state: str
    cause: str


@dataclass(frozen=True, slots=True)
class BrokenRunbook:
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """What a person accepted as lost: the timeline goes on behind `until`, and what was anchored from `since` on is over.
    `after` is the last event that was left."""

    since: int
    after: int
    until: int


def gap_in(kind: str, data: Mapping[str, Json]) -> Gap | None:
    """The gap that an event states itself, also in data that cannot be read otherwise."""
    said = data.get("gap") if kind == EventKind.NOTE else None
    if not isinstance(said, Mapping) or not all(isinstance(said.get(n), int) for n in ("since", "after", "until")):
        return None
    return Gap(said["since"], said["after"], said["until"])


def money_of(data: Mapping[str, Json]) -> float:
    """What a note counts of money, without reading the rest of it."""
    return float((data.get("spent") or {}).get("money", 0.0))


def _many(read: Any, write: Any) -> Spelling:
    return Spelling(lambda values: tuple(read(one) for one in values), lambda values: [write(one) for one in values])


def _of(kind: Any) -> Spelling:
    """A list of plain values of one class."""
    return _many(lambda one: kind(**one), asdict)


NotCheckeds = Annotated[tuple[NotChecked, ...], _many(not_checked_from_json, NotChecked.to_json)]
AMove = Annotated[Move, Flat(moves.from_json, moves.to_json, moves.keys_of)]
AGap = Annotated[Gap, Spelling(lambda said: Gap(**said), asdict)]
ASpent = Annotated[Spent, Spelling(spent_from_json, Spent.to_json)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Payload):
    """Any note. `text` is for people; `spent` is what a language model cost where the note counts it."""

    KIND: ClassVar[EventKind] = EventKind.NOTE
    text: str = ""
    spent: Annotated[ASpent | None, SPARSE] = None
    show: Annotated[bool, SPARSE] = False  # a terminal prints the text


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled(Note):
    """The incident was taken up: what there is to go by, and what cannot be looked at."""

    runbooks: Annotated[tuple[RunbookFound, ...], _of(RunbookFound)]
    past: Annotated[tuple[PastIncident, ...], _of(PastIncident)] = ()
    broken: Annotated[tuple[BrokenRunbook, ...], _of(BrokenRunbook)] = ()
    tools: Texts = ()  # names of the reads of this incident
    not_checked: NotCheckeds = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbooksAdded(Note):
    """Runbooks that what was seen calls for, where no alert named one."""

    added: Annotated[tuple[RunbookFound, ...], _of(RunbookFound)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveMade(Note):
    """A reasoner's move, its texts checked and filled in. `told` is what the reasoner had to be told before it."""

    move: AMove
    number: int = 0
    by: str = ""  # runbook | openai | openai→runbook | stanch
    spent: ASpent | None = None  # a move says so, also when it cost nothing
    told: Texts = ()
    given: Annotated[Whole | None, SPARSE] = None  # what the provider wants back with this move, and nobody sees
    evidence: Annotated[Texts, SPARSE] = ()  # of a reply

    @property
    def cause(self) -> Cause | None:
        """The cause that the move is made on."""
        return self.move.cause if isinstance(self.move, Propose | Conclude) else None

    @property
    def ruled_out(self) -> tuple[RuledOut, ...]:
        return self.move.ruled_out if isinstance(self.move, Propose | Conclude) else ()

    @property
    def not_checked(self) -> tuple[NotChecked, ...]:
        return self.move.not_checked if isinstance(self.move, Propose | Conclude) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedOver(Note):
    """Another reasoner goes on, for the rest of the incident, under the name `failover`."""

    failover: str
    why: str = ""
    final: Annotated[bool, SPARSE] = False  # the first one is not tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedAgain(Note):
    """The reasoner that was left was asked once more, and still gave nothing."""

    tried: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WentBack(Note):
    """The reasoner that was left answers again and goes on, under the name `returned`."""

    returned: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUsed(Note):
    """Which prompt file (name, version, sha256) and which language model a move came from."""

    prompt: Whole
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRepaired(Note):
    """A language model's answer could not be used, and why; it was asked once more."""

    repair: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimitRaised(Note):
    """An answer was cut off; from here on the incident's answers may have so many tokens."""

    answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCut(Note):
    """The model's server read only a part of what it was sent: so many tokens by its own count, 0 where it gives none."""

    cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAwaited(Note):
    """A model's server is waited for."""

    waits: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationGrewLong(Note):
    """The case in short; in an investigation it stands as a compaction, from which the model's view starts anew."""

    compaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered(Note):
    """A person's words for the reasoner. With `halt` nothing goes on: paused until somebody steers, or taken over by `who`."""

    steer: str
    halt: Annotated[str, SPARSE] = ""  # paused | taken over
    who: Annotated[str, SPARSE] = ""  # the name in the catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalWithdrawn(Note):
    """A proposal that waited has ended: expired, superseded, voided or denied by today's policy."""

    proposal: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenToPerson(Note):
    """Stanch itself cannot go on, and says what a person has to do."""

    hand_over: str
    not_checked: Annotated[NotCheckeds | None, SPARSE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWritten(Note):
    """`report` is the path of the page."""

    report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionFollowedUp(Note):
    """Whether what policy only let us suggest (`hindsight`, the proposal) was done by hand, exactly so."""

    hindsight: str
    same: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitchRecorded(Note):
    """How the kill switch stands from here on: somebody pressed it, or let actions start again, or keyed anchors began here
    (`founded`, true from then on), or a person accepted a loss."""

    stop: Flag
    founded: bool = False
    person: Annotated[str, SPARSE] = ""
    reason: Annotated[str | None, SPARSE] = None
    gap: Annotated[AGap | None, SPARSE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossAccepted(Note):
    """A person accepted that events are lost; the timeline goes on behind them."""

    gap: AGap
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CommandToCopy:
    """What a person would type, and what takes it back ("" where nothing does)."""

    command: str
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsToCopy(Note):
    """The incident ends, and this is what a person may do where Stanch may not, or cannot."""

    by_hand: Annotated[tuple[CommandToCopy, ...], _of(CommandToCopy)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainNote(Note):
    """A note that says no more than its text; also one of a newer version."""


_BY_KEY: Mapping[str, type[Note]] = {
    "move": MoveMade,
    "runbooks": Recalled,
    "added": RunbooksAdded,
    "failover": FailedOver,
    "tried": TriedAgain,
    "returned": WentBack,
    "steer": Steered,
    "prompt": PromptUsed,
    "repair": AnswerRepaired,
    "answer_tokens": AnswerLimitRaised,
    "cut": ContextCut,
    "waits": ModelAwaited,
    "compaction": ConversationGrewLong,
    "state": ProposalWithdrawn,
    "hand_over": GivenToPerson,
    "report": ReportWritten,
    "hindsight": SuggestionFollowedUp,
    "stop": KillSwitchRecorded,
    "gap": LossAccepted,
    "by_hand": CommandsToCopy,
}


def class_of(data: Mapping[str, Json]) -> type[Note]:
    return next((kind for key, kind in _BY_KEY.items() if key in data), PlainNote)


NOTES: tuple[type[Note], ...] = (*_BY_KEY.values(), PlainNote)
