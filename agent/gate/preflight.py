"""What stands in the way of starting a proposal now. Every check reads like the rule it enforces; the first to object wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.clock import iso
from agent.gate.policy import Ruling, Verdict
from agent.gate.policy_file import Budgets
from agent.gate.proposal import Proposal, ProposalState
from agent.store.decisions import Decision
from tools.spec import Risk

Entitled = Callable[[str, Sequence[str]], bool]  # (person of the catalog, approvers) → may they, by today's catalog?


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why it does not start, and the state the proposal goes to."""

    state: ProposalState
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks look at, read inside one transaction. `ruling` is policy's answer of this moment,
    `contradicted` what the keyed timeline says against these rows."""

    proposal: Proposal
    decisions: Sequence[Decision]
    ruling: Ruling
    now: datetime
    entitled: Entitled
    stopped: str | None
    budgets: Budgets
    this_hour: int
    on_target: int
    contradicted: str | None = None


def obstacle(facts: Facts) -> Obstacle | None:
    return next((found for check in _CHECKS if (found := check(facts)) is not None), None)


def approvers_counted(facts: Facts) -> frozenset[str]:
    """Distinct people whose approval of exactly this digest counts today."""
    sealed, ruling = facts.proposal, facts.ruling
    requester_may = sealed.requester_may_approve and (ruling.requester_may_approve or ruling.verdict is Verdict.ALLOW)
    return frozenset(
        d.person
        for d in facts.decisions
        if d.answer == "approve"
        and d.digest == sealed.digest
        and d.at <= sealed.approve_by
        and facts.entitled(d.person, sealed.approvers)
        and (ruling.verdict is not Verdict.ASK or facts.entitled(d.person, ruling.approvers))
        and (requester_may or d.person != sealed.requester_person)
    )


def quorum_of(proposal: Proposal, ruling: Ruling) -> int:
    """The larger of what was sealed and what policy asks today; two at least for what destroys."""
    return max(
        proposal.quorum,
        ruling.quorum if ruling.verdict is Verdict.ASK else 1,
        2 if proposal.risk is Risk.DESTRUCTIVE else 1,
    )


def _changed(facts: Facts) -> Obstacle | None:
    if facts.proposal.intact:
        return None
    return Obstacle(ProposalState.VOIDED, "it is no longer what was sealed: its digest does not fit")


def _contradicted(facts: Facts) -> Obstacle | None:
    return Obstacle(ProposalState.VOIDED, facts.contradicted) if facts.contradicted else None


def _not_ready(facts: Facts) -> Obstacle | None:
    state = facts.proposal.state
    if state in (ProposalState.APPROVED, ProposalState.ALLOWED, ProposalState.CLAIMED):
        return None
    return Obstacle(ProposalState.VOIDED, f"it is {state}")


def _taken_back(facts: Facts) -> Obstacle | None:
    said = next((d for d in facts.decisions if d.answer in ("deny", "revoke", "edit")), None)
    return Obstacle(ProposalState.REVOKED, f"{said.principal} said {said.answer}") if said else None


def _stopped(facts: Facts) -> Obstacle | None:
    return Obstacle(ProposalState.VOIDED, facts.stopped) if facts.stopped else None


def _late(facts: Facts) -> Obstacle | None:
    until = _until(facts)
    if until is not None and facts.now <= until:
        return None
    return Obstacle(ProposalState.EXPIRED, f"it was to be started by {iso(until) if until else 'a time never set'}")


def _until(facts: Facts) -> datetime | None:
    """The end of the execution clock: as it stands, and never later than what was sealed counts from its beginning."""
    proposal = facts.proposal
    began = [d.at for d in facts.decisions if d.answer == "approve" and d.digest == proposal.digest]
    if proposal.verdict is Verdict.ALLOW:
        began = [proposal.created_at]
    if proposal.execute_by is None or not began:
        return None
    return min(proposal.execute_by, max(began) + proposal.execute_within)


def _policy(facts: Facts) -> Obstacle | None:
    verdict = facts.ruling.verdict
    if verdict.looseness < Verdict.ASK.looseness:
        return Obstacle(ProposalState.DENIED_BY_POLICY, f"policy now says {verdict}: {facts.ruling.why}")
    if verdict is Verdict.ASK and facts.proposal.verdict is not Verdict.ASK and not facts.proposal.covered:
        return Obstacle(ProposalState.DENIED_BY_POLICY, f"policy now wants it asked for: {facts.ruling.why}")
    return None


def _quorum(facts: Facts) -> Obstacle | None:
    """Asked for, it needs its people. Allowed at sealing, policy has just allowed it again; an undo, its parent had them."""
    if facts.proposal.covered or facts.proposal.verdict is Verdict.ALLOW:
        return None
    counted, needed = approvers_counted(facts), quorum_of(facts.proposal, facts.ruling)
    if len(counted) >= needed:
        return None
    names = ", ".join(sorted(counted)) or "nobody"
    return Obstacle(ProposalState.VOIDED, f"{needed} entitled people have to approve; today counts: {names}")


def _budget(facts: Facts) -> Obstacle | None:
    """A covered undo counts, and is not held up: a budget that stopped it would leave standing what did not help."""
    if facts.proposal.covered:
        return None
    spent = facts.budgets.spent(facts.this_hour, facts.on_target)
    return Obstacle(ProposalState.VOIDED, spent) if spent else None


_CHECKS = (_changed, _not_ready, _contradicted, _taken_back, _stopped, _late, _policy, _quorum, _budget)
