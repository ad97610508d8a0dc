"""An UNKNOWN is settled by a person's word alone: on the record as theirs, and nothing is tried again by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.catalog import Person
from agent.domain.timeline import EventKind
from agent.errors import NotEntitled, Outdated, UnusableInput
from agent.gate import proposal_store
from agent.gate.approval import settle
from agent.gate.executor import Outcome
from agent.gate.proposal import Proposal, ProposalState
from agent.store import executions, timeline, wakes
from agent.store.database import Database
from tests.gate.world import ANN, BOB, EVE, Scene


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def unknown(scene: Scene) -> Proposal:
    scene.world.write("mode", "swallowed")  # the target took it, and its effect is never seen
    proposal = await scene.approve(await scene.propose())
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.UNKNOWN
    return proposal


@pytest.mark.parametrize(("done", "outcome"), [(True, "DONE"), (False, "NOT_DONE")])
async def test_a_persons_word_settles_it_and_says_whose_it_is(scene: Scene, done: bool, outcome: str) -> None:
    proposal = await unknown(scene)
    settled = await settle(scene.db, scene.clock, proposal.id, EVE, done, "looked at the console")
    assert settled.state is (ProposalState.DONE if done else ProposalState.NOT_DONE)
    async with scene.db.read() as tx:
        last = (await timeline.events(tx, "inc"))[-1]
        row = await executions.get(tx, proposal.id)
        assert f"{proposal.id} is settled" in [w.reason for w in await wakes.due(tx, scene.clock.now())]
    assert (last.kind, last.actor, last.data["outcome"]) == (EventKind.OUTCOME, "os:eve", outcome)
    assert last.data["why"] == "eve says so: looked at the console"
    assert row is not None
    assert row.outcome is Outcome.UNKNOWN, "what the executor saw stays what it saw"


async def test_nothing_is_sent_again_after_it_was_settled(scene: Scene) -> None:
    proposal = await unknown(scene)
    await settle(scene.db, scene.clock, proposal.id, ANN, False, "it is not there")
    scene.world.write("mode", "well")
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.UNKNOWN
    assert scene.world.effects == []


async def test_the_first_word_stands(scene: Scene) -> None:
    proposal = await unknown(scene)
    await settle(scene.db, scene.clock, proposal.id, ANN, True, "I saw it")
    with pytest.raises(Outdated, match="is done; only what is unknown"):
        await settle(scene.db, scene.clock, proposal.id, BOB, False, "I did not")


async def test_only_what_is_unknown_can_be_settled(scene: Scene) -> None:
    proposal = await scene.propose()
    with pytest.raises(Outdated, match="is open; only what is unknown"):
        await settle(scene.db, scene.clock, proposal.id, ANN, True, "I did it")
    async with scene.db.read() as tx:
        found = await proposal_store.find(tx, proposal.id)
    assert found is not None
    assert found.state is ProposalState.OPEN


async def test_it_takes_a_person_and_a_reason(scene: Scene) -> None:
    proposal = await unknown(scene)
    for nobody in (Person("os:stranger"), Person("openai", "ann", ("oncall",))):
        with pytest.raises(NotEntitled, match="nobody in the catalog"):
            await settle(scene.db, scene.clock, proposal.id, nobody, True, "trust me")
    with pytest.raises(UnusableInput, match="--reason"):
        await settle(scene.db, scene.clock, proposal.id, ANN, True, "  ")


async def test_the_undo_of_what_a_person_says_was_done_is_asked_for_anew(scene: Scene) -> None:
    proposal = await unknown(scene)
    scene.world.set(replicas=6)
    await settle(scene.db, scene.clock, proposal.id, ANN, True, "six replicas run")
    async with scene.db.read() as tx:
        row = await executions.get(tx, proposal.id)
    assert row is not None
    prepared = await scene.executor.preparation.undo_of(proposal, row)
    assert not prepared.proposal.covered
    assert prepared.proposal.state is ProposalState.OPEN
