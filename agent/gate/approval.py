"""Deciding: people's answers to exactly one proposal, by compare-and-set. An agent never counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from agent.clock import iso
from agent.domain.catalog import Person
from agent.domain.events import DecisionMade, OutcomeKnown
from agent.domain.notes import ProposalWithdrawn
from agent.domain.people import is_person
from agent.errors import NotEntitled, Outdated, StanchError, UnusableInput
from agent.gate import proposal_store
from agent.gate.policy import Policy, Ruling, Verdict
from agent.gate.preflight import quorum_of
from agent.gate.prepare import Prepared, enter
from agent.gate.proposal import WAITING, Proposal, ProposalState
from agent.store import decisions, executions, timeline, wakes
from agent.store.database import Database, Transaction
from agent.store.decisions import Decision
from tools.context import Clock

DEMO = "demo:--approve"


class Answer(StrEnum):
    APPROVE = "approve"
    DENY = "deny"
    EDIT = "edit"
    REVOKE = "revoke"


_ENDS = {
    Answer.DENY: ProposalState.DENIED,
    Answer.REVOKE: ProposalState.REVOKED,
    Answer.EDIT: ProposalState.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision led to. `missing` is how many more people have to approve."""

    proposal: Proposal
    decisions: tuple[Decision, ...]
    missing: int


def entitled(name: str, groups: Sequence[str], approvers: Sequence[str]) -> bool:
    """Whether somebody, by name or by a group, is among the approvers."""
    return name in approvers or any(group in approvers for group in groups)


async def decide(
    db: Database,
    clock: Clock,
    proposal_id: str,
    digest: str,
    person: Person,
    answer: Answer | str,
    reason: str = "",
    demo: bool = False,
    policy: Policy | None = None,
) -> Decided:
    """Record one person's approve, deny or revoke of the proposal with exactly this digest, and wake the incident.

    The same answer by the same person again changes nothing. Raises Outdated (changed, ended, expired or no longer allowed
    by `policy`, which is asked again; the text says what to do) and NotEntitled. `person` carries the groups that the
    catalog gives them now.
    """
    answer = Answer(answer)
    if answer is Answer.EDIT:
        raise UnusableInput("An edit needs its new arguments: stanch approvals edit ID --set name=value.")
    name = _identified(person, demo)
    async with db.write() as tx:
        proposal = await proposal_store.held(tx, proposal_id)
        made = await decisions.of(tx, proposal_id)
        ruling = policy.rule(proposal.request(clock.now())) if policy else _as_sealed(proposal)
        if not any((d.person, d.answer, d.digest) == (name, answer, digest) for d in made):
            begun = await _begun(tx, proposal)
            problem = _problem(proposal, digest, person, name, answer, clock.now(), made, demo, begun)
            if problem is None and answer is Answer.APPROVE:
                problem = _stricter_now(proposal, person, name, ruling, demo)
            if problem is None:
                decision = Decision(proposal_id, digest, person.principal, name, str(answer), reason, clock.now())
                proposal = await _record(tx, proposal, decision, made, ruling=ruling)
                made = [*made, decision]
            elif isinstance(problem, Outdated):
                await _end_if_over(tx, proposal, ruling, clock.now())
        else:
            problem = None
    if problem is not None:
        raise problem
    return _decided(proposal, made, ruling)


async def settle(
    db: Database, clock: Clock, proposal_id: str, person: Person, done: bool, reason: str, demo: bool = False
) -> Proposal:
    """A person's word on what nobody could tell: an UNKNOWN was done, or was not. It starts nothing; the incident goes on.

    What the executor saw stays UNKNOWN in its own row, so an undo is asked for anew. Any person of the catalog may say it.
    The first word stands: Outdated when the proposal is not UNKNOWN (any more).
    """
    name = _identified(person, demo)
    if not reason.strip():
        raise UnusableInput("Say how you know: --reason 'the dashboard shows six replicas'.")
    outcome = executions.Outcome.DONE if done else executions.Outcome.NOT_DONE
    async with db.write() as tx:
        proposal = await proposal_store.held(tx, proposal_id)
        if proposal.state is not ProposalState.UNKNOWN:
            raise Outdated(
                f"{proposal_id} is {proposal.state}; only what is unknown can be settled by a person's word."
            )
        now, why = clock.now(), f"{name} says so: {reason}"
        told = OutcomeKnown(
            proposal=proposal_id, outcome=str(outcome), why=why, settled_by=name, by=person.principal, reason=reason
        )
        await timeline.append(tx, proposal.incident, told, person.principal, now, f"settled:{proposal_id}")
        tx.sync = True
        await wakes.add(tx, proposal.incident, f"{proposal_id} is settled", now)
        return await proposal_store.move(tx, proposal, ProposalState.DONE if done else ProposalState.NOT_DONE, why)


