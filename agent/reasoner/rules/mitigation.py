"""From a cause to the next step: the runbook's action where the evidence suffices, else whom to call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from agent.domain.cause import Fault
from agent.domain.check import SuccessTest
from agent.domain.events import DecisionMade, EffectChecked, OutcomeKnown, ProposalSealed, VerdictGiven
from agent.domain.notes import MoveMade
from agent.domain.payload import Payload
from agent.domain.timeline import Event, about, canonical, events_of
from agent.errors import UnusableInput
from agent.library.render import Names, render_action, render_by_hand
from agent.library.runbook import ActionBlock, Runbook
from agent.reasoner.protocol import Propose, View
from agent.reasoner.rules.checks import BELOW, books, changes, linked
from agent.reasoner.rules.diagnosis import Candidate, worst_peer
from agent.reasoner.rules.evidence_index import EvidenceIndex, number
from agent.reasoner.rules.first_minute import history_call, onset
from tools.context import Json

BROUGHT_BY_VERSIONS = (Fault.MEMORY_LEAK, Fault.CRASH_LOOP)
VERSION_S = 2 * 86400.0
SURE_ENOUGH = 0.55  # to propose a change; below it the cause is named and a person decides
# facts that tell the state an action starts from → the name runbooks give it
BEFORE = {
    "describe_workload": {
        "replicas.wanted": "replicas",
        "revision": "revision",
        "image": "image",
        "autoscaler.max": "most_replicas",
    },
    "rollout_history": {
        "current.revision": "revision",
        "previous.revision": "previous_revision",
        "current.image": "image",
        "previous.image": "previous_image",
    },
    "served_version": {"served.version": "served", "alias.version": "version"},
}


_NOT_TOLD = (
    "which version served before cannot be told (see model_versions): say which one to point the alias at, and check that "
    "its validation passed"
)


@dataclass(frozen=True, slots=True)
class Step:
    """An action with exact arguments, out of a runbook's block."""

    action: str
    args: Mapping[str, Json]
    success: SuccessTest
    source: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A proposal of this incident and how it ended: refused, denied, suggest, failed, open, withdrawn …

    lost: approved, and never reached its target, as after a crash; it may be proposed anew.
    """

    action: str
    args: Mapping[str, Json]
    fate: str
    event: int  # number of the event that settled it
    id: str = ""

    @property
    def key(self) -> bytes:
        return canonical([self.action, dict(self.args)])


def steps(view: View, candidate: Candidate) -> tuple[list[Step], list[str]]:
    """The actions the runbooks have for a cause, best runbook first, and why others cannot be taken."""
    found, why = _rendered(view, candidate)
    offered = {action.name() for action in view.actions}
    missing = [
        f"{s.action} ({s.source.split(':')[0]}) is not configured here" for s in found if s.action not in offered
    ]
    return [s for s in found if s.action in offered], [*missing, *why]


def by_hand(view: View, candidate: Candidate) -> list[tuple[str, Mapping[str, Json]]]:
    """The actions the runbooks have for a cause that are not configured or cannot be filled in here: for a person to type."""
    if candidate.fault in BELOW and worst_peer(view, candidate) != candidate.subject.name:
        return []
    offered = {action.name() for action in view.actions}
    names = replace(candidate.subject.names, before=before(view, candidate))
    return [
        (block.action, render_by_hand(block, names))
        for _, block in _blocks(view, candidate)
        if block.action not in offered or not _fills(block, names)
    ]


def _fills(block: ActionBlock, names: Names) -> bool:
    try:
        render_action(block, names)
    except UnusableInput:
        return False
    return True


def _rendered(view: View, candidate: Candidate) -> tuple[list[Step], list[str]]:
    found, why = [], []
    names = replace(candidate.subject.names, before=before(view, candidate))
    if candidate.fault in BELOW and worst_peer(view, candidate) != candidate.subject.name:
        return [], ["it is mended where it lies"]
    for book, block in _blocks(view, candidate):
        try:
            found.append(Step(*render_action(block, names, book.name), source=_source(book, block.line)))
        except UnusableInput as error:
            why.append(_unknown(block, book, str(error)))
    return found, why


def _unknown(block: ActionBlock, book: Runbook, error: str) -> str:
    """Why a block cannot be filled in, in words that may stand in a finding: without the numbers of lines."""
    if "previous_version" in error:
        return _NOT_TOLD
    if block.action and (missing := re.search(r"before\.?\w*|'(\w+)' is", error)):
        name = missing[0].removesuffix(" is").strip("'")
        mend = "" if name.startswith("before") else " Add what is missing to the catalog"
        return f"{block.action} ({book.name}) needs {name}, which nothing here tells.{mend}"
    return f"{block.action} ({book.name}) cannot be filled in here"


def _blocks(view: View, candidate: Candidate) -> list[tuple[Runbook, ActionBlock]]:
    """The blocks for a cause. Where a new version brought it, what takes the version back goes first: a restart only puts
    a leak off until it has filled again."""
    faults = [candidate.fault]
    if candidate.fault in BROUGHT_BY_VERSIONS and _came_with_a_version(view, candidate):
        faults.insert(0, Fault.BAD_DEPLOY)
    found = [
        (book, block)
        for fault in faults
        for book in _books(view, candidate)
        for block in book.actions
        if block.fault is fault
    ]
    return found or [
        (book, block)
        for fault in faults
        for book in linked(view, fault)
        for block in book.actions
        if block.fault is fault
    ]


def _books(view: View, candidate: Candidate) -> list[Runbook]:
    """For a dependency first the runbook about failing dependencies, then the followed ones."""
    further = [] if candidate.subject.own else linked(view, Fault.DEPENDENCY_DOWN)
    return [*further, *(book for book, _ in books(view))]


def _came_with_a_version(view: View, candidate: Candidate) -> bool:
    """The service was deployed within two days before, and its alert had never fired until then."""
    earlier, began = number(EvidenceIndex(view).of(history_call(view)), "earlier.count"), onset(view)
    deployed = any(
        k == "deployment" and service == candidate.subject.name and 0 <= began - at <= VERSION_S
        for at, k, service, _, _ in changes(view)
    )
    return earlier == 0 and deployed


def _source(book: Runbook, line: int) -> str:
    return f"{book.name}:{line}"


def before(view: View, candidate: Candidate) -> dict[str, Json]:
    """The state an action would start from, as reads of the candidate's own workload and model showed it."""
    found: dict[str, Json] = {}
    evidence_index = EvidenceIndex(view)
    for read, names in BEFORE.items():
        wanted = candidate.subject.names.workload if read in ("describe_workload", "rollout_history") else None
        model = candidate.subject.model.name if candidate.subject.model else None
        for evidence in evidence_index.reads(read):
            if evidence.arguments.get("workload") in (wanted, None) and evidence.arguments.get("model") in (
                model,
                None,
            ):
                found |= {
                    name: f.value for id_, name in names.items() if (f := evidence.fact(id_)) and f.value is not None
                }
                break
    alias = candidate.subject.model.alias if candidate.subject.model else ""
    versions = next(evidence_index.reads("model_versions"), None)
    for id_, name in ((f"alias.{alias}", "version"), (f"alias.{alias}.previous", "previous_version")):
        known = versions.fact(id_) if versions and alias else None
        if known is not None and known.value is not None:
            found[name] = known.value
    return found


