"""The inbox: what is answered is on disk, what comes together is written together, and one that cannot be kept fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.clock import MovedClock
from agent.domain.alert import Alert, AlertStatus
from agent.errors import Overloaded
from agent.service.inbox import Inbox
from agent.store import inbox as rows
from agent.store.database import Database
from agent.store.inbox import Entry
from tools.context import Change

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CHANGE = Change(NOW, "deployment", "web v2", "web", source="ci", detail={"event": "e-1"})


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open("", tmp_path)
    yield database
    await database.close()


def alert(n: int, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    return Alert("alertmanager", f"{n:016x}", status, {"alertname": f"A{n}"}, {}, NOW)


async def fresh(db: Database) -> list[Entry]:
    async with db.read() as tx:
        return await rows.fresh(tx, 1_000)


async def test_what_is_kept_is_read_back_as_it_was(db: Database) -> None:
    full = replace(
        alert(1, AlertStatus.RESOLVED), ends_at=NOW, annotations={"summary": "é\x00\ud800"}, extra={"k": [1, None]}
    )
    receipt = await Inbox(db, MovedClock(NOW)).accept("alertmanager", [full], [CHANGE])
    (entry,) = await fresh(db)
    assert (entry.receipt, entry.source, entry.received_at) == (receipt.receipt, "alertmanager", NOW)
    assert (entry.alerts, entry.changes) == ((full,), (CHANGE,))


async def test_what_arrives_together_is_written_together(db: Database) -> None:
    box, news = Inbox(db, MovedClock(NOW)), []
    box.on_news = lambda: news.append(1)
    receipts = await asyncio.gather(*(box.accept("alertmanager", [alert(n)]) for n in range(1_200)))
    assert len({one.receipt for one in receipts}) == 1_200
    assert len(news) <= 7  # 200 alerts a commit, and one for the first
    async with db.read() as tx:
        assert await rows.waiting(tx) == await box.waiting() == 1_200


async def test_the_same_signal_within_one_commit_is_kept_once(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    receipts = await asyncio.gather(*(box.accept("alertmanager", [alert(1), alert(1)]) for _ in range(5)))
    assert [one.duplicate for one in receipts] == [False, True, True, True, True]
    assert [len(entry.alerts) for entry in await fresh(db)] == [1]
    assert box.absorbed == 9


async def test_firing_and_resolved_are_two_signals_and_a_new_start_a_third(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    later = replace(alert(1), starts_at=NOW.replace(hour=4))
    for one in (alert(1), alert(1, AlertStatus.RESOLVED), later):
        assert not (await box.accept("alertmanager", [one])).duplicate
        assert (await box.accept("grafana", [one])).duplicate


async def test_a_change_is_known_by_the_id_its_event_has_at_its_source(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    again, other = replace(CHANGE, at=NOW.replace(hour=4)), replace(CHANGE, source="cd")
    bare = replace(CHANGE, detail={})
    seen = [(await box.accept("events", [], [one])).duplicate for one in (CHANGE, again, other, bare, bare)]
    assert seen == [False, True, False, False, True]


async def test_the_same_odd_body_is_kept_once(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    seen = [
        (await box.quarantine(*one, "odd")).duplicate for one in (("a", b"1"), ("a", b"1"), ("b", b"1"), ("a", b"2"))
    ]
    assert seen == [False, True, False, False]
    async with db.read() as tx:
        kept = await rows.quarantined(tx, 10)
    assert [(source, why) for _, source, _, why in kept] == [("a", "odd"), ("b", "odd"), ("a", "odd")]
    assert await fresh(db) == []


async def test_one_too_many_is_overloaded_and_the_others_are_kept(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW), capacity=10)
    told = await asyncio.gather(*(box.accept("a", [alert(n)]) for n in range(11)), return_exceptions=True)
    assert isinstance(told[-1], Overloaded)
    assert "Send it again" in str(told[-1])
    assert len(await fresh(db)) == 10
    assert not (await box.accept("a", [alert(99)])).duplicate


async def test_one_that_cannot_be_written_fails_alone(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    unwritable = replace(alert(2), extra={"k": object()})
    told = await asyncio.gather(
        *(box.accept("a", [one]) for one in (alert(1), unwritable, alert(3))), return_exceptions=True
    )
    assert isinstance(told[1], TypeError)
    assert [entry.alerts[0].name for entry in await fresh(db)] == ["A1", "A3"]
    assert (await box.accept("a", [alert(2)])).duplicate is False  # nothing of it was counted as delivered


async def test_who_goes_away_while_it_is_written_holds_up_nobody(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    gone, stays = (asyncio.create_task(box.accept("a", [alert(n)])) for n in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert not (await stays).duplicate
    assert len(await fresh(db)) == 2


async def test_closing_writes_what_waits(db: Database) -> None:
    box = Inbox(db, MovedClock(NOW))
    waits = [asyncio.create_task(box.accept("a", [alert(n)])) for n in range(20)]
    await asyncio.sleep(0)
    await box.close()
    assert len(await fresh(db)) == 20
    await asyncio.gather(*waits)
