"""What is told of timelines comes in order and once, whether it is at hand or read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agent.app import Feed
from agent.domain.notes import PlainNote
from agent.domain.timeline import Event
from agent.store import incidents, timeline
from agent.store.database import Database
from agent.store.timeline import Entry
from tests.store.test_contract import incident

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


async def appended(db: Database, *names: str) -> list[Event]:
    async with db.write() as tx:
        await incidents.held(tx, set(names))
        return await timeline.append_all(tx, [Entry(name, PlainNote(text=name), "stanch", NOW) for name in names])


async def test_events_are_told_once_and_in_order_though_others_are_at_hand_first(tmp_path: Path) -> None:
    db, heard = await Database.open("", tmp_path), list[tuple[str, int]]()
    async with db.write() as tx:
        await incidents.add_all(tx, [incident("a"), incident("b")])
    feed = Feed(db, [lambda event: heard.append((event.incident, event.n))], {})
    first = await appended(db, "a", "a", "b")
    await feed.publish("a", "b", told=first)
    await appended(db, "a")  # nobody was told of it yet
    later = await appended(db, "a", "b")
    await feed.publish("a", "b", told=later)
    await feed.publish("a", "b", told=later)
    await feed.publish("a")
    assert heard == [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("a", 4), ("b", 2)]
    async with db.read() as tx:
        assert [*await timeline.events(tx, "a"), *await timeline.events(tx, "b")] == sorted(
            [*first, *later, (await timeline.events(tx, "a"))[2]], key=lambda event: (event.incident, event.n)
        ), "what is at hand is what is kept"
    await db.close()
