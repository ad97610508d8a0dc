"""Whoever can write the database and has not the key starts nothing that people and policy did not want."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from agent.errors import Unsettled
from agent.gate import proposal_store
from agent.gate.approval import decide
from agent.gate.executor import Outcome
from agent.gate.policy import Verdict, parse
from agent.gate.proposal import Proposal, ProposalState, seal
from agent.store import decisions
from agent.store.database import Database, Transaction
from agent.store.decisions import Decision
from agent.store.schema import decisions as decision_rows
from agent.store.schema import events, executions, proposals
from tests.gate.world import ALLOW, ANN, BOB, Scene

LATER = timedelta(minutes=15)


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def _reset(tx: Transaction, proposal: Proposal, state: str) -> None:
    await tx.execute(update(proposals).where(proposals.c.id == proposal.id).values(state=state))


async def an_allowed_row(tx: Transaction, scene: Scene, proposal: Proposal) -> None:
    forged = seal(replace(proposal, id="inc-p9", n=9, key="stanch-forged", verdict=Verdict.ALLOW))
    await proposal_store.add(tx, replace(forged, state=ProposalState.ALLOWED, execute_by=scene.clock.now() + LATER))


async def an_allowed_row_under_its_name(tx: Transaction, scene: Scene, proposal: Proposal) -> None:
    forged = seal(replace(proposal, arguments={"workload": "web", "replicas": 50}))
    await tx.execute(delete(proposals).where(proposals.c.id == proposal.id))
    await proposal_store.add(tx, replace(forged, state=ProposalState.ALLOWED, execute_by=scene.clock.now() + LATER))


async def a_stolen_verdict(tx: Transaction, scene: Scene, proposal: Proposal) -> None:
    """The genuine event of one proposal under the name of another."""
    await an_allowed_row(tx, scene, proposal)
    await tx.execute(update(events).where(events.c.key == f"verdict:{proposal.id}").values(key="verdict:inc-p9"))


async def a_written_verdict(tx: Transaction, scene: Scene, proposal: Proposal) -> None:
    await an_allowed_row(tx, scene, proposal)
    digest = (await tx.execute(select(proposals.c.digest).where(proposals.c.id == "inc-p9"))).scalar_one()
    data = {"proposal": "inc-p9", "digest": digest, "verdict": "allow"}
    values = {"n": 3, "incident": "inc", "run": 1, "at": scene.clock.now(), "kind": "verdict", "actor": "stanch"}
    await tx.execute(insert(events).values(**values, data=data, key="verdict:inc-p9", prev="0" * 64, hash="1" * 64))


@pytest.mark.parametrize(
    "forge",
    [an_allowed_row, an_allowed_row_under_its_name, a_stolen_verdict, a_written_verdict],
    ids=lambda f: f.__name__,
)
async def test_an_allowed_row_that_nobody_sealed_does_not_start(
    scene: Scene, forge: Callable[[Transaction, Scene, Proposal], Awaitable[None]]
) -> None:
    scene.policy = parse(ALLOW)  # policy itself would let it pass
    proposal = await scene.propose()
    async with scene.db.write() as tx:
        await _reset(tx, proposal, "open")
        await forge(tx, scene, proposal)
    for name in {proposal.id, "inc-p9"}:
        async with scene.db.read() as tx:
            if await proposal_store.find(tx, name) is None:
                continue
        with suppress(Unsettled):  # what follows the last anchored event is not ours
            assert (await scene.executor.execute(name, scene.run)).outcome is Outcome.NOT_DONE
    assert scene.world.effects == []


async def test_approvals_that_nobody_gave_do_not_count(scene: Scene) -> None:
    proposal, now = await scene.propose(), scene.clock.now()
    async with scene.db.write() as tx:
        await decisions.add(tx, Decision(proposal.id, proposal.digest, "os:ann", "ann", "approve", "", now))
        values = {"state": "approved", "execute_by": now + LATER}
        await tx.execute(update(proposals).where(proposals.c.id == proposal.id).values(**values))
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "differ about ann's approve" in ended.why


async def test_a_denial_that_was_dropped_still_holds(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny")
    async with scene.db.write() as tx:
        await tx.execute(delete(decision_rows).where(decision_rows.c.answer == "deny"))
        await _reset(tx, proposal, "approved")
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "differ about bob's deny" in ended.why


async def test_an_event_that_was_cut_out_is_missed(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny")
    other = await scene.propose("restart", step="2")  # something follows it
    async with scene.db.write() as tx:
        await tx.execute(delete(decision_rows).where(decision_rows.c.answer == "deny"))
        await tx.execute(delete(events).where(events.c.key == f"decision:{proposal.id}:bob:deny"))
        await _reset(tx, proposal, "approved")
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects, other.n) == (Outcome.NOT_DONE, [], 2)
    assert "was changed at event" in ended.why


async def test_what_has_run_does_not_run_again_though_the_ledger_forgot_it(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=2)
    async with scene.db.write() as tx:
        await tx.execute(delete(executions).where(executions.c.proposal == proposal.id))
        await _reset(tx, proposal, "approved")
    again = await scene.executor.execute(proposal.id, scene.run)
    assert (again.outcome, again.why) == (Outcome.DONE, "accepted"), "what became of it stands on its timeline"
    assert scene.world.effects == [proposal.key]


async def test_more_time_than_was_sealed_does_not_count(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose(), ANN)
    async with scene.db.write() as tx:
        values = {"execute_by": scene.clock.now() + timedelta(days=1)}
        await tx.execute(update(proposals).where(proposals.c.id == proposal.id).values(**values))
    scene.clock.advance(timedelta(minutes=16))
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "was to be started by" in ended.why


async def test_an_undo_whose_parent_was_not_done_does_not_start(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.world.write("mode", "lost")
    ended = await scene.executor.execute(proposal.id, scene.run)
    scene.world.write("mode", "well")
    scene.world.set(replicas=6)
    async with scene.db.write() as tx:
        await tx.execute(update(executions).where(executions.c.proposal == proposal.id).values(outcome="DONE"))
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, replace(ended, outcome=Outcome.DONE)), scene.run, "undo"
    )
    assert undo.state is ProposalState.ALLOWED
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.NOT_DONE
    assert scene.world.effects == []


@pytest.mark.parametrize("state", [ProposalState.EXPIRED, ProposalState.SUPERSEDED, ProposalState.VOIDED])
async def test_a_withdrawn_proposal_revived_in_its_row_does_not_start(scene: Scene, state: ProposalState) -> None:
    proposal = await scene.approve(await scene.propose())
    await proposal_store.withdraw(scene.db, scene.clock, proposal.id, state, "steered")
    async with scene.db.write() as tx:
        await _reset(tx, proposal, "approved")
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "has started or ended already" in ended.why


async def test_an_undo_whose_parents_outcome_was_written_by_somebody_does_not_start(scene: Scene) -> None:
    """Row and event both say DONE; the event's hash cannot, without the key."""
    proposal = await scene.approve(await scene.propose())
    scene.world.write("mode", "lost")
    ended = await scene.executor.execute(proposal.id, scene.run)
    scene.world.write("mode", "well")
    scene.world.set(replicas=6)
    async with scene.db.write() as tx:
        told = (await tx.execute(select(events.c.data).where(events.c.key == f"outcome:{proposal.id}"))).scalar_one()
        await tx.execute(
            update(events).where(events.c.key == f"outcome:{proposal.id}").values(data={**told, "outcome": "DONE"})
        )
        await tx.execute(update(executions).where(executions.c.proposal == proposal.id).values(outcome="DONE"))
        await _reset(tx, proposal, "done")
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(proposal, replace(ended, outcome=Outcome.DONE)), scene.run, "undo"
    )
    assert undo.state is ProposalState.ALLOWED
    assert (await scene.executor.execute(undo.id, scene.run)).outcome is Outcome.NOT_DONE
    assert scene.world.effects == []
