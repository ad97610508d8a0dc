"""A data folder of the version before opens, and goes on with what waits in its inbox, in its order."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, make_url, select, text

from agent.app import open_app
from agent.clock import MovedClock
from agent.domain.alert import Alert, AlertStatus
from agent.domain.redact import Redactor
from agent.gate.audit import verify
from agent.service.inbox import Inbox
from agent.settings import read
from agent.sources.portions import PORTION
from agent.store import inbox, migrate
from agent.store.database import Database
from agent.store.schema import inbox as table
from tools.context import Change

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CHANGE = Change(NOW, "deployment", "web v2", "web", source="ci", detail={"event": "e-1"})


def alert(n: int, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    ends = NOW if status is AlertStatus.RESOLVED else None
    labels = {"alertname": f"A{n}", "severity": "info"}
    return Alert("alertmanager", f"f{n}", status, labels, {}, NOW - timedelta(milliseconds=n), ends)


def posted(receipt: str, *alerts: Alert, changes: tuple[Change, ...] = (), state: str = "new") -> dict[str, object]:
    body = inbox.packed(alerts, changes, Redactor())
    return {"receipt": receipt, "source": "alertmanager", "received_at": NOW, "state": state, "note": "", "body": body}


WAITS = (
    posted("before", alert(1)),
    posted("done", alert(2), state="done"),
    posted("long", *(alert(n) for n in range(1_000, 1_000 + 3 * PORTION - 1)), changes=(CHANGE,)),
    posted("after", alert(1_000, AlertStatus.RESOLVED), alert(3)),
    {**posted("odd", state="quarantined"), "body": zlib.compress(b"not ours")},
)


def made_by_the_version_before(address: str, folder: Path) -> None:
    folder.mkdir()
    url = make_url(address).set(drivername="postgresql+psycopg") if address else f"sqlite:///{folder / 'stanch.db'}"
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for row in WAITS:
            connection.execute(insert(table), row)
        delivered = text("INSERT INTO signals (key, first_at, last_at, times) VALUES (:key, :at, :at, 2)")
        connection.execute(delivered, {"key": inbox.delivery_key(alert(1)), "at": NOW.isoformat(" ")})
    engine.dispose()


async def test_what_waits_keeps_its_order_and_a_long_entry_becomes_short_ones(address: str, tmp_path: Path) -> None:
    made_by_the_version_before(address, tmp_path / "data")
    db = await Database.open(address, tmp_path / "data")
    async with db.write() as tx:
        await inbox.keep(tx, [inbox.Posted("new", "alertmanager", NOW, inbox.packed((), (), Redactor()))], {}, {}, NOW)
    async with db.read() as tx:
        waits = await inbox.fresh(tx, 1_000)
        odd = await inbox.quarantined(tx, 10)
        states = list((await tx.execute(select(table.c.state))).scalars())
    await db.close()
    assert [one.receipt for one in waits] == ["before", "long", "long.1", "long.2", "after", "new"]
    assert [len(one.alerts) for one in waits] == [1, PORTION, PORTION, PORTION - 1, 2, 0]
    assert [one.changes for one in waits if one.changes] == [(CHANGE,)]
    begun = [alert.starts_at for one in waits[1:4] for alert in one.alerts]
    assert begun == sorted(begun)
    assert waits[4].alerts == (alert(1_000, AlertStatus.RESOLVED), alert(3))
    assert [one[0] for one in odd] == ["odd"]
    assert states.count("done") == 1


async def test_what_was_delivered_to_the_version_before_is_known_again(address: str, tmp_path: Path) -> None:
    made_by_the_version_before(address, tmp_path / "data")
    db = await Database.open(address, tmp_path / "data")
    again = await Inbox(db, MovedClock(NOW)).accept("alertmanager", [alert(1)])
    fresh = await Inbox(db, MovedClock(NOW)).accept("alertmanager", [alert(2)])
    await db.close()
    assert (again.duplicate, fresh.duplicate) == (True, False)


async def test_the_service_goes_on_with_what_the_version_before_had_not_taken_in(tmp_path: Path) -> None:
    made_by_the_version_before("", tmp_path / "data")
    settings = read({"data": str(tmp_path / "data"), "reasoner": "runbook"}, cwd=tmp_path)
    async with open_app(settings, MovedClock(NOW)) as app:
        while await app.watch.take_in():
            pass
        while await app.watch.start_due():
            pass
        found = await app.api.incidents(1_000)
        assert len(found) == 2 + 3 * PORTION - 1
        assert [one.alerts for one in found if one.state.ended] == [("f1000",)], (
            "resolved after it began, as it was sent"
        )
        assert await verify(app.api.run_context.db) == []
