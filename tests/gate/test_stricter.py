"""While a proposal waits, policy is asked again without resealing: the stricter verdict holds when it is decided and when it
starts. What a covered undo may, and until when an approval can be taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from agent.domain.timeline import EventKind
from agent.errors import BadConfiguration, NotEntitled, Outdated
from agent.gate import proposal_store
from agent.gate.approval import Answer, Decided, decide
from agent.gate.executor import Executor, Outcome
from agent.gate.live_policy import StandingPolicy
from agent.gate.policy import Verdict, parse
from agent.gate.proposal import Proposal, ProposalState
from agent.store import executions, timeline, wakes
from agent.store.database import Database
from tests.gate.test_policy import SCALE
from tests.gate.world import ACTIONS, ANN, BOB, CEM, DORA, NOON, Base, Destroy, Restart, Scene
from tools.spec import Action, Risk, State

ASK_ONE = "rules: [{name: one, verdict: ask, approvers: [oncall]}]"


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def approve(scene: Scene, proposal: Proposal, person: object = ANN) -> Decided:
    """As a surface does it: with the policy of this moment."""
    return await decide(
        scene.db,
        scene.clock,
        proposal.id,
        proposal.digest,
        person,
        Answer.APPROVE,
        policy=scene.policy,  # type: ignore[arg-type]
    )


async def state_of(scene: Scene, proposal: Proposal) -> ProposalState:
    async with scene.db.read() as tx:
        found = await proposal_store.find(tx, proposal.id)
    assert found is not None
    return found.state


# -- at the decision --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["deny", "shadow", "suggest"])
async def test_what_policy_no_longer_asks_for_cannot_be_approved_and_ends(scene: Scene, verdict: str) -> None:
    proposal = await scene.propose()
    scene.policy = parse(f"rules: [{{name: today, verdict: {verdict}, approvers: [oncall]}}]")
    with pytest.raises(Outdated, match=f"Policy now says {verdict} to inc-p1: today says {verdict}"):
        await approve(scene, proposal)
    assert await state_of(scene, proposal) is ProposalState.DENIED_BY_POLICY
    async with scene.db.read() as tx:
        last = (await timeline.events(tx, "inc"))[-1]
        assert "policy on inc-p1" in [w.reason for w in await wakes.due(tx, scene.clock.now())]
    assert (last.kind, last.data["state"]) == (EventKind.NOTE, "denied_by_policy")
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    assert scene.world.effects == []


async def test_a_freeze_that_began_meanwhile_ends_it(scene: Scene) -> None:
    scene.policy = parse(ASK_ONE + "\nfreezes: [{from: 2026-11-24T12:30:00, to: 2026-11-25, reason: sale}]")
    proposal = await scene.propose()
    scene.clock.advance(timedelta(minutes=31))
    with pytest.raises(Outdated, match="there is a freeze: sale"):
        await approve(scene, proposal)
    assert await state_of(scene, proposal) is ProposalState.DENIED_BY_POLICY


async def test_a_larger_quorum_of_today_is_waited_for(scene: Scene) -> None:
    scene.policy = parse(ASK_ONE)
    proposal = await scene.propose()
    scene.policy = parse("rules: [{name: two, verdict: ask, approvers: [oncall], quorum: 2}]")
    first = await approve(scene, proposal)
    assert (first.missing, first.proposal.state) == (1, ProposalState.OPEN)
    second = await approve(scene, proposal, BOB)
    assert (second.missing, second.proposal.state) == (0, ProposalState.APPROVED)
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


async def test_a_smaller_quorum_of_today_does_not_loosen_what_was_sealed(scene: Scene) -> None:
    scene.policy = parse("rules: [{name: two, verdict: ask, approvers: [oncall], quorum: 2}]")
    proposal = await scene.propose()
    scene.policy = parse("rules: [{name: free, verdict: allow, approvers: [oncall]}]")
    assert (await approve(scene, proposal)).missing == 1
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE


async def test_who_is_no_longer_an_approver_is_told_who_is(scene: Scene) -> None:
    scene.policy = parse(ASK_ONE)
    proposal = await scene.propose()
    scene.policy = parse("rules: [{name: leads only, verdict: ask, approvers: [leads]}]")
    with pytest.raises(NotEntitled, match="bob may not approve inc-p1 any more: leads only now asks leads"):
        await approve(scene, proposal, BOB)
    with pytest.raises(NotEntitled, match="dora may not approve"):
        await approve(scene, proposal, DORA)  # an approver of today who was none when it was sealed
    assert (await approve(scene, proposal, ANN)).proposal.state is ProposalState.APPROVED  # one by both


async def test_the_requester_may_not_approve_any_more_when_policy_takes_it_back(scene: Scene) -> None:
    scene.policy = parse("rules: [{name: own, verdict: ask, approvers: [oncall], requester_may_approve: true}]")
    proposal = await scene.propose(requester="os:ann", requester_person="ann")
    scene.policy = parse(ASK_ONE)
    with pytest.raises(NotEntitled, match="by today's policy somebody else"):
        await approve(scene, proposal)
    assert (await approve(scene, proposal, CEM)).missing == 0


async def test_a_refusal_is_heard_whatever_policy_says_today(scene: Scene) -> None:
    proposal = await scene.propose()
    scene.policy = parse("rules: []")
    made = await decide(
        scene.db, scene.clock, proposal.id, proposal.digest, ANN, Answer.DENY, "no", policy=scene.policy
    )
    assert made.proposal.state is ProposalState.DENIED


# -- at the claim -----------------------------------------------------------------------------------------------------


async def test_approved_in_time_it_does_not_start_when_policy_says_less_by_then(scene: Scene) -> None:
    proposal = (await approve(scene, await scene.propose())).proposal
    scene.policy = parse("rules: [{name: show, verdict: suggest}]")
    execution = await scene.executor.execute(proposal.id, scene.run)
    assert (execution.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "policy now says suggest" in execution.why


# -- budgets and the undo ---------------------------------------------------------------------------------------------

TIGHT = """
budgets: {per_hour: 1, per_target_per_hour: 1}
rules: [{name: ask, verdict: ask, approvers: [oncall]}]
"""


async def test_a_covered_undo_runs_although_the_budget_is_spent_and_counts(scene: Scene) -> None:
    scene.policy = parse(TIGHT)
    proposal = await scene.approve(await scene.propose())
    execution = await scene.executor.execute(proposal.id, scene.run)
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, execution), scene.run, "undo"
    )
    assert undo.covered
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.DONE
    assert scene.world.fields()["replicas"] == 2
    async with scene.db.read() as tx:
        assert await executions.count_since(tx, NOON - timedelta(hours=1), str(undo.target)) == (2, 2)
    third = await scene.approve(await scene.propose(step="2", arguments={"replicas": 4}))
    refused = await scene.executor.execute(third.id, scene.run)
    assert (refused.outcome, "the budget is 1" in refused.why) == (Outcome.NOT_DONE, True)


async def test_an_undo_that_was_not_covered_is_under_the_budget(scene: Scene) -> None:
    scene.policy = parse(TIGHT.replace("verdict: ask", "verdict: ask, cover_undo: false"))
    proposal = await scene.approve(await scene.propose())
    execution = await scene.executor.execute(proposal.id, scene.run)
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, execution), scene.run, "undo"
    )
    undo = await scene.approve(undo)
    assert "the budget is 1" in (await scene.executor.execute(undo.id, scene.run)).why


@pytest.mark.parametrize(
    ("today", "starts"),
    [
        ("{name: no undo, arguments: {replicas: {max: 2}}, verdict: deny}", False),
        ("{name: only suggested, arguments: {replicas: {max: 2}}, verdict: suggest}", False),
        ("{name: out only, arguments: {replicas: {min: 3}}, verdict: ask, approvers: [oncall]}", True),
    ],
)
async def test_a_covered_undo_is_held_up_by_a_rule_that_says_so_and_by_no_rule_that_does_not_name_it(
    scene: Scene, today: str, starts: bool
) -> None:
    proposal = await scene.approve(await scene.propose())
    execution = await scene.executor.execute(proposal.id, scene.run)
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, execution), scene.run, "undo"
    )
    assert undo.covered
    more = "" if starts else ", {name: rest, verdict: ask, approvers: [oncall]}"
    scene.policy = parse(f"rules: [{today}{more}]")
    ended = await scene.executor.execute(undo.id, scene.run)
    assert ended.outcome is (Outcome.DONE if starts else Outcome.NOT_DONE), ended.why
    assert scene.world.fields()["replicas"] == (2 if starts else 6)


class Gentle(Base):
    """Undone by something worse than itself."""

    back: ClassVar[type[Action]] = Restart

    def undo(self, before: State) -> Action | None:
        return self.back()


class Brutal(Gentle):
    """As bad as its undo, which destroys."""

    risk: ClassVar[Risk] = Risk.DESTRUCTIVE
    back: ClassVar[type[Action]] = Destroy


@pytest.mark.parametrize("kind", [Gentle, Brutal])
async def test_an_approval_covers_no_undo_that_does_more_harm_or_destroys(scene: Scene, kind: type[Gentle]) -> None:
    scene.executor = Executor(
        scene.db, scene.clock, lambda: scene.policy, {**ACTIONS, kind.name(): kind}, scene.context, scene.entitled
    )
    proposal = await scene.propose(kind.name(), arguments={})
    await scene.approve(proposal, *(ANN, BOB)[: proposal.quorum])
    assert proposal.undo is not None
    assert not proposal.undo_covered
    execution = await scene.executor.execute(proposal.id, scene.run)
    assert execution.outcome is Outcome.DONE
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, execution), scene.run, "undo"
    )
    assert (undo.covered, undo.state) == (False, ProposalState.OPEN)
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.NOT_DONE


# -- until it starts --------------------------------------------------------------------------------------------------


async def claimed(scene: Scene) -> Proposal:
    """A runner died between its claim and its intent."""
    proposal = await scene.approve(await scene.propose())
    async with scene.db.write() as tx:
        moved, *_ = await scene.executor._claim(tx, proposal.id, scene.run)
    assert moved.state is ProposalState.CLAIMED
    return moved


async def test_an_approval_can_be_taken_back_until_it_starts(scene: Scene) -> None:
    proposal = await claimed(scene)
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, ANN, Answer.REVOKE, "wait")
    execution = await scene.executor.execute(proposal.id, scene.run)
    assert (execution.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "os:ann said revoke" in execution.why
    assert await state_of(scene, proposal) is ProposalState.NOT_DONE


async def test_behind_the_intent_it_is_too_late_to_revoke(scene: Scene) -> None:
    proposal = await claimed(scene)
    async with scene.db.write() as tx:
        await executions.intend(tx, proposal.id, scene.clock.now())
    with pytest.raises(Outdated, match="It has started"):
        await decide(scene.db, scene.clock, proposal.id, proposal.digest, ANN, Answer.REVOKE, "wait")


async def test_an_intent_is_written_once_and_whoever_comes_second_is_told(scene: Scene) -> None:
    proposal = await claimed(scene)
    first = scene.clock.now()
    async with scene.db.write() as tx:
        assert await executions.intend(tx, proposal.id, first)
        assert not await executions.intend(tx, proposal.id, first + timedelta(seconds=1))
        row = await executions.get(tx, proposal.id)
    assert row is not None
    assert row.intent_at == first


async def test_what_is_claimed_can_be_neither_approved_nor_denied(scene: Scene) -> None:
    proposal = await claimed(scene)
    for answer in (Answer.APPROVE, Answer.DENY):
        with pytest.raises(Outdated, match="is claimed"):
            await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, answer, "late")
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


# -- the file that stands ---------------------------------------------------------------------------------------------


def test_a_changed_file_holds_at_once_and_a_mistake_in_it_denies(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("rules: [{verdict: allow}]")
    policy = StandingPolicy(path)
    assert policy().rule(SCALE).verdict is Verdict.ALLOW
    path.write_text("rules: [{verdict: suggest}]")
    assert policy().rule(SCALE).verdict is Verdict.SUGGEST
    path.write_text("rules: [{verdikt: allow}]")
    ruling = policy().rule(SCALE)
    assert ruling.verdict is Verdict.DENY
    assert "policy.yaml:1: rules.0.verdikt: unknown key. Did you mean 'verdict'" in ruling.why
    path.unlink()
    assert "cannot be read" in policy().rule(SCALE).why
    path.write_text("rules: [{verdict: allow}]")
    assert policy().rule(SCALE).verdict is Verdict.ALLOW


def test_a_file_that_is_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("rules: 3")
    with pytest.raises(BadConfiguration, match=r"policy.yaml:1"):
        StandingPolicy(tmp_path / "policy.yaml")


def test_without_a_file_everything_is_denied() -> None:
    assert "no policy" in StandingPolicy(None)().rule(SCALE).why
