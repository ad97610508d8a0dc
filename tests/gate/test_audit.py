"""Audit: whatever is changed, dropped, swapped or cut off is found, and where."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Text as SqlText
from sqlalchemy import cast, delete, select, type_coerce, update

from agent.domain.events import OutcomeKnown
from agent.domain.notes import PlainNote
from agent.gate import audit
from agent.store import anchors, timeline
from agent.store.audit_key import AuditKeyPlace
from agent.store.database import Database
from agent.store.schema import events as table
from tests.gate.world import NOON, Scene

COLUMNS = ("run", "kind", "actor", "data", "prev", "hash")


@pytest.fixture
async def scene(database: Database, tmp_path: Path) -> Scene:
    scene = await Scene(database, tmp_path / "world").open()
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    return scene


async def raw(scene: Scene, statement: Any) -> None:
    async with scene.db.write() as tx:
        await tx.execute(statement)


async def found(scene: Scene) -> list[tuple[str, int]]:
    return [(one.incident, one.n) for one in await audit.verify(scene.db)]


async def test_what_was_written_verifies(scene: Scene) -> None:
    assert await audit.verify(scene.db) == []


async def test_every_changed_character_is_found_where_it_is(scene: Scene) -> None:
    dice = random.Random(7)
    async with scene.db.read() as tx:
        rows = [
            dict(r)
            for r in (
                await tx.execute(
                    select(
                        table.c.n, *(type_coerce(table.c[c], SqlText) if c == "data" else table.c[c] for c in COLUMNS)
                    )
                )
            ).mappings()
        ]
    for row in rows:
        for column in COLUMNS:
            old = row[column]
            if isinstance(old, int):
                new: Any = old + 1
            else:
                place = dice.randrange(len(old))
                new = old[:place] + chr(ord(old[place]) ^ 1) + old[place + 1 :]
            target = type_coerce(new, SqlText) if column == "data" else new
            where = table.c.n == row["n"]
            await raw(scene, update(table).where(where).values({column: target}))
            assert await found(scene) == [("inc", row["n"])], f"{column} of {row['n']}: {old!r} → {new!r}"
            back = type_coerce(old, SqlText) if column == "data" else old
            await raw(scene, update(table).where(where).values({column: back}))
    assert await found(scene) == []


async def test_a_moved_time_is_found_to_the_microsecond(scene: Scene) -> None:
    from datetime import timedelta

    for by in (timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(hours=1)):
        await raw(scene, update(table).where(table.c.n == 3).values(at=NOON + by))
        assert await found(scene) == [("inc", 3)]


@pytest.mark.parametrize("n", [1, 2, 4])
async def test_a_dropped_event_is_named(scene: Scene, n: int) -> None:
    await raw(scene, delete(table).where(table.c.n == n))
    assert await found(scene) == [("inc", n)]


async def test_two_swapped_events_are_named(scene: Scene) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        await raw(scene, update(table).where(table.c.n == old).values(n=new))
    assert await found(scene) == [("inc", 2)]


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
async def test_a_cut_off_tail_shows_by_the_anchor(scene: Scene, kept: int) -> None:
    await raw(scene, delete(table).where(table.c.n > kept))
    assert await found(scene) == [("inc", kept + 1)]


async def test_a_tail_written_anew_shows_even_to_who_has_the_key(scene: Scene) -> None:
    await raw(scene, delete(table).where(table.c.n == 5))
    async with scene.db.write() as tx:
        last = await timeline.head(tx, "inc")
        entry = timeline.Entry("inc", OutcomeKnown(proposal="inc-p1", outcome="NOT_DONE"), "stanch", NOON)
        await timeline._add(tx, last, scene.run, entry)
        tx.heads.clear()
    (one,) = await audit.verify(scene.db)
    assert (one.n, one.what) == (5, "it is not the event that was anchored")


async def test_a_row_that_cannot_be_read_any_more_is_a_finding_and_no_crash(scene: Scene) -> None:
    await raw(scene, update(table).where(table.c.n == 2).values(data=type_coerce("{", SqlText)))
    (one,) = await audit.verify(scene.db)
    assert "cannot be read" in str(one)


def _cut_line(text: bytes) -> bytes:
    return text[:-5]


async def reopened(scene: Scene) -> Database:
    """Another process: it knows only what stands in the files."""
    return Database(scene.db._engine, scene.db.folder, *AuditKeyPlace().open(scene.db.folder))


async def test_a_line_of_the_anchors_that_a_crash_cut_is_passed_over_and_the_next_one_says_so(scene: Scene) -> None:
    path = scene.db.folder / anchors.FILE
    path.write_bytes(_cut_line(path.read_bytes()))
    assert await audit.verify(await reopened(scene)) == []
    scene.db = await reopened(scene)
    async with scene.db.write() as tx:
        await timeline.append(tx, "inc", PlainNote(text="it goes on"), "stanch", NOON)
    assert b'"cut":' in path.read_bytes().splitlines()[-1]
    assert await audit.verify(await reopened(scene)) == []


@pytest.mark.parametrize("left", [0, 30], ids=["nothing of it is left", "half of it is left"])
async def test_a_line_of_the_anchors_that_vouches_for_a_cut_one_may_be_cut_itself(scene: Scene, left: int) -> None:
    """The power failed, came back, and failed again before the next line was on disk."""
    path = scene.db.folder / anchors.FILE
    path.write_bytes(_cut_line(path.read_bytes()) + b"\n" + path.read_bytes().splitlines()[-1][:left])
    for _ in range(2):
        scene.db = await reopened(scene)
        async with scene.db.write() as tx:
            await timeline.append(tx, "inc", PlainNote(text="it goes on"), "stanch", NOON)
        assert await audit.verify(await reopened(scene)) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"\xff{not json\n", "cannot be read"),
        (b'{"hash":"%s","incident":"inc","n":9}\n' % (b"a" * 64), "is not keyed"),
        (b'{"hash":"%s","incident":"inc","n":9,"mac":"%s"}\n' % (b"a" * 64, b"b" * 64), "is forged"),
    ],
)
async def test_a_line_of_the_anchors_that_is_not_ours_is_a_break_that_says_so(
    scene: Scene, line: bytes, what: str
) -> None:
    path = scene.db.folder / anchors.FILE
    path.write_bytes(path.read_bytes() + line)
    (one,) = await audit.verify(scene.db)
    assert (one.incident, what in one.what) == ("anchors", True), str(one)
    assert "stanch audit settle" in one.mend


async def test_two_hashes_for_one_number_are_a_break(scene: Scene) -> None:
    scene.db.anchors.append([anchors.Line("inc", anchors.Head(3, "c" * 64))])
    (one,) = await audit.verify(scene.db)
    assert (one.n, one.what) == (3, "two different events were anchored under this number")


async def test_the_time_is_read_the_same_from_both_databases(scene: Scene) -> None:
    async with scene.db.read() as tx:
        spelled = (await tx.execute(select(cast(table.c.at, SqlText)).where(table.c.n == 1))).scalar_one()
    assert str(spelled).startswith("2026-11-24 12:00:00")