def attempts(view: View) -> list[Attempt]:
    """Every proposal so far with its fate, oldest first."""
    return list(_attempts(view))


def _attempts(view: View) -> Iterator[Attempt]:
    moves = [event for event in events_of(view.events, MoveMade) if isinstance(event.payload.move, Propose)]
    sealed = [event for event in events_of(view.events, ProposalSealed) if not event.payload.parent]
    for place, event in enumerate(moves):
        end = moves[place + 1].n if place + 1 < len(moves) else 10**12
        move = event.payload.move
        assert isinstance(move, Propose)
        mine = [one for one in sealed if event.n < one.n < end]
        if not mine:
            yield Attempt(move.action, move.args, "refused", event.n)
        for proposal in mine[-1:]:  # a person's edit stands in the place of what was proposed
            id_ = proposal.payload.id
            fate, n = _fate([one for one in view.events if about(one, id_)])
            yield Attempt(move.action, move.args, fate, n or proposal.n, id_)


def _fate(events: list[Event]) -> tuple[str, int]:
    """What has become of a proposal by these events about it, and the number of the one that says so."""
    fate, n = "open", 0
    for event in events:
        if (told := _fate_told(event.payload)) is not None:
            fate, n = told, event.n
    return fate, n


def _fate_told(told: Payload) -> str | None:
    match told:
        case VerdictGiven(verdict="deny" | "shadow" | "suggest" as verdict):
            return f"policy: {verdict}"
        case DecisionMade(answer="deny"):
            return "denied"
        case DecisionMade(answer="revoke"):
            return "revoked"
        case OutcomeKnown(lost=lost, outcome=outcome):
            return "lost" if lost else outcome
        case EffectChecked(recovered=True):
            return "recovered"
        case EffectChecked(helped=True):
            return "helped"
        case EffectChecked(recovered=False):
            return "not recovered"
        case EffectChecked(final=True):
            return "undecided"
    return None
