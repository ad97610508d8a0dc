"""The executor: nothing starts that may not, nothing starts twice, and what is reported is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from agent.domain.timeline import EventKind
from agent.errors import BadArguments, IllegalTransition, Overtaken, Refused, UnusableInput
from agent.gate import audit, proposal_store
from agent.gate.approval import Answer, decide
from agent.gate.executor import Executor, Outcome
from agent.gate.policy import Policy, parse
from agent.gate.proposal import ProposalState
from agent.store import executions, switches, timeline
from agent.store.database import Database
from agent.store.schema import executions as executions_table
from tests.gate.world import ACTIONS, ALLOW, ANN, ASK, BOB, NOON, Scene

TWO = "rules: [{name: two, verdict: ask, approvers: [oncall], quorum: 2}]"


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def state_of(scene: Scene, proposal: str) -> ProposalState:
    async with scene.db.read() as tx:
        found = await proposal_store.find(tx, proposal)
    assert found is not None
    return found.state


async def kinds(scene: Scene) -> list[EventKind]:
    async with scene.db.read() as tx:
        return [event.kind for event in await timeline.events(tx, "inc")]


async def test_an_approved_action_runs_exactly_once(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    first = await scene.executor.execute(proposal.id, scene.run)
    again = await scene.executor.execute(proposal.id, scene.run)
    assert (first.outcome, again) == (Outcome.DONE, first)
    assert scene.world.effects == [proposal.key]
    assert scene.world.fields()["replicas"] == 6
    assert await state_of(scene, proposal.id) is ProposalState.DONE
    assert await kinds(scene) == [
        EventKind.PROPOSAL,
        EventKind.VERDICT,
        EventKind.DECISION,
        EventKind.INTENT,
        EventKind.OUTCOME,
    ]


async def test_sixty_claimers_at_once_have_one_effect(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose("probed"))
    found = await asyncio.gather(*(scene.executor.execute(proposal.id, scene.run) for _ in range(60)))
    assert scene.world.effects == [proposal.key]
    assert {one.outcome for one in found} == {Outcome.DONE}


async def test_what_is_allowed_runs_without_asking(scene: Scene) -> None:
    scene.policy = parse(ALLOW)
    proposal = await scene.propose()
    assert proposal.state is ProposalState.ALLOWED
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


async def set_policy(scene: Scene, text: str) -> None:
    scene.policy = parse(text)


async def leave_group(scene: Scene) -> None:
    scene.groups["oncall"].remove("ann")


async def pass_time(scene: Scene) -> None:
    scene.clock.advance(timedelta(minutes=15, seconds=1))


async def stop(scene: Scene) -> None:
    async with scene.db.write() as tx:
        await switches.set_stop(tx, True, "os:ann", "smells", NOON)


async def deny(scene: Scene) -> None:
    async with scene.db.read() as tx:
        waiting = (await proposal_store.listing(tx))[0]
    await decide(scene.db, scene.clock, waiting.id, waiting.digest, BOB, Answer.DENY, "no")


async def revoke(scene: Scene) -> None:
    async with scene.db.read() as tx:
        waiting = (await proposal_store.listing(tx))[0]
    await decide(scene.db, scene.clock, waiting.id, waiting.digest, ANN, Answer.REVOKE, "wait")


async def tamper(scene: Scene) -> None:
    from sqlalchemy import update

    from agent.store.schema import proposals

    async with scene.db.write() as tx:
        found = (await proposal_store.listing(tx))[0]
        sealed = found.sealed() | {"arguments": {"replicas": 50, "workload": "web"}}
        await tx.execute(update(proposals).values(sealed=sealed))


def policy(text: str) -> Callable[[Scene], Any]:
    return lambda scene: set_policy(scene, text)


FREEZE = ASK + "freezes: [{from: 2026-11-24T11:00:00, to: 2026-11-25, reason: sale}]"


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (policy("rules: []"), "policy now says deny"),
        (policy("rules: [{verdict: suggest}]"), "policy now says suggest"),
        (policy("rules: [{verdict: ask, approvers: [leads, nobody], quorum: 2}]"), "2 entitled people"),
        (policy("rules: [{verdict: ask, approvers: [nobody]}]"), "today counts: nobody"),
        (policy(ASK + "kill_switch: true"), "kill switch"),
        (policy(ASK + "budgets: {per_hour: 0}"), "the budget is 0"),
        (policy(ASK + "budgets: {per_target_per_hour: 0}"), "on this target"),
        (policy(FREEZE), "freeze: sale"),
        (leave_group, "today counts: nobody"),
        (pass_time, "was to be started by 2026-11-24T12:15:00Z"),
        (stop, "os:ann stopped everything: smells"),
        (deny, "it is denied"),
        (revoke, "it is revoked"),
        (tamper, "no longer what was sealed"),
    ],
)
async def test_nothing_starts_when_something_has_come_in_between(
    scene: Scene, meanwhile: Callable[[Scene], Any], words: str
) -> None:
    proposal = await scene.approve(await scene.propose())
    await meanwhile(scene)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert ended.outcome is Outcome.NOT_DONE
    assert words in ended.why
    assert scene.world.effects == []
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE, "and it stays so"
    assert scene.world.effects == []


async def test_an_open_proposal_and_an_unknown_one_do_not_start(scene: Scene) -> None:
    proposal = await scene.propose()
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    assert await state_of(scene, proposal.id) is ProposalState.OPEN, "a person may still decide"
    with pytest.raises(UnusableInput):
        await scene.executor.execute("inc-p9", scene.run)


async def test_what_was_allowed_and_now_has_to_be_asked_for_does_not_start(scene: Scene) -> None:
    scene.policy = parse(ALLOW)
    proposal = await scene.propose()
    scene.policy = parse(ASK)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert "now wants it asked for" in ended.why
    assert scene.world.effects == []


async def test_one_of_two_is_no_quorum_and_the_same_person_twice_is_one(scene: Scene) -> None:
    scene.policy = parse(TWO)
    proposal = await scene.propose()
    assert (await scene.approve(proposal, ANN, ANN)).state is ProposalState.OPEN
    assert (await scene.approve(proposal, BOB)).state is ProposalState.APPROVED
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


async def test_what_destroys_needs_two_people_whatever_the_file_says(scene: Scene) -> None:
    scene.policy = parse(ALLOW)
    proposal = await scene.propose("destroy")
    assert (proposal.state, proposal.quorum) == (ProposalState.OPEN, 2)
    assert (await scene.approve(proposal, ANN)).state is ProposalState.OPEN


async def test_an_overtaken_runner_claims_nothing(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    old = scene.run
    await scene.open()
    with pytest.raises(Overtaken):
        await scene.executor.execute(proposal.id, old)
    assert scene.world.effects == []


async def test_budgets_count_across_incidents(scene: Scene) -> None:
    scene.policy = parse(ALLOW + "\nbudgets: {per_target_per_hour: 1}")
    await scene.open("other")
    run_of_other = scene.run
    await scene.open()
    first = await scene.propose()
    assert (await scene.executor.execute(first.id, scene.run)).outcome is Outcome.DONE
    scene.run = run_of_other
    second = await scene.propose(incident="other", arguments={"replicas": 9})
    assert "the budget is 1" in (await scene.executor.execute(second.id, scene.run)).why
    scene.clock.advance(timedelta(hours=1))
    third = await scene.propose(incident="other", arguments={"replicas": 9}, step="2")
    assert (await scene.executor.execute(third.id, scene.run)).outcome is Outcome.DONE


async def test_a_state_that_changed_since_approval_stops_it(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.set(replicas=3)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "replicas: 2 → 3" in ended.why


async def test_a_new_version_of_the_target_stops_it_too(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.write("version", 7)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert "the state has changed (its version:  → 7)" in ended.why
    assert scene.world.effects == []


async def test_what_somebody_did_by_hand_is_voided_as_done_outside(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.set(replicas=6)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert "done outside Stanch" in ended.why
    assert (await state_of(scene, proposal.id), scene.world.effects) == (ProposalState.VOIDED, [])


async def test_a_target_that_cannot_be_looked_at_is_not_touched(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.write("mode", "dark")
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "could not be looked at" in ended.why


@pytest.mark.parametrize(
    ("action", "mode", "outcome", "effects", "words"),
    [
        ("set_replicas", "well", Outcome.DONE, 1, "accepted"),
        ("set_replicas", "refuse", Outcome.NOT_DONE, 0, "refused: 409"),
        ("set_replicas", "done, no answer", Outcome.DONE, 1, "timed out"),
        ("set_replicas", "lost", Outcome.NOT_DONE, 0, "as it was before"),
        ("set_replicas", "swallowed", Outcome.UNKNOWN, 0, "never seen"),
        ("set_replicas", "late", Outcome.DONE, 1, "accepted"),
        ("set_replicas", "dark afterwards", Outcome.UNKNOWN, 1, "could not be looked at afterwards"),
        ("restart", "well", Outcome.DONE, 1, "accepted"),
        ("restart", "done, no answer", Outcome.DONE, 1, "timed out"),
        ("probed", "lost", Outcome.NOT_DONE, 0, "never happened"),
        ("probed", "done, no answer", Outcome.DONE, 1, "timed out"),
        ("probed", "swallowed", Outcome.UNKNOWN, 0, "never seen"),
        ("probed", "refuse", Outcome.NOT_DONE, 0, "refused: 409"),
        ("probed", "done, refused", Outcome.DONE, 1, "the target has it"),  # sent twice on its way
        ("blind", "well", Outcome.DONE, 1, "cannot be seen"),
        ("blind", "done, no answer", Outcome.UNKNOWN, 1, "can never be seen"),
        ("blind", "lost", Outcome.UNKNOWN, 0, "can never be seen"),
        ("blind", "refuse", Outcome.NOT_DONE, 0, "refused"),
        ("blind_probed", "done, no answer", Outcome.DONE, 1, "timed out"),
        ("blind_probed", "lost", Outcome.NOT_DONE, 0, "never happened"),
        ("blind_probed", "well", Outcome.DONE, 1, "accepted"),
        ("blind_probed", "swallowed", Outcome.UNKNOWN, 0, "never seen"),
        ("blind_probed", "late, no answer", Outcome.DONE, 1, "timed out"),
    ],
)
async def test_the_outcome_is_what_can_truly_be_said(
    scene: Scene, action: str, mode: str, outcome: Outcome, effects: int, words: str
) -> None:
    scene.policy = parse(ASK)
    proposal = await scene.approve(await scene.propose(action))
    scene.world.write("mode", mode)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, len(scene.world.effects)) == (outcome, effects)
    assert words in ended.why
    assert await scene.executor.execute(proposal.id, scene.run) == ended
    assert len(scene.world.effects) == effects


async def test_not_done_is_said_only_after_the_settling_time(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.write("mode", "lost")
    await scene.executor.execute(proposal.id, scene.run)
    assert scene.clock.now() - NOON >= timedelta(seconds=30)


@pytest.mark.parametrize(
    ("action", "happened", "mode", "outcome"),
    [
        ("set_replicas", True, "well", Outcome.DONE),
        ("set_replicas", False, "well", Outcome.NOT_DONE),
        ("set_replicas", True, "dark", Outcome.UNKNOWN),
        ("probed", True, "dark", Outcome.DONE),
        ("probed", False, "well", Outcome.NOT_DONE),
        ("blind", True, "well", Outcome.UNKNOWN),
        ("blind", False, "well", Outcome.UNKNOWN),
        ("blind_probed", True, "well", Outcome.DONE),
        ("blind_probed", False, "well", Outcome.NOT_DONE),
    ],
)
async def test_after_a_crash_behind_the_intent_it_looks_and_never_sends(
    scene: Scene, action: str, happened: bool, mode: str, outcome: Outcome
) -> None:
    proposal = await scene.approve(await scene.propose(action))
    async with scene.db.write() as tx:
        await claimed(tx, scene, proposal, intent=True)
    if happened:
        scene.world.take(proposal.key, **ACTIONS[action].parse(proposal.arguments).wanted(proposal.key))  # type: ignore[attr-defined]
    scene.world.write("mode", mode)
    before = list(scene.world.effects)
    await scene.open()
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is outcome
    assert scene.world.effects == before


async def test_after_a_crash_before_the_intent_it_starts_over_under_the_same_checks(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    async with scene.db.write() as tx:
        await claimed(tx, scene, proposal, intent=False)
    await scene.open()
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE
    assert scene.world.effects == [proposal.key]


async def test_a_claim_that_a_crash_left_until_too_late_does_not_start(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    async with scene.db.write() as tx:
        await claimed(tx, scene, proposal, intent=False)
    await pass_time(scene)
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert "was to be started by" in ended.why
    assert scene.world.effects == []
    assert await scene.executor.execute(proposal.id, scene.run) == ended


async def claimed(tx: Any, scene: Scene, proposal: Any, intent: bool) -> None:
    at = scene.clock.now()
    await executions.add(
        tx,
        executions.Execution(
            proposal.id,
            "inc",
            scene.run,
            proposal.action,
            str(proposal.target),
            proposal.key,
            at,
            at if intent else None,
        ),
    )
    await proposal_store.move(tx, proposal, ProposalState.CLAIMED, "claimed")


async def test_the_effect_follows_a_durable_intent(scene: Scene) -> None:
    seen: list[Any] = []

    class Watching(ACTIONS["set_replicas"]):  # type: ignore[misc]
        async def apply(self, context: Any, before: Any, key: str) -> Any:
            async with scene.db.read() as tx:
                seen.append([e.data["key"] for e in await timeline.events(tx, "inc") if e.kind is EventKind.INTENT])
            return await super().apply(context, before, key)

    proposal = await scene.approve(await scene.propose())
    watched = {**ACTIONS, "set_replicas": Watching}
    executor = Executor(scene.db, scene.clock, lambda: scene.policy, watched, scene.context, scene.entitled)
    await executor.execute(proposal.id, scene.run)
    assert seen == [[proposal.key]]


async def test_a_twin_that_looks_after_the_effect_does_not_call_it_not_done(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    claimed, effect, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(ACTIONS["set_replicas"]):  # type: ignore[misc]
        async def apply(self, context: Any, before: Any, key: str) -> Any:
            receipt = await super().apply(context, before, key)
            effect.set()
            await told.wait()
            return receipt

    async def after_the_effect(incident: str) -> Any:
        claimed.set()
        await effect.wait()
        return await scene.context(incident)

    policy = lambda: scene.policy  # noqa: E731
    first = Executor(scene.db, scene.clock, policy, {**ACTIONS, "set_replicas": Slow}, scene.context, scene.entitled)
    twin = Executor(scene.db, scene.clock, policy, ACTIONS, after_the_effect, scene.entitled)
    late = asyncio.create_task(twin.execute(proposal.id, scene.run))
    await claimed.wait()
    acting = asyncio.create_task(first.execute(proposal.id, scene.run))
    with pytest.raises(Overtaken):
        await late
    told.set()
    assert (await acting).outcome is Outcome.DONE
    assert scene.world.effects == [proposal.key]


async def test_an_undo_that_the_approval_covered_runs_as_a_child_of_its_own(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    done = await scene.executor.execute(proposal.id, scene.run)
    prepared = await scene.executor.preparation.undo_of(proposal, done)
    undo = await scene.executor.preparation.submit(prepared, scene.run, "undo 1")
    assert (undo.parent, undo.state, undo.arguments["replicas"]) == (proposal.id, ProposalState.ALLOWED, 2)
    assert undo.digest != proposal.digest
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.DONE
    assert scene.world.fields()["replicas"] == 2
    assert scene.world.effects == [proposal.key, undo.key]


async def test_an_undo_learns_from_the_receipt_what_it_has_to_undo(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose("create"))
    done = await scene.executor.execute(proposal.id, scene.run)
    prepared = await scene.executor.preparation.undo_of(proposal, done)
    assert prepared.proposal.arguments["name_of_it"] == f"thing-{proposal.key[-4:]}"
    undo = await scene.executor.preparation.submit(prepared, scene.run, "undo 1")
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.DONE


async def test_an_answer_that_was_changed_in_the_database_starts_no_undo(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose("create"))
    done = await scene.executor.execute(proposal.id, scene.run)
    forged = {"text": "created", "values": {"id": "the-database"}}
    async with scene.db.write() as tx:
        await tx.execute(
            update(executions_table).where(executions_table.c.proposal == proposal.id).values(receipt=forged)
        )
    prepared = await scene.executor.preparation.undo_of(proposal, replace(done, receipt=forged))
    undo = await scene.executor.preparation.submit(prepared, scene.run, "undo 1")
    refused = await scene.executor.execute(undo.id, scene.run)
    assert (refused.outcome, refused.why) == (Outcome.NOT_DONE, "not started: it is not the undo that was approved")
    (found,) = await audit.verify(scene.db)
    assert found.what == f"what the target answered to {proposal.id} was changed in the table of executions"


async def test_an_undo_without_its_receipt_is_refused(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose("create"))
    scene.world.write("mode", "done, no answer")
    done = await scene.executor.execute(proposal.id, scene.run)
    assert done.outcome is Outcome.DONE
    with pytest.raises(Refused, match=r"needs \{receipt.id\}"):
        await scene.executor.preparation.undo_of(proposal, done)


async def test_an_undo_of_what_somebody_else_has_changed_since_is_asked_for(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    done = await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=9)
    undo = (await scene.executor.preparation.undo_of(proposal, done)).proposal
    assert (undo.state, undo.covered) == (ProposalState.OPEN, False)


async def test_a_covered_undo_with_other_arguments_than_sealed_does_not_start(scene: Scene) -> None:
    from agent.gate.proposal import seal

    proposal = await scene.approve(await scene.propose())
    done = await scene.executor.execute(proposal.id, scene.run)
    prepared = await scene.executor.preparation.undo_of(proposal, done)
    forged = replace(
        seal(replace(prepared.proposal, arguments={"workload": "web", "replicas": 0})), state=ProposalState.ALLOWED
    )
    undo = await scene.executor.preparation.submit(replace(prepared, proposal=forged), scene.run, "undo 1")
    assert "not the undo that was approved" in (await scene.executor.execute(undo.id, scene.run)).why
    assert scene.world.effects == [proposal.key]


async def test_the_operator_can_forbid_an_undo_too(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    done = await scene.executor.execute(proposal.id, scene.run)
    prepared = await scene.executor.preparation.undo_of(proposal, done)
    undo = await scene.executor.preparation.submit(prepared, scene.run, "undo 1")
    scene.policy = Policy.none()
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.NOT_DONE
    assert scene.world.effects == [proposal.key]


async def test_judging_twice_after_a_crash_makes_one_proposal(scene: Scene) -> None:
    first = await scene.propose(step="move 4")
    again = await scene.propose(step="move 4")
    other = await scene.propose(step="move 5", arguments={"replicas": 7})
    assert (again.id, again.digest, other.id) == (first.id, first.digest, "inc-p2")
    assert (await kinds(scene)).count(EventKind.PROPOSAL) == 2


@pytest.mark.parametrize(
    ("action", "arguments", "error", "words"),
    [
        ("set_replicas", {"replicas": 2}, Refused, "alter nothing"),
        ("set_replicas", {"replicas": 101}, BadArguments, "replicas"),
        ("no_such", {}, BadArguments, "no action 'no_such'"),
        ("remove", {"name_of_it": "x"}, BadArguments, "only undoes"),
    ],
)
async def test_what_cannot_be_proposed_is_said_why(
    scene: Scene, action: str, arguments: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await scene.propose(action, arguments=arguments)


async def test_a_proposal_comes_back_from_the_store_as_it_was_sealed(scene: Scene) -> None:
    proposal = await scene.propose("restart", why='quotes " and \ud800', baseline=(1.5,), untrusted=())
    async with scene.db.read() as tx:
        assert await proposal_store.find(tx, proposal.id) == proposal
    assert proposal.intact


async def test_only_legal_steps_lead_from_state_to_state(scene: Scene) -> None:
    proposal = await scene.propose()
    with pytest.raises(IllegalTransition):
        proposal.to(ProposalState.CLAIMED)
    with pytest.raises(IllegalTransition):
        replace(proposal, state=ProposalState.DENIED).to(ProposalState.APPROVED)


async def test_a_proposal_that_lost_its_reason_is_withdrawn_unless_it_has_started(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    withdrawn = await proposal_store.withdraw(
        scene.db, scene.clock, proposal.id, ProposalState.VOIDED, "cleared", scene.run
    )
    assert withdrawn.state is ProposalState.VOIDED
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    other = await scene.approve(await scene.propose(step="2"))
    await scene.executor.execute(other.id, scene.run)
    kept = await proposal_store.withdraw(scene.db, scene.clock, other.id, ProposalState.VOIDED, "cleared", scene.run)
    assert kept.state is ProposalState.DONE