async def edit(
    db: Database, clock: Clock, proposal_id: str, digest: str, person: Person, new: Prepared, reason: str = ""
) -> Decided:
    """Replace a proposal by one with other arguments, prepared by the caller with this person as its requester. The old one
    is superseded in the same transaction; the new one needs its own approval."""
    name = _identified(person, demo=False)
    async with db.write() as tx:
        old = await proposal_store.held(tx, proposal_id)
        if problem := _problem(old, digest, person, name, Answer.EDIT, clock.now(), [], demo=False):
            raise problem
        if new.proposal.incident != old.incident or new.proposal.requester_person != name:
            raise Outdated(f"The edit of {proposal_id} was prepared for somebody or something else. Prepare it again.")
        decision = Decision(proposal_id, digest, person.principal, name, str(Answer.EDIT), reason, clock.now())
        await _record(tx, old, decision, [], f"replaced by {new.proposal.id}")
        await enter(tx, new, clock.now(), f"proposal:edit of {proposal_id}", None)
    return Decided(new.proposal, (), new.proposal.quorum)


def _identified(person: Person, demo: bool) -> str:
    """The name a decision is counted under."""
    if person.principal == DEMO:
        if not demo:
            raise NotEntitled(f"{DEMO} decides in `stanch demo` only.")
        return DEMO
    if person.name is None or not is_person(person.principal):
        raise NotEntitled(
            f"{person.principal} is nobody in the catalog, so cannot decide. Add them under people in catalog.yaml."
        )
    return person.name


def _problem(
    proposal: Proposal,
    digest: str,
    person: Person,
    name: str,
    answer: Answer,
    now: datetime,
    made: Sequence[Decision],
    demo: bool,
    begun: bool = True,
) -> StanchError | None:
    """Why this answer does not count, or None. `begun` False: claimed perhaps, but nothing can have been sent yet."""
    if digest != proposal.digest or not proposal.intact:
        return Outdated(f"{proposal.id} is not what was shown: its digest is {proposal.digest[:12]}. Look at it again.")
    if _expired(proposal, now):
        return Outdated(
            f"{proposal.id} was to be decided by {iso(proposal.approve_by)}. Ask for a new proposal: stanch incidents resume {proposal.incident}."
        )
    ready = {ProposalState.OPEN} if answer is Answer.APPROVE else WAITING
    held_up = proposal.state is ProposalState.CLAIMED and not begun and answer is Answer.REVOKE
    if proposal.state not in ready and not held_up:
        return Outdated(f"{proposal.id} is {proposal.state} and can no longer be decided. {_instead(proposal)}")
    if demo and person.principal == DEMO:
        return None
    may = entitled(name, person.groups, proposal.approvers)
    mine = name == proposal.requester_person or any(d.person == name for d in made)
    if answer is not Answer.APPROVE and mine:
        return None  # whoever asked for it or approved it may stop it, or ask for something else
    if answer in (Answer.DENY, Answer.REVOKE) and proposal.state is ProposalState.ALLOWED:
        return None  # what nobody was asked about anybody may stop, and only that: an edit would run as they like
    if not may:
        return NotEntitled(f"{name} may not {answer} {proposal.id}. Approvers: {', '.join(proposal.approvers)}.")
    if answer is Answer.APPROVE and name == proposal.requester_person and not proposal.requester_may_approve:
        return NotEntitled(f"{name} asked for {proposal.id}; somebody else has to approve it.")
    return None


def _expired(proposal: Proposal, now: datetime) -> bool:
    return proposal.state is ProposalState.OPEN and now > proposal.approve_by


def _instead(proposal: Proposal) -> str:
    if proposal.state is ProposalState.CLAIMED:
        return "It has started."
    return f"See stanch approvals show {proposal.id} and stanch approvals list."


def _as_sealed(proposal: Proposal) -> Ruling:
    return Ruling(
        proposal.verdict,
        proposal.rule,
        proposal.note,
        proposal.approvers,
        proposal.quorum,
        requester_may_approve=proposal.requester_may_approve,
    )


