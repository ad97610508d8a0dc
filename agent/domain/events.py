"""Events: what may stand on a timeline, one frozen class a kind. No other file spells a key of an event.

A note has a class for each thing that is noted (`notes.py`). Who reads an event asks for its `payload`:

    match event.payload:
        case DecisionMade(answer="deny") as decision: …
        case Steered(steer=words): …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, TypeAlias

from agent.domain.alert import Alert, alert_from_json
from agent.domain.cause import Cause, cause_from_json
from agent.domain.check import SuccessTest, success_from_json
from agent.domain.evidence import Evidence, evidence_from_json
from agent.domain.finding import Finding, finding_from_json
from agent.domain.incident import State
from agent.domain.notes import NOTES, Note, class_of
from agent.domain.payload import SPARSE, EventKind, Flag, Flat, Payload, Spelling, Texts, Time, Whole
from agent.errors import StanchError
from tools.context import Json


def _flat(kind: type, read: Callable[[Mapping[str, Json]], Any], write: Callable[[Any], Mapping[str, Json]]) -> Flat:
    keys = frozenset(one.name for one in fields(kind))
    return Flat(read, write, lambda _: keys)


AnAlert = Annotated[Alert, _flat(Alert, alert_from_json, Alert.to_json)]
AnEvidence = Annotated[Evidence, _flat(Evidence, evidence_from_json, Evidence.to_json)]
AFinding = Annotated[Finding, _flat(Finding, finding_from_json, Finding.to_json)]
ACause = Annotated[Cause, Spelling(cause_from_json, Cause.to_json)]
ASuccess = Annotated[SuccessTest, Spelling(success_from_json, SuccessTest.to_json)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertJoined(Payload):
    """An alert of the incident began or cleared. Long labels and annotations are cut; the alert's own row keeps all."""

    KIND: ClassVar = EventKind.ALERT
    alert: AnAlert
    why: str = ""  # it belongs to this incident


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecorded(Payload):
    """One read's result without its body. `extra` says which call of which move it answers, or which question, and draws a
    series as one line of blocks."""

    KIND: ClassVar = EventKind.EVIDENCE
    evidence: AnEvidence
    extra: Annotated[Whole | None, SPARSE] = None

    @property
    def call(self) -> str:
        """`3:0`, the first call of move 3; `verify:P:1:0`, of a verification; "" where none is noted."""
        return str((self.extra or {}).get("call", ""))

    @property
    def spark(self) -> str:
        return str((self.extra or {}).get("spark") or "")

    @property
    def for_question(self) -> bool:
        """Whether it was read to answer somebody's question, and not for the investigation."""
        return (self.extra or {}).get("question") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingMade(Payload):
    """A claim that the evidence bears."""

    KIND: ClassVar = EventKind.FINDING
    finding: AFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDropped(Payload):
    """A claim that the evidence does not bear, and why."""

    KIND: ClassVar = EventKind.FINDING
    text: str
    why: str = ""
    evidence: Texts = ()
    dropped: Flag = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked(Payload):
    """Stanch asks a person, or a person asks (`to` is then `stanch`)."""

    KIND: ClassVar = EventKind.QUESTION
    text: str
    to: Annotated[str, SPARSE] = ""
    restored: Annotated[bool, SPARSE] = False  # it is asked because somebody accepted a restore


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyGiven(Payload):
    """An answer to a person, out of `evidence`; or a person's answer to Stanch (`to` is then `stanch`)."""

    KIND: ClassVar = EventKind.REPLY
    text: str
    evidence: Texts = ()
    to: str = ""
    question: Annotated[str, SPARSE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSealed(Payload):
    """A proposal as it was sealed, with its target also in words; what the digest covers is `gate.proposal`'s to say."""

    KIND: ClassVar = EventKind.PROPOSAL
    id: str
    incident: str
    n: int
    parent: str | None  # of an undo: what it takes back
    action: str
    arguments: Whole
    target: str  # in words
    place: Whole  # kind, name, cluster, namespace, environment, service, confirmed
    risk: str
    before: Whole
    after: Whole
    key: str
    success: ASuccess
    baseline: Annotated[tuple[float | None, ...], Spelling(tuple, list)]
    undo: Whole | None
    undo_covered: bool
    covered: bool
    untrusted: Texts
    policy_version: str
    verdict: str
    rule: str
    command: str
    dry_run: str | None
    why: str
    cause: ACause
    requester: str
    requester_person: str | None
    created_at: Time
    approve_by: Time
    execute_within_s: float
    quorum: int
    approvers: Texts
    requester_may_approve: bool
    aside: Annotated[bool, SPARSE] = False
    digest: str
    state: str
    note: str
    execute_by: Time

    @property
    def environment(self) -> str:
        return str(self.place.get("environment", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictGiven(Payload):
    """What policy says to a proposal: deny, shadow, suggest, ask or allow."""

    KIND: ClassVar = EventKind.VERDICT
    proposal: str
    verdict: str
    rule: str = ""
    why: str = ""
    approvers: Texts = ()
    quorum: int = 1
    policy_version: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade(Payload):
    """A person's approve, deny, edit or revoke. `by` is the account, `person` the catalog's name."""

    KIND: ClassVar = EventKind.DECISION
    proposal: str
    answer: str
    by: str = ""
    person: str = ""
    reason: str = ""
    digest: str = ""
    state: Annotated[str, SPARSE] = ""  # of the proposal from then on


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDeclared(Payload):
    """The effect is about to be sent: it may have happened from here on."""

    KIND: ClassVar = EventKind.INTENT
    proposal: str
    key: str = ""
    digest: str = ""
    action: str = ""
    arguments: Whole | None = None
    claimed_at: Annotated[Time | None, SPARSE] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeKnown(Payload):
    """What became of an action: DONE, NOT_DONE or UNKNOWN. `lost`: it never reached its target, nobody refused it. With
    `settled_by` it is a person's word on an UNKNOWN."""

    KIND: ClassVar = EventKind.OUTCOME
    proposal: str
    outcome: str
    why: str | None = None
    receipt: str | None = None  # the target's answer in words
    values: Annotated[Whole | None, SPARSE] = None  # and what it told by name
    lost: bool = False
    state: Annotated[str, SPARSE] = ""  # of the proposal from then on
    claimed_at: Annotated[str | None, SPARSE] = ""  # a time; None: it never was, "": not told
    restored: Annotated[bool | None, SPARSE] = None  # a restore was accepted: had it been started? None: there was none
    settled_by: Annotated[str, SPARSE] = ""
    by: Annotated[str, SPARSE] = ""
    reason: Annotated[str, SPARSE] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectChecked(Payload):
    """One look at the success test. `recovered` None and not `final`: it is looked at again."""

    KIND: ClassVar = EventKind.VERIFICATION
    proposal: str
    recovered: bool | None = None
    why: str = ""
    final: bool = False
    helped: Annotated[bool, SPARSE] = False  # it did what was asked of it, and the incident goes on
    evidence: Texts = ()
    checks: Annotated[tuple[bool | None, ...], Spelling(tuple, list)] = ()
    guards: Annotated[tuple[float | None, ...], Spelling(tuple, list)] = ()
    as_of: Time | None = None
    measured: Texts = ()  # what each check saw and wants: `2.12 s, wanted < 1 [E16]`


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Payload):
    KIND: ClassVar = EventKind.STATE
    from_: Annotated[State, Spelling(State, str)]
    to: Annotated[State, Spelling(State, str)]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted(Payload):
    """The case in short, from which a language model's view starts anew."""

    KIND: ClassVar = EventKind.COMPACTION
    text: str


AboutProposal: TypeAlias = VerdictGiven | DecisionMade | IntentDeclared | OutcomeKnown | EffectChecked
TimelineEvent: TypeAlias = (
    AlertJoined
    | EvidenceRecorded
    | FindingMade
    | ClaimDropped
    | QuestionAsked
    | ReplyGiven
    | ProposalSealed
    | VerdictGiven
    | DecisionMade
    | IntentDeclared
    | OutcomeKnown
    | EffectChecked
    | StateChanged
    | Compacted
    | Note
)
CLASSES: tuple[type[TimelineEvent], ...] = (
    AlertJoined,
    EvidenceRecorded,
    FindingMade,
    ClaimDropped,
    QuestionAsked,
    ReplyGiven,
    ProposalSealed,
    VerdictGiven,
    DecisionMade,
    IntentDeclared,
    OutcomeKnown,
    EffectChecked,
    StateChanged,
    Compacted,
    *NOTES,
)
_OF_KIND = {kind.KIND: kind for kind in CLASSES if kind not in (ClaimDropped, *NOTES)}


def read(kind: EventKind, data: Mapping[str, Json]) -> TimelineEvent:
    """What an event of that kind tells; `to_json` of it is `data`. StanchError where it cannot be read."""
    found = class_of(data) if kind is EventKind.NOTE else _OF_KIND[kind]
    if found is FindingMade and data.get("dropped"):
        found = ClaimDropped
    try:
        return found.from_json(data)
    except (ValueError, KeyError, TypeError) as error:
        what = "; ".join(str(error).splitlines()[:2])
        raise StanchError(
            f"An event of kind {kind} cannot be read ({type(error).__name__}: {what}). `stanch audit verify` tells "
            "whether it was changed after it was written."
        ) from error
