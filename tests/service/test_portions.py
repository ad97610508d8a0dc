"""A long notification holds neither the writer nor the loop: it is kept, and taken in, by portions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Table, func, select

from agent.api import App
from agent.app import open_app
from agent.clock import MovedClock
from agent.domain.alert import Alert, AlertStatus
from agent.domain.incident import State
from agent.domain.timeline import EventKind
from agent.domain.urgency import Depth
from agent.gate.audit import verify
from agent.gate.kill_switch import RECORD
from agent.service.correlate import name_of
from agent.service.inbox import ALERTS, Inbox
from agent.settings import read
from agent.sources.alertmanager import delivering
from agent.sources.portions import PORTION, by_portions
from agent.store import alerts, incidents, timeline, urgency, wakes
from agent.store import inbox as rows
from agent.store.database import Database, Transaction
from agent.store.schema import alerts as alert_rows
from agent.store.schema import deliveries
from agent.store.schema import inbox as inbox_rows

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def alert(n: int, status: AlertStatus = AlertStatus.FIRING, **labels: str) -> Alert:
    labels = {"alertname": f"A{n}", "severity": "info", **labels}
    ends = NOW if status is AlertStatus.RESOLVED else None
    return Alert("alertmanager", f"{n:016x}", status, labels, {}, NOW - timedelta(seconds=n % 7), ends)


def resolved(n: int) -> Alert:
    return alert(n, AlertStatus.RESOLVED)


class Counted(Database):
    """Notes how many rows of a table each write transaction added."""

    counting: Table = deliveries

    @asynccontextmanager
    async def write(self, lasting: bool = True) -> AsyncIterator[Transaction]:
        async with super().write(lasting) as tx:
            before = await self._count(tx)
            yield tx
            self.added = [*getattr(self, "added", []), await self._count(tx) - before]

    async def _count(self, tx: Transaction) -> int:
        return int((await tx.execute(select(func.count()).select_from(self.counting))).scalar() or 0)


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[App]:
    settings = read({"data": str(folder), "reasoner": "runbook"}, cwd=folder)
    async with open_app(settings, MovedClock(NOW)) as app:
        yield app


async def taken(app: App) -> int:
    async with app.api.run_context.db.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(alert_rows))).scalar() or 0)


async def test_a_long_notification_is_kept_in_short_rows_and_short_transactions(tmp_path: Path) -> None:
    await (await Database.open("", tmp_path)).close()  # its tables are there
    db = await Counted.open("", tmp_path)
    assert isinstance(db, Counted)
    db.added = []
    receipt = await Inbox(db, MovedClock(NOW)).accept("alertmanager", [alert(n) for n in range(1_030)])
    assert (receipt.alerts, receipt.duplicate) == (1_030, False)
    assert sum(db.added) == 1_030
    assert max(db.added) <= ALERTS == 200
    async with db.read() as tx:
        kept = await rows.fresh(tx, 1_000)
    await db.close()
    assert max(len(one.alerts) for one in kept) <= PORTION
    assert kept[0].receipt == receipt.receipt
    assert {one.receipt.split(".")[0] for one in kept} == {receipt.receipt}
    begun = [one.starts_at for entry in kept for one in entry.alerts]
    assert begun == sorted(begun), "what began first is taken in first, whatever portion it is in"


async def test_a_short_one_does_not_wait_behind_the_whole_of_a_long_one(tmp_path: Path) -> None:
    db = await Database.open("", tmp_path)
    box = Inbox(db, MovedClock(NOW))
    long = asyncio.create_task(box.accept("alertmanager", [alert(n) for n in range(2_000)]))
    while not await box.waiting():  # noqa: ASYNC110
        await asyncio.sleep(0)
    await box.accept("alertmanager", [alert(9_999)])
    async with db.read() as tx:
        ahead = int((await tx.execute(select(func.count()).select_from(deliveries))).scalar() or 0)
    assert not long.done()
    await long
    await db.close()
    assert ahead <= 4 * ALERTS


async def test_what_was_cut_off_while_it_was_kept_is_sent_again_and_kept_once(tmp_path: Path) -> None:
    db = await Database.open("", tmp_path)
    box, sent = Inbox(db, MovedClock(NOW)), [alert(n) for n in range(1_000)]
    first = asyncio.create_task(box.accept("alertmanager", sent))
    while not await box.waiting():  # noqa: ASYNC110
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await box.close()
    assert 0 < await box.waiting() < 1_000 / PORTION
    again = await box.accept("alertmanager", sent)
    assert not again.duplicate
    async with db.read() as tx:
        kept = [one.fingerprint for entry in await rows.fresh(tx, 1_000) for one in entry.alerts]
    await db.close()
    assert sorted(kept) == sorted(one.fingerprint for one in sent)


async def test_bodies_that_are_read_at_the_same_time_take_turns(tmp_path: Path) -> None:
    told = [{"labels": {"alertname": f"F{n}"}, "startsAt": "2026-11-24T03:00:00Z"} for n in range(1_000)]
    body, turn, ticks = json.dumps({"alerts": told, "groupKey": " " * 70_000}).encode(), asyncio.Lock(), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    read_ = await asyncio.gather(*(by_portions(delivering(body, NOW), turn) for _ in range(3)))
    ticking.cancel()
    assert [len(one.alerts) for one in read_] == [1_000] * 3
    assert ticks >= 3 * 2 * (1_000 // PORTION - 1), "others have the loop after each portion of each of them"


async def test_each_transaction_takes_in_one_portion_and_a_decision_gets_in_between(tmp_path: Path) -> None:
    async with service(tmp_path) as app:
        await app.inbox.accept("alertmanager", [alert(n) for n in range(500)])
        began, seen = asyncio.Event(), 0

        async def decide() -> None:
            nonlocal seen
            await began.wait()
            async with app.api.run_context.db.write():
                seen = await taken(app)

        deciding, counts = asyncio.create_task(decide()), [0]
        began.set()
        while await app.watch.take_in():
            counts.append(await taken(app))
        await deciding
        assert [after - before for before, after in pairwise(counts)] == [PORTION] * 10
        assert seen <= 2 * PORTION


async def test_what_is_taken_in_by_portions_verifies_and_stands_on_timelines_once(tmp_path: Path) -> None:
    async with service(tmp_path) as app:
        apart, together = [alert(n) for n in range(120)], [alert(n, service="web") for n in range(1_000, 1_130)]
        await app.inbox.accept("alertmanager", [*apart, *together])
        while await app.watch.take_in():
            pass
        db = app.api.run_context.db
        assert await verify(db) == []
        async with db.read() as tx:
            names = [one.id for one in await incidents.listing(tx, 1_000) if one.id != RECORD]
            told = [e for name in names for e in await timeline.events(tx, name) if e.kind is EventKind.ALERT]
            web = [one for one in await incidents.listing(tx, 1_000) if len(one.alerts) > 1]
            assert [len(await alerts.of(tx, one.id)) for one in web] == [130]
            assert await wakes.due(tx, NOW) == [], "nobody investigates them: there is nothing to do until one clears"
    assert len(names) == 121
    assert sorted(str(e.data["fingerprint"]) for e in told) == sorted(one.fingerprint for one in [*apart, *together])


async def test_alerts_that_nobody_investigates_end_their_incidents_together(tmp_path: Path) -> None:
    async with service(tmp_path) as app:
        for sent in ([alert(n) for n in range(130)], [resolved(n) for n in range(120)]):
            await app.inbox.accept("alertmanager", sent)
            while await app.watch.take_in():
                pass
            while await app.watch.start_due():
                pass
        async with app.api.run_context.db.read() as tx:
            ended = [one for one in await incidents.listing(tx, 1_000, {State.CLOSED}) if one.id != RECORD]
            ends = [(await timeline.events(tx, one.id))[-1] for one in ended]
            assert await wakes.due(tx, NOW) == []
        assert len(ended) == 120
        assert {(str(e.kind), e.data["from"], e.data["to"], e.run) for e in ends} == {("state", "new", "closed", 1)}
        assert {one.ended_at for one in ended} == {NOW}
        assert len(await app.api.incidents(1_000)) == 130
        assert await verify(app.api.run_context.db) == []


async def test_an_incident_that_is_investigated_by_now_is_not_taken_for_a_shallow_one(tmp_path: Path) -> None:
    async with service(tmp_path) as app:
        await app.inbox.accept("alertmanager", [alert(1)])
        await app.watch.take_in()
        (one,) = await app.api.incidents()
        async with app.api.run_context.db.write() as tx:
            await urgency.put(tx, replace((await urgency.among(tx, [one.id]))[one.id], depth=Depth.INVESTIGATE))
            await wakes.add(tx, one.id, "alert", NOW)
        await app.watch.end_cleared([one.id])
        async with app.api.run_context.db.read() as tx:
            assert [wake.reason for wake in await wakes.due(tx, NOW)] == ["alert"]


async def test_two_alerts_whose_incidents_would_have_one_id_get_an_incident_each(tmp_path: Path) -> None:
    seen: dict[str, Alert] = {}
    pair: list[Alert] = []
    for n in range(1_000_000):
        one = replace(alert(0), fingerprint=f"f{n}", labels={"alertname": f"A{n}", "severity": "info"})
        if (other := seen.setdefault(name_of(one), one)) is not one:
            pair = [other, one]
            break
    for at_once_ in (True, False):
        async with service(tmp_path / str(at_once_)) as app:
            for sent in [pair] if at_once_ else [[one] for one in pair]:
                await app.inbox.accept("alertmanager", sent)
                await app.watch.take_in()
            assert sorted(one.alerts for one in await app.api.incidents()) == sorted((p.fingerprint,) for p in pair)


async def test_what_others_opened_and_ended_since_the_last_look_is_known(tmp_path: Path) -> None:
    async with service(tmp_path) as app, service(tmp_path) as other:
        await app.inbox.accept("alertmanager", [alert(1, service="web")])
        await app.watch.take_in()  # it has looked at everything, and does not do so again within two seconds
        await other.api.receive([alert(2, service="shop")])
        (web,) = [one for one in await app.api.incidents() if one.labels["service"] == "web"]
        async with other.api.run_context.db.write() as tx:
            await other.api.run_context.close_new(tx, [web.id], "by hand")
        await app.inbox.accept("alertmanager", [alert(3, service="web"), alert(4, service="shop")])
        await app.watch.take_in()
        found = {one.labels["service"]: one for one in await app.api.incidents() if one.state is State.NEW}
        assert found["web"].id != web.id, "what has ended is not joined"
        assert len(found["shop"].alerts) == 2, "what another process opened is"
        assert len(await app.api.incidents()) == 3


async def test_rows_of_the_inbox_are_read_no_further_than_one_portion(tmp_path: Path) -> None:
    db = await Database.open("", tmp_path)
    box = Inbox(db, MovedClock(NOW))
    await box.accept("alertmanager", [alert(n) for n in range(200)])
    async with db.write() as tx:
        second = select(inbox_rows.c.id).order_by(inbox_rows.c.id).limit(1).offset(1).scalar_subquery()
        await tx.execute(inbox_rows.update().where(inbox_rows.c.id == second).values(body=b"unreadable"))
    async with db.read() as tx:
        assert [len(one.alerts) for one in await rows.fresh(tx, 50, PORTION)] == [PORTION]
    await db.close()
