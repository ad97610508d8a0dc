"""The kill switch: who pressed it, when and why; asked inside the claim and again before the intent."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.catalog import Person
from agent.domain.incident import State
from agent.errors import NotEntitled, UnusableInput
from agent.gate import kill_switch
from agent.gate.executor import Outcome
from agent.store import executions, incidents, timeline
from agent.store.database import Database
from tests.gate.world import ANN, BOB, NOON, Scene


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    return await Scene(database, tmp_path / "world").open()


async def test_nothing_starts_while_it_is_on_and_things_start_again_after(scene: Scene) -> None:
    first = await scene.approve(await scene.propose())
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    refused = await scene.executor.execute(first.id, scene.run)
    assert (refused.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "os:ann stopped everything: smells" in refused.why
    await kill_switch.press(scene.db, scene.clock, BOB, False, "it was the drains")
    second = await scene.approve(await scene.propose(step="2"))
    assert (await scene.executor.execute(second.id, scene.run)).outcome is Outcome.DONE


async def test_pressed_between_claim_and_intent_it_still_holds(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    async with scene.db.write() as tx:
        await scene.executor._claim(tx, proposal.id, scene.run)
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    async with scene.db.read() as tx:
        row = await executions.get(tx, proposal.id)
    assert row is not None
    assert (row.intent_at, scene.world.effects) == (None, [])


async def test_who_when_and_why_stand_on_record(scene: Scene) -> None:
    assert await kill_switch.stopped(scene.db) is None
    pressed = await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    assert pressed == await kill_switch.stopped(scene.db) == kill_switch.Stopped("os:ann", NOON, "smells")
    await kill_switch.press(scene.db, scene.clock, BOB, False, "all clear")
    async with scene.db.read() as tx:
        record = await timeline.events(tx, kill_switch.RECORD)
        kept = await incidents.get(tx, kill_switch.RECORD)
        assert await incidents.open_ids(tx, 99) == ["inc"], "the record is nothing to work on"
    assert [(e.actor, e.data["stop"], e.data["reason"]) for e in record] == [
        ("os:ann", True, "smells"),
        ("os:bob", False, "all clear"),
    ]
    assert kept is not None
    assert kept.state is State.CLOSED


async def test_only_people_of_the_catalog_press_it(scene: Scene) -> None:
    for on in (True, False):
        with pytest.raises(NotEntitled, match="nobody in the catalog"):
            await kill_switch.press(scene.db, scene.clock, Person("os:stranger"), on, "because")
    assert await kill_switch.stopped(scene.db) is None


async def test_pressing_it_twice_says_who_was_first(scene: Scene) -> None:
    with pytest.raises(UnusableInput, match="Nothing is stopped"):
        await kill_switch.press(scene.db, scene.clock, ANN, False, "")
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    with pytest.raises(UnusableInput, match=r"os:ann stopped everything at .*: smells"):
        await kill_switch.press(scene.db, scene.clock, BOB, True, "me too")
