"""Decisions: by the right people, on exactly what was shown, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.catalog import Person
from agent.domain.cause import Cause, Fault
from agent.domain.timeline import EventKind
from agent.errors import NotEntitled, Outdated, UnusableInput
from agent.gate import proposal_store
from agent.gate.approval import Answer, Decided, decide, edit
from agent.gate.executor import Outcome
from agent.gate.policy import parse
from agent.gate.prepare import Wanted
from agent.gate.proposal import Proposal, ProposalState
from agent.store import decisions, timeline, wakes
from agent.store.database import Database
from tests.gate.world import ALLOW, ANN, BOB, CEM, DORA, EVE, NOON, SUCCESS, Scene

TWO = "rules: [{name: two, verdict: ask, approvers: [oncall], quorum: 2}]"


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def say(
    scene: Scene, proposal: Proposal, person: Person, answer: Answer = Answer.APPROVE, **other: object
) -> Decided:
    return await decide(scene.db, scene.clock, proposal.id, proposal.digest, person, answer, **other)  # type: ignore[arg-type]


async def test_a_decision_its_event_and_its_wake_stand_together(scene: Scene) -> None:
    made = await say(scene, await scene.propose(), ANN, reason="looks right")
    assert (made.proposal.state, made.missing) == (ProposalState.APPROVED, 0)
    assert made.proposal.execute_by == NOON + timedelta(minutes=15)
    async with scene.db.read() as tx:
        (event,) = [e for e in await timeline.events(tx, "inc") if e.kind is EventKind.DECISION]
        assert [w.reason for w in await wakes.due(tx, scene.clock.now())] == ["decision on inc-p1"]
        assert await decisions.of(tx, "inc-p1") == list(made.decisions)
    assert (event.actor, event.data["answer"], event.data["digest"]) == ("os:ann", "approve", made.proposal.digest)


@pytest.mark.parametrize(
    ("person", "words"),
    [
        (EVE, "eve may not approve inc-p1. Approvers: oncall"),
        (DORA, "dora may not approve"),
        (Person("os:stranger"), "nobody in the catalog"),
        (Person("openai", "ann", ("oncall",)), "nobody in the catalog"),
        (Person("stanch", "ann", ("oncall",)), "nobody in the catalog"),
        (Person("demo:--approve", "ann", ("oncall",)), "`stanch demo` only"),
    ],
)
async def test_only_entitled_people_decide_and_an_agent_never(scene: Scene, person: Person, words: str) -> None:
    proposal = await scene.propose()
    for answer in (Answer.APPROVE, Answer.DENY):
        with pytest.raises(
            NotEntitled, match=words.replace("approve inc", f"{answer} inc").replace("not approve", f"not {answer}")
        ):
            await say(scene, proposal, person, answer)
    async with scene.db.read() as tx:
        assert await decisions.of(tx, proposal.id) == []


async def test_the_demo_approves_only_where_it_says_so(scene: Scene) -> None:
    made = await say(scene, await scene.propose(), Person("demo:--approve"), demo=True)
    assert made.proposal.state is ProposalState.APPROVED


async def test_entitlement_is_of_the_moment_of_the_decision(scene: Scene) -> None:
    with pytest.raises(NotEntitled):
        await say(scene, await scene.propose(), replace(ANN, groups=("leads",)))


async def test_a_digest_of_something_else_decides_nothing(scene: Scene) -> None:
    proposal = await scene.propose()
    with pytest.raises(Outdated, match="not what was shown"):
        await say(scene, replace(proposal, digest="0" * 64), ANN)


async def test_after_its_clock_a_proposal_expires_for_good(scene: Scene) -> None:
    proposal = await scene.propose()
    scene.clock.advance(timedelta(hours=1, seconds=1))
    with pytest.raises(Outdated, match="to be decided by 2026-11-24T13:00:00Z"):
        await say(scene, proposal, ANN)
    async with scene.db.read() as tx:
        found = await proposal_store.find(tx, proposal.id)
    assert found is not None
    assert found.state is ProposalState.EXPIRED


async def test_the_same_answer_again_changes_nothing(scene: Scene) -> None:
    proposal = await scene.propose()
    first = await say(scene, proposal, ANN)
    assert await say(scene, proposal, ANN) == first
    await scene.executor.execute(proposal.id, scene.run)
    again = await say(scene, proposal, ANN)
    assert again.decisions == first.decisions, "even when it has run meanwhile"


async def test_two_identities_of_one_person_are_one(scene: Scene) -> None:
    scene.policy = parse(TWO)
    proposal = await scene.propose()
    await say(scene, proposal, ANN)
    made = await say(scene, proposal, replace(ANN, principal="slack:T1/U1"))
    assert (made.missing, made.proposal.state) == (1, ProposalState.OPEN)
    assert (await say(scene, proposal, BOB)).proposal.state is ProposalState.APPROVED


async def test_whoever_asked_for_it_cannot_approve_it_unless_the_rule_says_so(scene: Scene) -> None:
    mine = await scene.propose(requester="os:ann", requester_person="ann")
    with pytest.raises(NotEntitled, match="somebody else"):
        await say(scene, mine, ANN)
    with pytest.raises(NotEntitled, match="somebody else"):
        await say(scene, mine, replace(ANN, principal="slack:T1/U1"))
    assert (await say(scene, mine, BOB)).proposal.state is ProposalState.APPROVED
    scene.policy = parse("rules: [{verdict: ask, approvers: [oncall], requester_may_approve: true}]")
    other = await scene.propose(step="2", requester="os:ann", requester_person="ann")
    assert (await say(scene, other, ANN)).proposal.state is ProposalState.APPROVED


@pytest.mark.parametrize("answer", [Answer.DENY, Answer.REVOKE])
async def test_what_was_approved_can_be_stopped_until_it_starts(scene: Scene, answer: Answer) -> None:
    proposal = await scene.propose()
    await say(scene, proposal, ANN)
    stopped = await say(scene, proposal, CEM, answer, reason="not now")
    assert stopped.proposal.state in (ProposalState.DENIED, ProposalState.REVOKED)
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    other = await scene.approve(await scene.propose(step="2"))
    await scene.executor.execute(other.id, scene.run)
    with pytest.raises(Outdated, match="is done"):
        await say(scene, other, CEM, answer)
    assert scene.world.effects == [other.key]


async def test_after_a_denial_nobody_approves(scene: Scene) -> None:
    proposal = await scene.propose()
    await say(scene, proposal, BOB, Answer.DENY)
    with pytest.raises(Outdated, match="is denied"):
        await say(scene, proposal, ANN)


async def test_sixty_deciders_at_once_are_one_decision_and_one_effect(scene: Scene) -> None:
    proposal = await scene.propose()
    people = [Person(f"os:p{n}", f"p{n}", ("oncall",)) for n in range(60)]

    async def one(person: Person) -> bool:
        try:
            await say(scene, proposal, person)
        except Outdated:
            return False
        await scene.executor.execute(proposal.id, scene.run)
        return True

    scene.groups["oncall"] += [str(p.name) for p in people]
    assert sum(await asyncio.gather(*(one(person) for person in people))) == 1
    assert scene.world.effects == [proposal.key]


async def test_of_an_approval_and_a_denial_at_once_one_holds(scene: Scene) -> None:
    for step in range(8):
        proposal = await scene.propose(step=str(step), arguments={"replicas": 10 + step})
        await asyncio.gather(say(scene, proposal, ANN), say(scene, proposal, BOB, Answer.DENY), return_exceptions=True)
        ended = await scene.executor.execute(proposal.id, scene.run)
        assert ended.outcome is Outcome.NOT_DONE, "a denial holds whether it came first or second"
    assert scene.world.effects == []


async def test_an_edit_is_a_new_proposal_and_the_old_one_is_superseded(scene: Scene) -> None:
    old = await scene.approve(await scene.propose())
    wanted = Wanted("set_replicas", {"replicas": 4}, SUCCESS, "less", Cause("web", Fault.UNKNOWN), "os:bob", "bob")
    new = await scene.executor.preparation.prepare("inc", wanted)
    made = await edit(scene.db, scene.clock, old.id, old.digest, BOB, new)
    assert (made.proposal.id, made.proposal.state, made.missing) == ("inc-p2", ProposalState.OPEN, 1)
    assert (await scene.executor.execute(old.id, scene.run)).outcome is Outcome.NOT_DONE
    with pytest.raises(Outdated):
        await say(scene, old, CEM)
    with pytest.raises(NotEntitled):
        await say(scene, made.proposal, BOB)
    await say(scene, made.proposal, ANN)
    assert (await scene.executor.execute("inc-p2", scene.run)).outcome is Outcome.DONE
    assert scene.world.fields()["replicas"] == 4


async def test_an_edit_by_somebody_without_a_say_changes_nothing(scene: Scene) -> None:
    old = await scene.propose()
    wanted = Wanted("set_replicas", {"replicas": 4}, SUCCESS, "less", Cause("web", Fault.UNKNOWN), "os:eve", "eve")
    new = await scene.executor.preparation.prepare("inc", wanted)
    with pytest.raises(NotEntitled):
        await edit(scene.db, scene.clock, old.id, old.digest, EVE, new)
    async with scene.db.read() as tx:
        assert [(p.id, p.state) for p in await proposal_store.of(tx, "inc")] == [("inc-p1", ProposalState.OPEN)]


async def test_what_policy_allowed_is_edited_only_by_who_has_a_say(scene: Scene) -> None:
    """Anybody of the catalog may stop it; other arguments of theirs would run at once, asked by nobody."""
    scene.policy = parse(ALLOW)
    old = await scene.propose()
    assert old.state is ProposalState.ALLOWED
    for person, counts in ((EVE, False), (BOB, True)):
        wanted = Wanted(
            "set_replicas", {"replicas": 9}, SUCCESS, "more", Cause("web", Fault.UNKNOWN), person.principal, person.name
        )
        new = await scene.executor.preparation.prepare("inc", wanted)
        if counts:
            made = await edit(scene.db, scene.clock, old.id, old.digest, person, new)
            assert made.proposal.state is ProposalState.ALLOWED
            continue
        with pytest.raises(NotEntitled):
            await edit(scene.db, scene.clock, old.id, old.digest, person, new)
        async with scene.db.read() as tx:
            assert [(p.id, p.state) for p in await proposal_store.of(tx, "inc")] == [(old.id, ProposalState.ALLOWED)]
    again = await scene.propose(step="2", arguments={"replicas": 4})
    await say(scene, again, EVE, Answer.DENY)
    assert (await scene.executor.execute(again.id, scene.run)).outcome is Outcome.NOT_DONE


async def test_an_edit_says_what_is_new(scene: Scene) -> None:
    with pytest.raises(UnusableInput, match="--set"):
        await say(scene, await scene.propose(), ANN, Answer.EDIT)


async def test_a_proposal_is_listed_in_the_agreed_format(scene: Scene) -> None:
    listed = (await scene.propose()).listed([])
    assert set(listed) == {
        "id",
        "incident",
        "action",
        "arguments",
        "target",
        "risk",
        "digest",
        "state",
        "approve_by",
        "execute_by",
        "quorum",
        "decisions",
    }
    assert listed["target"] == "eu-1/shop/web"
    assert listed["execute_by"] == "2026-11-24T13:15:00Z", "the latest it can be; counted anew from the approval"