def _stricter_now(proposal: Proposal, person: Person, name: str, ruling: Ruling, demo: bool) -> StanchError | None:
    """Policy may have changed while it waited: the stricter of what was sealed and what it says today holds."""
    if ruling.verdict.looseness < Verdict.ASK.looseness:
        return Outdated(
            f"Policy now says {ruling.verdict} to {proposal.id}: {ruling.why}. It can no longer be approved."
        )
    if ruling.verdict is Verdict.ALLOW or (demo and person.principal == DEMO):
        return None
    if not entitled(name, person.groups, ruling.approvers):
        return NotEntitled(
            f"{name} may not approve {proposal.id} any more: {ruling.rule} now asks {', '.join(ruling.approvers)}."
        )
    if name == proposal.requester_person and not ruling.requester_may_approve:
        return NotEntitled(f"{name} asked for {proposal.id}; by today's policy somebody else has to approve it.")
    return None


async def _begun(tx: Transaction, proposal: Proposal) -> bool:
    """Whether its effect may have been sent: an intent stands in the executor, or it has ended."""
    row = await executions.get(tx, proposal.id) if proposal.state is ProposalState.CLAIMED else None
    return row is None or row.intent_at is not None


async def _end_if_over(tx: Transaction, proposal: Proposal, ruling: Ruling, now: datetime) -> None:
    """An answer that came too late, or that policy does not want any more, also ends what it was given to."""
    if _expired(proposal, now):
        state, why = ProposalState.EXPIRED, "nobody decided in time"
    elif proposal.state is ProposalState.OPEN and proposal.intact and ruling.verdict.looseness < Verdict.ASK.looseness:
        state, why = ProposalState.DENIED_BY_POLICY, f"policy now says {ruling.verdict}: {ruling.why}"
        await wakes.add(tx, proposal.incident, f"policy on {proposal.id}", now)
    else:
        return
    told = ProposalWithdrawn(text=f"{proposal.id}: {why}", proposal=proposal.id, state=str(state))
    await timeline.append(tx, proposal.incident, told, "stanch", now, f"end:{proposal.id}")
    await proposal_store.move(tx, proposal, state, why)


async def _record(
    tx: Transaction,
    proposal: Proposal,
    decision: Decision,
    made: Sequence[Decision],
    note: str = "",
    ruling: Ruling | None = None,
) -> Proposal:
    """The decision, its event, its wake and the proposal's new state: all or nothing."""
    answer = Answer(decision.answer)
    state = _led_to(proposal, answer, missing(proposal, [*made, decision], ruling))
    told = DecisionMade(
        proposal=proposal.id,
        answer=decision.answer,
        by=decision.principal,
        person=decision.person,
        reason=decision.reason.replace("\x00", "\ufffd"),
        digest=decision.digest,
        state=str(state),
    )
    key = f"decision:{proposal.id}:{decision.person}:{answer}"
    event = await timeline.append(tx, proposal.incident, told, decision.principal, decision.at, key)
    tx.sync = True  # whoever is told that it counts may rely on it
    decision = replace(decision, reason=event.payload.reason, at=event.at)
    await decisions.add(tx, decision)
    await wakes.add(tx, proposal.incident, f"decision on {proposal.id}", decision.at)
    if state is proposal.state:
        return proposal
    if state is not ProposalState.APPROVED:
        return await proposal_store.move(tx, proposal, state, note or f"{decision.principal}: {decision.reason}")
    execute_by = decision.at + proposal.execute_within
    await wakes.add(tx, proposal.incident, f"expiry of {proposal.id}", execute_by)
    return await proposal_store.move(tx, proposal, state, "approved", execute_by)


def _led_to(proposal: Proposal, answer: Answer, lacking: int) -> ProposalState:
    """What is claimed stays so: the executor looks at decisions once more before its intent, and ends it."""
    if proposal.state is ProposalState.CLAIMED:
        return proposal.state
    if answer is not Answer.APPROVE:
        return _ENDS[answer]
    return proposal.state if lacking > 0 else ProposalState.APPROVED


def missing(proposal: Proposal, made: Sequence[Decision], ruling: Ruling | None = None) -> int:
    """How many more people have to approve, by what was sealed and by policy's `ruling` of today."""
    people = {d.person for d in made if d.answer == Answer.APPROVE and d.digest == proposal.digest}
    return max(quorum_of(proposal, ruling or _as_sealed(proposal)) - len(people), 0)


def _decided(proposal: Proposal, made: Sequence[Decision], ruling: Ruling) -> Decided:
    return Decided(proposal, tuple(made), missing(proposal, made, ruling))
