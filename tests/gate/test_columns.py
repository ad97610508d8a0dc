"""Every column that a statement of the claim reads, turned to something else that it might say: nothing wrong starts, and the
audit tells. The columns are found by listening to the statements, so that a new one cannot be forgotten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, Update, event
from sqlalchemy.schema import Column
from sqlalchemy.sql import visitors

from agent.errors import StanchError
from agent.gate import audit, kill_switch
from agent.gate.approval import decide
from agent.gate.executor import Outcome
from agent.gate.policy import parse
from agent.gate.proposal import Proposal
from agent.store import executions
from agent.store.database import SQLITE_FILE
from tests.gate.world import ANN, ASK, BOB, Scene
from tests.proofs.attacks import BUDGET, opened, opened_again

EARLIER, NOW, LATER = "'2026-11-24 09:00:00.000000'", "'2026-11-24 12:16:00.000000'", "'2026-11-24 15:00:00.000000'"
FLIPS: Mapping[str, tuple[str, ...]] = {  # what each might say instead; NULL where it may be empty
    "proposals.id": ("'inc-p9'",),
    "proposals.incident": ("'gate'",),
    "proposals.n": ("n + 6",),
    "proposals.digest": ("substr(digest, 2) || '0'",),
    "proposals.note": ("'quite fine'",),
    "proposals.state": ("'approved'", "'allowed'", "'claimed'", "'open'"),
    "proposals.execute_by": (LATER,),
    "proposals.sealed": (
        "replace(sealed, '\"replicas\":6', '\"replicas\":9')",
        "replace(sealed, '\"quorum\":1', '\"quorum\":0')",
    ),
    "decisions.id": ("id + 40",),
    "decisions.proposal": ("'inc-p9'",),
    "decisions.digest": ("substr(digest, 2) || '0'",),
    "decisions.principal": ("'os:eve'",),
    "decisions.person": ("'bob'", "'cem'"),
    "decisions.answer": ("'approve'", "'edit'"),
    "decisions.reason": ("'because'",),
    "decisions.at": (NOW, EARLIER),
    "executions.proposal": ("'inc-p9'",),
    "executions.incident": ("'gate'",),
    "executions.run": ("run + 7",),
    "executions.action": ("'destroy'",),
    "executions.target": ("'elsewhere'",),
    "executions.key": ("key || 'x'",),
    "executions.claimed_at": (EARLIER,),
    "executions.intent_at": ("NULL", LATER),
    "executions.answered_at": ("NULL",),
    "executions.outcome": ("NULL", "'DONE'", "'NOT_DONE'"),
    "executions.why": ("'quite fine'",),
    "executions.receipt": ("NULL", '\'{"text":"accepted","values":{"id":"another"}}\''),
    "executions.ended_at": ("NULL",),
    "events.incident": ("'other'",),
    "events.n": ("n + 40",),
    "events.run": ("run + 7",),
    "events.at": (NOW,),
    "events.kind": ("'note'",),
    "events.actor": ("'os:eve'",),
    "events.data": ("'{}'", "replace(data, '\"stop\":true', '\"stop\":false')"),
    "events.prev": ("hash",),
    "events.hash": ("prev",),
    "events.key": ("NULL", "'verdict:inc-p1'"),
    "incidents.id": ("id || 'x'",),
    "incidents.run": ("run - 1",),
    "switches.name": ("'other'",),
    "switches.is_on": ("NOT is_on",),
    "switches.actor": ("'os:eve'",),
    "switches.reason": ("'because'",),
    "switches.at": (EARLIER,),
}
HARMLESS = {  # what the audit need not tell of, and why
    "decisions.id": "the order in which rows are listed; what counts comes from the events, in theirs",
    "proposals.note": "words for people; the timeline tells the same ones",
    "executions.run": "which run claimed it; no statement of the gate decides by it",
    "executions.answered_at": "when the target answered; nothing is decided by it",
    "executions.ended_at": "when it ended; the timeline's event tells it",
}
OF_A_SWITCH_THAT_IS_OFF = ("switches.actor", "switches.reason", "switches.at")  # who resumed stands on the record


@dataclass
class Set:
    """A scene with a proposal that is to be started; `most` is how many effects there may be in the end."""

    scene: Scene
    proposal: Proposal
    most: int


async def approved(folder: Path) -> Set:
    scene = await opened(folder)
    return Set(scene, await scene.approve(await scene.propose()), 1)


async def denied(folder: Path) -> Set:
    found = await approved(folder)
    await decide(found.scene.db, found.scene.clock, found.proposal.id, found.proposal.digest, BOB, "deny", "no")
    return Set(found.scene, found.proposal, 0)


async def late(folder: Path) -> Set:
    found = await approved(folder)
    found.scene.clock.advance(timedelta(minutes=16))
    return Set(found.scene, found.proposal, 0)


async def stopped(folder: Path) -> Set:
    found = await approved(folder)
    await kill_switch.press(found.scene.db, found.scene.clock, ANN, True, "halt")
    return Set(found.scene, found.proposal, 0)


async def two_short(folder: Path) -> Set:
    """Two people have to approve, and one has."""
    scene = await opened(folder, ASK.replace("verdict: ask", "verdict: ask, quorum: 2"))
    return Set(scene, await scene.approve(await scene.propose()), 0)


async def spent(folder: Path) -> Set:
    scene = await opened(folder, BUDGET)
    first = await scene.approve(await scene.propose("restart"))
    await scene.executor.execute(first.id, scene.run)
    return Set(scene, await scene.approve(await scene.propose(step="2")), 1)


async def executed(folder: Path) -> Set:
    found = await approved(folder)
    await found.scene.executor.execute(found.proposal.id, found.scene.run)
    found.scene.world.set(replicas=2)  # somebody took it back: it looks as if nothing had been done
    return found


async def undone(folder: Path) -> Set:
    """The undo that an approval covered, of an action whose own approval is told of."""
    scene = await opened(folder)
    scene.policy = parse(ASK.replace("verdict: ask", "verdict: ask, cover_undo: true"))
    first = await scene.approve(await scene.propose("create"))
    ran = await scene.executor.execute(first.id, scene.run)
    undo = await scene.executor.preparation.submit(
        await scene.executor.preparation.undo_of(first, ran), scene.run, "undo"
    )
    assert (ran.outcome, undo.covered) == (Outcome.DONE, True)
    return Set(scene, undo, 2)


SETS = (approved, denied, late, stopped, two_short, spent, executed, undone)


def listened(scene: Scene, read: set[str]) -> None:
    """Note every column of ours that a statement gives or asks by."""

    def before(_connection: Any, element: Any, *_: Any) -> None:
        if isinstance(element, Select | Update):
            named = [*element.selected_columns] if isinstance(element, Select) else []
            parts = [element] if isinstance(element, Select) else [*element._where_criteria]
            named += [one for part in parts for one in visitors.iterate(part) if isinstance(one, Column)]
            read.update(f"{one.table.name}.{one.name}" for one in named if isinstance(one, Column))

    event.listen(scene.db._engine, "before_execute", before)


async def test_every_column_that_a_claim_reads_is_among_those_that_are_turned(tmp_path: Path) -> None:
    read: set[str] = set()
    for number, make in enumerate(SETS):
        found = await make(tmp_path / str(number))
        listened(found.scene, read)
        await found.scene.executor.execute(found.proposal.id, found.scene.run)
        await found.scene.db.close()
    assert read >= {"switches.is_on", "decisions.at", "executions.claimed_at", "proposals.state", "events.hash"}
    assert read <= set(FLIPS), f"a claim reads what no test turns: {sorted(read - set(FLIPS))}"


@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
async def test_no_column_that_says_another_thing_starts_what_may_not_start(
    make: Callable[[Path], Awaitable[Set]], tmp_path: Path
) -> None:
    found = await make(tmp_path / "as it was")
    before = found.scene.world.effects
    await found.scene.db.close()
    wrong, harmless = [], {*HARMLESS, *(() if make is stopped else OF_A_SWITCH_THAT_IS_OFF)}
    for column, values in FLIPS.items():
        for value in values:
            place = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            shutil.copytree(tmp_path / "as it was", place)
            if turned(place / "data", column, value):
                came = await goes_on(found, place, before)
                wrong += [f"{column} = {value}: {one}" for one in came if not (one == UNTOLD and column in harmless)]
    assert wrong == []


UNTOLD = "the audit does not tell"


def turned(folder: Path, column: str, value: str) -> bool:
    """Whether a row says another thing than before."""
    table, name = column.split(".")
    with closing(sqlite3.connect(folder / SQLITE_FILE)) as raw:
        before = raw.execute(f"SELECT * FROM {table}").fetchall()
        raw.execute(f"UPDATE OR IGNORE {table} SET {name} = {value} WHERE {name} IS NOT ({value})")
        raw.commit()
        return before != raw.execute(f"SELECT * FROM {table}").fetchall()


async def goes_on(found: Set, place: Path, before: list[str]) -> list[str]:
    """What is wrong after the folder was opened again, audited and worked on."""
    scene = await opened_again(found.scene, place / "data", place / "world")
    told = await audit.verify(scene.db)
    ended = None
    for _ in range(2):
        with suppress(StanchError):
            ended = ended or await scene.executor.execute(found.proposal.id, scene.run)
    effects, fields = scene.world.effects, scene.world.fields()
    happened = found.proposal.key in effects
    await scene.db.close()
    wrong = [] if told else [UNTOLD]
    if len(effects) > found.most or effects[: len(before)] != before:
        wrong.append(f"it has effects {effects}")
    if happened and fields.get("replicas") not in (2, 6):
        wrong.append(f"another thing was done than was approved: {fields}")
    if ended is not None and (ended.outcome is Outcome.DONE) > happened:
        wrong.append("it is told as done, and was not")
    if ended is not None and (ended.outcome is Outcome.NOT_DONE) and happened:
        wrong.append("it is told as not done, and was")
    return wrong


async def test_the_row_of_an_execution_is_never_the_only_witness_of_it(tmp_path: Path) -> None:
    found = await executed(tmp_path)
    async with found.scene.db.read() as tx:
        assert await executions.count_since(tx, found.scene.clock.now() - timedelta(hours=1), "elsewhere") == (1, 0)
        assert list(tx.anchors.starts_since(found.scene.clock.now() - timedelta(hours=1))) == [found.proposal.id]
