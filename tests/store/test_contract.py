"""What the store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from agent.domain.alert import Alert, AlertStatus
from agent.domain.evidence import ReadOutcome, Recorded
from agent.domain.incident import Incident, Kind, State
from agent.domain.notes import PlainNote
from agent.domain.timeline import EventKind, broken_at
from agent.errors import BadConfiguration, Overtaken, UnusableInput
from agent.store import alerts, changes, evidence, incidents, migrate, switches, timeline, wakes
from agent.store.database import Database
from agent.store.lock import RunnerLock
from tools.context import Change
from tools.spec import Fact

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def incident(name: str = "inc-1", **other: object) -> Incident:
    one = Incident(name, State.NEW, Kind.UNKNOWN, "p99 high", NOON, "page", ("f1",), {"service": "web"}, opened_at=NOON)
    return replace(one, **other)  # type: ignore[arg-type]


def alert(**other: object) -> Alert:
    one = Alert("alertmanager", "f1", AlertStatus.FIRING, {"alertname": "A"}, {"summary": "s\x00"}, NOON)
    return replace(one, **other)  # type: ignore[arg-type]


async def test_an_incident_comes_back_as_it_was_saved(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())
        await incidents.save(tx, replace(incident(), state=State.INVESTIGATING, kind=Kind.INFRA, title='q"\x00', run=7))
    async with database.read() as tx:
        found = await incidents.get(tx, "inc-1")
        assert found == incident(state=State.INVESTIGATING, kind=Kind.INFRA, title='q"\ufffd', run=0)
        assert await incidents.get(tx, "inc") is None


async def test_incidents_are_found_by_prefix_and_listed_newest_first(database: Database) -> None:
    async with database.write() as tx:
        for n, name in enumerate(("a-1", "a-10", "b_1")):
            await incidents.add(tx, incident(name, opened_at=NOON + timedelta(minutes=n)))
        await incidents.save(tx, incident("b_1", state=State.INVESTIGATING, opened_at=NOON))
    async with database.read() as tx:
        assert [i.id for i in await incidents.find(tx, "a-1")] == ["a-1"], "an exact id is meant, not its longer twin"
        assert [i.id for i in await incidents.find(tx, "a")] == ["a-10", "a-1"]
        assert await incidents.find(tx, "_") == [], "a wildcard of LIKE is a plain character"
        assert [i.id for i in await incidents.listing(tx, limit=1)] == ["a-10"]
        assert [i.id for i in await incidents.listing(tx, states=[State.INVESTIGATING])] == ["b_1"]


async def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    berlin = datetime(2026, 11, 24, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    async with database.write() as tx:
        await incidents.add(tx, incident(since=berlin))
        await wakes.add(tx, "inc-1", "due", berlin)
    async with database.read() as tx:
        found = await incidents.get(tx, "inc-1")
        assert found is not None
        assert (found.since, found.since.tzinfo) == (berlin, UTC)
        assert await wakes.next_due(tx, "inc-1") == berlin
    with pytest.raises(Exception, match="no time zone"):
        async with database.write() as tx:
            await incidents.add(tx, incident("inc-2", since=datetime(2026, 1, 1)))


async def test_the_timeline_is_one_unbroken_chain_with_its_head_anchored(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())
        for n in range(3):
            await timeline.append(tx, "inc-1", PlainNote(text=f"\x00 {n}"), "stanch", NOON)
    async with database.write() as tx:
        await timeline.append(tx, "inc-1", PlainNote(unknown={"x": 1.5}), "os:ann", NOON + timedelta(microseconds=1999))
    async with database.read() as tx:
        events = await timeline.events(tx, "inc-1")
        assert [e.n for e in events] == [1, 2, 3, 4]
        assert broken_at(database.audit_key, events) is None
        assert await timeline.events(tx, "inc-1", after=3) == events[3:]
        assert (await timeline.head(tx, "inc-1")).hash == events[3].hash
    assert list(database.anchors.read()["inc-1"]) == [3, 4]


async def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())

    async def fail_half_way() -> None:
        async with database.write() as tx:
            await timeline.append(tx, "inc-1", PlainNote(), "stanch", NOON)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        await fail_half_way()
    async with database.read() as tx:
        assert await timeline.events(tx, "inc-1") == []
    assert database.anchors.read() == {}


async def test_an_event_with_a_known_key_is_appended_once(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())
        first = await timeline.append(tx, "inc-1", PlainNote(unknown={"a": 1}), "stanch", NOON, "k")
        again = await timeline.append(tx, "inc-1", PlainNote(unknown={"a": 2}), "stanch", NOON, "k")
    assert again == first


async def test_a_runner_that_was_overtaken_can_no_longer_append(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())
        old = await incidents.claim_run(tx, "inc-1")
        new = await incidents.claim_run(tx, "inc-1")
    assert (old, new) == (1, 2)
    async with database.write() as tx:
        assert (await timeline.append(tx, "inc-1", PlainNote(), "stanch", NOON, run=new)).run == 2
        assert (await timeline.append(tx, "inc-1", PlainNote(), "os:ann", NOON)).run == 2
    with pytest.raises(Overtaken):
        async with database.write() as tx:
            await timeline.append(tx, "inc-1", PlainNote(), "stanch", NOON, run=old)


async def test_an_unknown_incident_is_said_so(database: Database) -> None:
    with pytest.raises(UnusableInput, match="no incident nope"):
        async with database.write() as tx:
            await incidents.claim_run(tx, "nope")


async def test_sixty_writers_at_once_keep_the_chain_whole(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())

    async def one(n: int) -> None:
        async with database.write() as tx:
            await timeline.append(tx, "inc-1", PlainNote(unknown={"n": n}), "stanch", NOON)

    await asyncio.gather(*(one(n) for n in range(60)))
    async with database.read() as tx:
        events = await timeline.events(tx, "inc-1")
    assert sorted(e.data["n"] for e in events) == list(range(60))
    assert broken_at(database.audit_key, events) is None


async def test_evidence_is_numbered_kept_whole_and_recorded_once(database: Database) -> None:
    read = Recorded(
        "query_metrics",
        {"promql": "up"},
        "runbook",
        NOON,
        ReadOutcome.OK,
        "up is 1",
        "the body \ud800",
        (Fact("value.last", "up", 1.0, labels={"pod": "a"}),),
        "http://x",
        extra={"step": 2},
    )
    async with database.write() as tx:
        await incidents.add(tx, incident())
        run = await incidents.claim_run(tx, "inc-1")
        first = await evidence.record(tx, "inc-1", run, read, NOON, "c1")
        again = await evidence.record(tx, "inc-1", run, read, NOON, "c1")
        second = await evidence.record(tx, "inc-1", run, replace(read, body="z" * 3_000_000), NOON, "c2")
    assert (first.id, again, second.id) == ("E1", first, "E2")
    async with database.read() as tx:
        assert await evidence.body(tx, "inc-1", "E1") == "the body ?"
        long = await evidence.body(tx, "inc-1", "E2")
        assert long is not None
        assert len(long.encode()) <= 2_000_000
        assert long.endswith("are kept")
        assert [await evidence.body(tx, "inc-1", no) for no in ("E3", "", "E²", "E99999999999999999999")] == [None] * 4
        kinds = [(e.kind, e.data["id"], e.data.get("extra")) for e in await timeline.events(tx, "inc-1")]
    assert kinds == [(EventKind.EVIDENCE, "E1", {"step": 2}), (EventKind.EVIDENCE, "E2", {"step": 2})]


async def test_a_signal_leads_to_its_incident_and_cannot_be_kept_twice(database: Database) -> None:
    cleared = alert(status=AlertStatus.RESOLVED, ends_at=NOON + timedelta(minutes=5), extra={"x": [1]})
    async with database.write() as tx:
        await incidents.add(tx, incident())
        await alerts.add(tx, [("inc-1", alert()), ("inc-1", cleared)])
    async with database.read() as tx:
        assert await alerts.of(tx, "inc-1") == [alert(), cleared]
        kept = await alerts.kept(tx, {"f1", "nobody's"})
    assert [(k.incident, k.starts_at, k.key) for k in kept] == [("inc-1", NOON, one.key) for one in (alert(), cleared)]
    with pytest.raises(IntegrityError):
        async with database.write() as tx:
            await alerts.add(tx, [("inc-1", alert())])


async def test_wakes_are_due_in_order_and_cleared_as_far_as_they_were_seen(database: Database) -> None:
    later = NOON + timedelta(minutes=5)
    async with database.write() as tx:
        for name in ("inc-1", "inc-2"):
            await incidents.add(tx, incident(name))
        await wakes.add(tx, "inc-2", "expiry", later)
        await wakes.add(tx, "inc-1", "decision", NOON)
        await wakes.add(tx, "inc-1", "decision", NOON)
        await wakes.add(tx, "inc-1", "check", later)
    async with database.write() as tx:
        assert [(w.incident, w.reason) for w in await wakes.due(tx, NOON)] == [("inc-1", "decision")]
        assert await wakes.due_incidents(tx, NOON) == [("inc-1", incident("inc-1").severity, NOON, None)]
        assert await wakes.due_incidents(tx, NOON, ["inc-1"]) == []
        await wakes.clear(tx, "inc-1", later, seen=[w.id for w in await wakes.due(tx, NOON)])
        assert await wakes.next_due(tx, "inc-1") == later
        await wakes.clear(tx, "inc-1", later)
        assert await wakes.next_due(tx, "inc-1") is None
        assert await wakes.next_due(tx) == later


async def test_a_change_posted_twice_is_kept_once(database: Database) -> None:
    change = Change(NOON, "deployment", "web 1.2", "web", detail={"commit": "abc"})
    async with database.write() as tx:
        assert await changes.add(tx, change)
        assert not await changes.add(tx, change)
        assert await changes.between(tx, NOON, NOON) == [change]
        assert await changes.between(tx, NOON + timedelta(seconds=1), NOON + timedelta(days=1)) == []


async def test_the_kill_switch_is_off_until_somebody_stops_everything(database: Database) -> None:
    async with database.write() as tx:
        held = await switches.hold_stop(tx)
        assert held is not None
        assert not held.is_on
        await switches.set_stop(tx, True, "os:ann", "something smells", NOON)
    async with database.read() as tx:
        held = await switches.stop(tx)
        assert held is not None
        assert held.is_on


async def test_opening_again_keeps_everything_and_migrates_nothing(address: str, tmp_path: Path) -> None:
    first = await Database.open(address, tmp_path)
    async with first.write() as tx:
        await incidents.add(tx, incident())
    await first.close()
    second = await Database.open(address, tmp_path)
    async with second.read() as tx:
        assert await incidents.get(tx, "inc-1") == incident()
        assert (await tx.execute(text("SELECT version_num FROM alembic_version"))).scalar() == migrate.head()
    assert second.audit_key == first.audit_key
    await second.close()


async def test_the_migrations_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

    from agent.store.schema import metadata

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.read() as tx:
        assert await tx.run_sync(differences) == []


async def test_the_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    database = await Database.open("", tmp_path / "new" / "data")
    async with database.write() as tx:
        await incidents.add(tx, incident())
        await timeline.append(tx, "inc-1", PlainNote(), "stanch", NOON)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in database.folder.iterdir()}
    await database.close()
    assert stat.S_IMODE(database.folder.stat().st_mode) == 0o700
    assert {"stanch.db", "audit.key", "anchors.log"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_data_folder_that_existed_becomes_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    database = await Database.open("", folder)
    await database.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x/y", "sqlite or postgresql"),
        ("::", "not an address"),
        ("postgresql://127.0.0.1:1/x", "cannot be used"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named_with_what_to_do(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=words):
        await Database.open(url, tmp_path)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stanch.db").write_text("not a database, but a letter from home, and long enough to be read as one" * 9)
    with pytest.raises(BadConfiguration, match="cannot be used"):
        await Database.open("", tmp_path)


def test_one_runner_holds_the_lock_of_a_folder(tmp_path: Path) -> None:
    first, second = RunnerLock(tmp_path), RunnerLock(tmp_path)
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() is not None
    first.release()
    assert second.acquire()
    second.release()


async def test_what_need_not_last_may_add_nothing_to_a_timeline(database: Database) -> None:
    async with database.write() as tx:
        await incidents.add(tx, incident())
    with pytest.raises(AssertionError, match="has to last"):
        async with database.write(lasting=False) as tx:
            await timeline.append(tx, "inc-1", PlainNote(), "stanch", NOON)
    async with database.write(lasting=False) as tx:
        await wakes.add(tx, "inc-1", "due", NOON)
    async with database.read() as tx:
        assert await timeline.events(tx, "inc-1") == []
        assert await wakes.next_due(tx, "inc-1") == NOON
    assert database.anchors.read() == {}


async def test_only_what_need_not_last_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = await Database.open("", tmp_path)
    seen = []
    for lasting in (True, False, True):
        async with database.write(lasting) as tx:
            seen.append((await tx.execute(text("PRAGMA synchronous"))).scalar())
    await database.close()
    assert seen == [2, 1, 2]  # FULL, NORMAL, FULL
