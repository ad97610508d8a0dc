"""The gate's memory: what is behind its anchors starts nothing until a person has settled it, and no number recurs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, update

from agent.domain.catalog import Person
from agent.domain.incident import State
from agent.domain.notes import PlainNote
from agent.domain.timeline import EventKind
from agent.errors import NotEntitled, Unsettled, UnusableInput
from agent.gate import audit, kill_switch, proposal_store, restore, startup_audit
from agent.gate.approval import decide, settle
from agent.gate.executor import Outcome
from agent.gate.proposal import Proposal, ProposalState
from agent.store import anchors, executions, incidents, timeline
from agent.store.anchors import Line, Start
from agent.store.schema import decisions, events
from agent.store.schema import executions as execution_rows
from agent.store.schema import proposals as proposal_rows
from tests.gate.world import ANN, BOB, NOON, Scene
from tests.proofs.attacks import backup, meddled, opened, restored

WHY = "the backup of noon was put back"


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return await opened(tmp_path)


async def state_of(scene: Scene, proposal: str) -> ProposalState:
    async with scene.db.read() as tx:
        found = await proposal_store.find(tx, proposal)
    assert found is not None
    return found.state


async def put_back(scene: Scene) -> tuple[Scene, Proposal]:
    """A backup of between approval and execution."""
    proposal = await scene.approve(await scene.propose())
    backup(scene)
    await scene.executor.execute(proposal.id, scene.run)
    return await restored(scene), proposal


# -- behind -----------------------------------------------------------------------------------------------------------


async def test_what_is_behind_its_anchor_is_named_when_it_is_opened_and_nothing_is_added_to_it(scene: Scene) -> None:
    scene, proposal = await put_back(scene)
    assert "inc has lost events 4 to 5" in scene.db.unsettled["inc"]
    for work in (
        scene.propose("restart", step="2"),
        decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "approve"),
        scene.executor.execute(proposal.id, scene.run),
        proposal_store.withdraw(scene.db, scene.clock, proposal.id, ProposalState.VOIDED, "it cleared"),
    ):
        with pytest.raises(Unsettled, match="stanch audit settle"):
            await work
    async with scene.db.read() as tx:
        assert (await timeline.head(tx, "inc")).n == 3
        assert await executions.get(tx, proposal.id) is None, "not even a claim"


async def test_an_incident_that_is_missing_altogether_is_named_and_its_name_is_not_taken_again(scene: Scene) -> None:
    await scene.propose()
    async with scene.db.write() as tx:
        for table in (events, proposal_rows):
            await tx.execute(delete(table).where(table.c.incident == "inc"))
    assert "inc is missing, with its events up to 2" in (await startup_audit.look(scene.db))["inc"]
    with pytest.raises(Unsettled):
        await scene.propose()


async def test_a_database_ahead_of_its_anchor_is_verified_and_anchored(scene: Scene) -> None:
    """The power failed between the commit and the line."""
    proposal = await scene.approve(await scene.propose())
    path = scene.db.folder / anchors.FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    scene = await meddled(scene)
    assert scene.db.unsettled == {}
    assert max(scene.db.anchors.read()["inc"]) == 3
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


async def test_what_follows_the_last_anchor_and_is_not_ours_starts_nothing(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    path = scene.db.folder / anchors.FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    scene = await meddled(scene, "UPDATE events SET actor = 'os:bob' WHERE incident = 'inc' AND n = 3")
    with pytest.raises(Unsettled, match="broken at event 3"):
        await scene.executor.execute(proposal.id, scene.run)
    assert scene.world.effects == []


async def test_everything_can_be_stopped_though_nobody_can_tell_how_the_switch_stands(scene: Scene) -> None:
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    await kill_switch.press(scene.db, scene.clock, ANN, False, "fine")
    scene = await meddled(scene, "DELETE FROM events WHERE incident = 'gate' AND n = 3")
    with pytest.raises(Unsettled):
        await kill_switch.press(scene.db, scene.clock, ANN, False, "go on")
    assert await kill_switch.press(scene.db, scene.clock, ANN, True, "smells again") is not None


# -- intents ----------------------------------------------------------------------------------------------------------


async def test_an_anchored_intent_never_starts_again_whatever_the_tables_say(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    async with scene.db.read() as tx:
        head = await timeline.head(tx, "inc")
    start = Start(proposal.id, str(proposal.target), scene.clock.now())
    scene.db.anchors.append([Line("inc", head, start)])
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, scene.world.effects) == (Outcome.NOT_DONE, [])
    assert "as it was before" in ended.why, "it was looked for, and not sent"


# -- settling ---------------------------------------------------------------------------------------------------------


async def test_a_restore_that_a_person_accepts_goes_on_behind_everything_that_was_anchored(scene: Scene) -> None:
    scene, proposal = await put_back(scene)
    (told,) = await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert told.gap is not None
    assert (told.incident, told.gap.since, told.gap.until, told.unknown) == ("inc", 4, 5, (proposal.id,))
    assert await audit.verify(scene.db) == []
    async with scene.db.read() as tx:
        numbers = [event.n for event in await timeline.events(tx, "inc")]
    assert numbers[:4] == [1, 2, 3, 6], "no number comes twice"
    assert scene.db.unsettled == {}


async def test_what_may_have_run_is_unknown_and_a_person_is_asked_before_anything_goes_on(scene: Scene) -> None:
    scene, proposal = await put_back(scene)
    await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert await state_of(scene, proposal.id) is ProposalState.UNKNOWN
    again = await scene.executor.execute(proposal.id, scene.run)
    assert (again.outcome, scene.world.effects) == (Outcome.UNKNOWN, [proposal.key])
    async with scene.db.read() as tx:
        known = await incidents.get(tx, "inc")
        told = await timeline.events(tx, "inc")
    assert known is not None
    assert known.state is State.NEEDS_INPUT
    assert restore.asks_after_restore(told)
    asked = next(event for event in told if event.kind is EventKind.QUESTION)
    assert f"stanch approvals settle {proposal.id}" in str(asked.data["text"])
    await settle(scene.db, scene.clock, proposal.id, BOB, True, "six replicas run")
    assert await state_of(scene, proposal.id) is ProposalState.DONE
    assert await audit.verify(scene.db) == []


async def test_what_was_approved_and_not_started_is_asked_about_as_well(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    backup(scene)
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no")
    scene = await restored(scene)
    await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert await state_of(scene, proposal.id) is ProposalState.UNKNOWN
    await scene.executor.execute(proposal.id, scene.run)
    assert (scene.world.effects, await audit.verify(scene.db)) == ([], [])


async def test_what_waited_for_its_approval_is_withdrawn_to_be_asked_anew(scene: Scene) -> None:
    proposal = await scene.propose()
    backup(scene)
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no")
    scene = await restored(scene)
    await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert await state_of(scene, proposal.id) is ProposalState.VOIDED
    assert await audit.verify(scene.db) == []


async def test_a_proposal_of_which_only_the_anchors_know_is_told_of_and_its_name_is_not_taken_again(
    scene: Scene,
) -> None:
    backup(scene)
    lost = await scene.approve(await scene.propose())
    await scene.executor.execute(lost.id, scene.run)
    scene = await restored(scene)
    (told,) = await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert [start.proposal for start in told.gone] == [lost.id]
    fresh = await scene.approve(await scene.propose("restart", step="after"))
    assert fresh.n == lost.n + 1
    assert (await scene.executor.execute(fresh.id, scene.run)).outcome is Outcome.DONE, "what is asked anew may start"
    assert await audit.verify(scene.db) == []


async def test_a_stop_that_a_restore_has_lost_is_pressed_again_by_settling(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    backup(scene)
    await kill_switch.press(scene.db, scene.clock, ANN, True, "smells")
    scene = await restored(scene)
    with pytest.raises(Unsettled):
        await scene.executor.execute(proposal.id, scene.run)
    await restore.accept(scene.db, scene.clock, BOB, WHY)
    assert "a restore was accepted" in str(await kill_switch.stopped(scene.db))
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.NOT_DONE
    assert (scene.world.effects, await audit.verify(scene.db)) == ([], [])


async def test_settling_is_a_persons_word_with_a_reason_and_only_where_there_is_something_to_settle(
    scene: Scene,
) -> None:
    with pytest.raises(UnusableInput, match="Nothing is to be settled"):
        await restore.accept(scene.db, scene.clock, ANN, WHY)
    scene, _ = await put_back(scene)
    with pytest.raises(NotEntitled, match="nobody in the catalog"):
        await restore.accept(scene.db, scene.clock, Person("os:stranger"), WHY)
    with pytest.raises(UnusableInput, match="--reason"):
        await restore.accept(scene.db, scene.clock, ANN, " ")


async def test_what_was_changed_cannot_be_settled(scene: Scene) -> None:
    await scene.approve(await scene.propose())
    scene = await meddled(
        scene,
        "UPDATE events SET data = '{}' WHERE incident = 'inc' AND n = 2",
        "DELETE FROM events WHERE n = 3 AND incident = 'inc'",
    )
    with pytest.raises(UnusableInput, match="changed at event 2"):
        await restore.accept(scene.db, scene.clock, ANN, WHY)


async def test_a_crash_between_settling_and_its_anchor_leaves_it_settled(scene: Scene) -> None:
    scene, _ = await put_back(scene)
    path = scene.db.folder / anchors.FILE
    before = path.read_bytes()
    await restore.accept(scene.db, scene.clock, ANN, WHY)
    path.write_bytes(before)
    scene = await meddled(scene)
    assert (scene.db.unsettled, await audit.verify(scene.db)) == ({}, [])


async def test_a_second_restore_can_be_settled_too(scene: Scene) -> None:
    scene, _ = await put_back(scene)
    await restore.accept(scene.db, scene.clock, ANN, WHY)
    backup(scene)
    await scene.propose("restart", step="3")
    scene = await restored(scene)
    (told,) = await restore.accept(scene.db, scene.clock, ANN, "and again")
    assert told.gap is not None
    assert await audit.verify(scene.db) == []


async def test_a_gap_that_nobody_stated_with_the_key_is_a_break(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    forged = '{"gap":{"after":2,"since":3,"until":3},"text":"accepted"}'
    scene = await meddled(
        scene,
        "DELETE FROM events WHERE incident = 'inc' AND n = 3",
        "INSERT INTO events SELECT incident, 4, run, at, 'note', actor, '" + forged + "', hash, hash, NULL FROM events "
        "WHERE incident = 'inc' AND n = 2",
    )
    assert next((one.incident, one.n) for one in await audit.verify(scene.db)) == ("inc", 4)
    with pytest.raises(Unsettled):
        await scene.executor.execute(proposal.id, scene.run)


async def test_anchors_that_were_deleted_are_missed_and_settling_doubts_everything_that_might_start(
    scene: Scene,
) -> None:
    proposal = await scene.approve(await scene.propose())
    (scene.db.folder / anchors.FILE).unlink()
    scene = await meddled(scene)
    assert "is gone" in scene.db.unsettled[kill_switch.RECORD]
    (told,) = await restore.accept(scene.db, scene.clock, ANN, "somebody tidied up")
    assert (told.gap, told.unknown) == (None, (proposal.id,))
    assert await kill_switch.stopped(scene.db) is not None
    assert await audit.verify(scene.db) == []


async def test_lines_that_are_not_ours_are_passed_over_once_somebody_has_accepted_them(scene: Scene) -> None:
    path = scene.db.folder / anchors.FILE
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    assert "cannot be read" in (await startup_audit.look(scene.db))[kill_switch.RECORD]
    await restore.accept(scene.db, scene.clock, ANN, "a disk error")
    assert (await audit.verify(scene.db), await startup_audit.look(scene.db)) == ([], {})
    path.write_bytes(path.read_bytes() + b"more rubbish\n")
    assert kill_switch.RECORD in await startup_audit.look(scene.db), "that much and no more was accepted"


# -- columns ----------------------------------------------------------------------------------------------------------


async def test_a_row_that_was_cleared_of_its_outcome_tells_what_the_timeline_tells(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    async with scene.db.write() as tx:
        await tx.execute(update(execution_rows).values(outcome=None, intent_at=None, receipt=None))
        await tx.execute(update(proposal_rows).values(state="approved"))
    ended = await scene.executor.execute(proposal.id, scene.run)
    assert (ended.outcome, ended.values, len(scene.world.effects)) == (
        Outcome.DONE,
        {"id": f"thing-{proposal.key[-4:]}"},
        1,
    )


async def test_an_outcome_that_no_timeline_tells_of_is_not_told(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    async with scene.db.write() as tx:
        await executions.add(
            tx,
            executions.Execution(
                proposal.id,
                "inc",
                scene.run,
                proposal.action,
                str(proposal.target),
                proposal.key,
                NOON,
                NOON,
                NOON,
                Outcome.DONE,
            ),
        )
    with pytest.raises(Unsettled, match="says DONE of inc-p1, and its timeline does not"):
        await scene.executor.execute(proposal.id, scene.run)


async def test_when_and_why_somebody_answered_is_what_their_event_says(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    for column, value in (("reason", "because"), ("principal", "os:eve"), ("at", NOON.replace(hour=9))):
        async with scene.db.write() as tx:
            before = (await tx.execute(decisions.select())).mappings().one()[column]
            await tx.execute(update(decisions).values({column: value}))
        (told,) = await audit.verify(scene.db)
        assert "among the decisions" in told.what
        async with scene.db.write() as tx:
            await tx.execute(update(decisions).values({column: before}))
    assert await audit.verify(scene.db) == []
    assert (await scene.executor.execute(proposal.id, scene.run)).outcome is Outcome.DONE


async def test_an_old_line_that_is_written_once_more_takes_nothing_back(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no!")
    path = scene.db.folder / anchors.FILE
    older = next(line for line in path.read_bytes().splitlines(keepends=True) if b'"n":3' in line)
    path.write_bytes(path.read_bytes() + older)
    scene = await meddled(
        scene,
        "DELETE FROM events WHERE incident = 'inc' AND n = 4",
        "DELETE FROM decisions WHERE answer = 'deny'",
        "UPDATE proposals SET state = 'approved'",
    )
    with pytest.raises(Unsettled, match="has lost events 4"):
        await scene.executor.execute(proposal.id, scene.run)


async def test_two_copies_that_both_worked_start_nothing_more(scene: Scene) -> None:
    proposal = await scene.approve(await scene.propose())
    scene.db.anchors.append([Line("inc", anchors.Head(3, "d" * 64))])
    with pytest.raises(Unsettled, match="two copies"):
        await scene.executor.execute(proposal.id, scene.run)
    (told,) = await restore.accept(scene.db, scene.clock, ANN, "a copy of the folder ran as well")
    assert told.unknown == (proposal.id,)
    assert (scene.world.effects, await audit.verify(scene.db)) == ([], [])


async def test_an_event_that_was_written_anew_under_its_number_starts_nothing(scene: Scene) -> None:
    """By somebody who has the key, or by a copy of the folder that is gone."""
    proposal = await scene.propose()
    async with scene.db.write() as tx:
        await tx.execute(delete(events).where(events.c.incident == "inc", events.c.n == 2))
        last = await timeline.head(tx, "inc")
        await timeline._add(tx, last, scene.run, timeline.Entry("inc", PlainNote(text="another"), "stanch", NOON))
        tx.heads.clear()
    with pytest.raises(Unsettled, match="not the one that was anchored"):
        await decide(scene.db, scene.clock, proposal.id, proposal.digest, ANN, "approve")


async def test_what_was_open_in_the_backup_and_has_run_since_is_unknown(scene: Scene) -> None:
    proposal = await scene.propose()
    backup(scene)
    await scene.approve(proposal)
    await scene.executor.execute(proposal.id, scene.run)
    scene = await restored(scene)
    (told,) = await restore.accept(scene.db, scene.clock, ANN, WHY)
    assert told.unknown == (proposal.id,)
    assert await state_of(scene, proposal.id) is ProposalState.UNKNOWN
    assert await audit.verify(scene.db) == []


async def test_what_was_accepted_counts_for_the_lines_as_they_stood(scene: Scene) -> None:
    """The line that accepts is written once more, behind other rubbish."""
    path = scene.db.folder / anchors.FILE
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    await restore.accept(scene.db, scene.clock, ANN, "a disk error")
    accepts = next(line for line in path.read_bytes().splitlines(keepends=True) if b'"accepts"' in line)
    path.write_bytes(path.read_bytes() + b"more rubbish\n" + accepts)
    assert kill_switch.RECORD in await startup_audit.look(scene.db)
