"""Audit of the tables that the gate decides by: what is changed, added or dropped there is found, although the chain is whole."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Text as SqlText
from sqlalchemy import delete, insert, select, type_coerce, update

from agent.domain.catalog import Person
from agent.domain.evidence import ReadOutcome, Recorded
from agent.gate import audit, kill_switch
from agent.gate.approval import settle
from agent.store import evidence
from agent.store.database import Database
from agent.store.schema import decisions, executions, proposals, switches
from agent.store.schema import evidence as bodies
from agent.store.schema import incidents as incident_rows
from tests.gate.world import ANN, NOON, Scene


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    """One action that ran, one that waits, one read."""
    scene = await Scene(database, tmp_path / "world").open()
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    await scene.propose(step="2", arguments={"replicas": 4})
    read = Recorded("query_metrics", {"promql": "up"}, "runbook", NOON, ReadOutcome.OK, "it is 1", '{"value": 1}')
    async with database.write() as tx:
        await evidence.record(tx, "inc", scene.run, read, NOON, "e1")
    assert await audit.verify(database) == []
    return scene


async def raw(scene: Scene, statement: Any) -> None:
    async with scene.db.write() as tx:
        await tx.execute(statement)


async def told(scene: Scene) -> str:
    (one,) = await audit.verify(scene.db)
    return str(one)


async def test_what_was_settled_stopped_and_refused_verifies_too(scene: Scene) -> None:
    scene.world.write("mode", "swallowed")
    unknown = await scene.approve(await scene.propose(step="3", arguments={"replicas": 9}))
    await scene.executor.execute(unknown.id, scene.run)
    await settle(scene.db, scene.clock, unknown.id, ANN, False, "it is not there")
    await kill_switch.press(scene.db, scene.clock, ANN, True, "drill")
    refused = await scene.approve(await scene.propose(step="4", arguments={"replicas": 7}))
    await scene.executor.execute(refused.id, scene.run)
    assert await audit.verify(scene.db) == []


async def test_an_approval_that_somebody_wrote_into_the_table_is_found(scene: Scene) -> None:
    async with scene.db.read() as tx:
        digest = (await tx.execute(select(proposals.c.digest).where(proposals.c.id == "inc-p2"))).scalar_one()
    forged = {"proposal": "inc-p2", "digest": digest, "principal": "os:bob", "person": "bob", "answer": "approve"}
    await raw(scene, insert(decisions).values(**forged, reason="", at=NOON))
    assert await told(scene) == "inc, event 0: bob's approve of inc-p2 stands among the decisions, and on no timeline"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (update(decisions).values(answer="deny"), "event 3: ann's approve of inc-p1 is missing from the decisions"),
        (update(decisions).values(person="bob"), "event 3: ann's approve of inc-p1 is missing from the decisions"),
        (delete(decisions), "event 3: ann's approve of inc-p1 is missing from the decisions"),
        (
            update(executions).values(outcome="NOT_DONE"),
            "event 5: the table of executions says NOT_DONE of inc-p1, the timeline does not",
        ),
        (
            update(executions).values(key="another"),
            "event 4: the table of executions does not hold the intent of inc-p1",
        ),
        (
            update(executions).values(intent_at=None),
            "event 4: the table of executions does not hold the intent of inc-p1",
        ),
        (delete(executions), "event 4: the table of executions does not hold the intent of inc-p1"),
        (update(bodies).values(body=zlib.compress(b'{"value": 2}')), "event 8: the body of E1 was changed"),
        (update(bodies).values(body=b"junk"), "event 8: the body of E1 was changed"),
        (delete(bodies), "event 8: the body of E1 is missing"),
        (
            update(proposals).where(proposals.c.id == "inc-p2").values(digest="0" * 64),
            "event 6: proposal inc-p2 in the table is not what was sealed",
        ),
        (
            update(proposals).where(proposals.c.id == "inc-p2").values(sealed={"id": "inc-p2"}),
            "event 6: proposal inc-p2 in the table is not what was sealed",
        ),
        (
            update(proposals).where(proposals.c.id == "inc-p2").values(sealed=type_coerce("{", SqlText)),
            "cannot be read any more",
        ),
        (
            delete(proposals).where(proposals.c.id == "inc-p2"),
            "event 6: proposal inc-p2 is missing from the table of proposals",
        ),
    ],
)
async def test_a_row_that_does_not_say_what_the_chain_says_is_named(scene: Scene, statement: Any, words: str) -> None:
    await raw(scene, statement)
    assert words in await told(scene)


async def test_the_record_of_the_kill_switch_is_chained_and_anchored(scene: Scene) -> None:
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    await kill_switch.press(scene.db, scene.clock, Person("os:bob", "bob"), False, "all clear")
    from agent.store.schema import events

    await raw(scene, delete(events).where(events.c.incident == kill_switch.RECORD, events.c.n == 2))
    assert await told(scene) == "gate, event 2: it is missing; events up to 2 had been written"


async def test_the_state_of_an_incident_and_the_kill_switch_are_held_against_their_timelines(scene: Scene) -> None:
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    await raw(scene, update(incident_rows).where(incident_rows.c.id == "inc").values(state="closed"))
    assert "its row says that it is closed, its timeline says new" in await told(scene)
    await raw(scene, update(incident_rows).where(incident_rows.c.id == "inc").values(state="new"))
    for column, value in (("is_on", False), ("actor", "os:eve"), ("reason", "because"), ("at", NOON.replace(hour=1))):
        await raw(scene, update(switches).values({column: value}))
        assert "kill switch" in await told(scene)
        before = {"is_on": True, "actor": "os:ann", "reason": "smells", "at": NOON}
        await raw(scene, update(switches).values(before))
    assert await audit.verify(scene.db) == []
