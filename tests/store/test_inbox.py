"""How often the same was delivered is counted, whatever else is written in the same transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from agent.domain.redact import Redactor
from agent.store import inbox
from agent.store.database import Database
from agent.store.schema import CHUNK, deliveries

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


async def test_deliveries_of_the_same_are_counted(database: Database) -> None:
    many = {f"{n:064x}": 1 + n % 3 for n in range(CHUNK * 3)}
    async with database.write() as tx:
        await inbox.keep(tx, (), many, {}, AT)
    async with database.write() as tx:
        assert await inbox.known(tx, {*many, "unknown"}) == set(many)
        await inbox.keep(
            tx,
            [inbox.Posted("r1", "alertmanager", AT, inbox.packed((), (), Redactor(())))],
            {"f" * 64},
            many,
            AT + timedelta(1),
        )
    async with database.read() as tx:
        rows = {row.key: row for row in await tx.execute(select(deliveries))}
        assert [one.receipt for one in await inbox.fresh(tx, 10)] == ["r1"]
    assert {key: rows[key].times for key in many} == {key: 1 + more for key, more in many.items()}
    assert {rows[key].last_at for key in many} == {AT + timedelta(1)}
    assert (rows["f" * 64].times, rows["f" * 64].first_at) == (1, AT + timedelta(1))


async def test_what_is_old_is_forgotten_but_not_what_waits(database: Database) -> None:
    def posted(receipt: str, at: datetime, state: str = inbox.NEW) -> inbox.Posted:
        return inbox.Posted(receipt, "alertmanager", at, inbox.packed((), (), Redactor(())), state)

    day = timedelta(days=1)
    async with database.write() as tx:
        await inbox.keep(
            tx, [posted("old", AT), posted("waits", AT), posted("odd", AT, inbox.QUARANTINED)], {"a"}, {}, AT
        )
        (old, _) = await inbox.fresh(tx, 10)
        await inbox.done(tx, [old.id])
        await inbox.keep(tx, [posted("young", AT + day)], {"b"}, {}, AT + day)
    async with database.write() as tx:
        await inbox.prune(tx, AT + day)
    async with database.read() as tx:
        assert [one.receipt for one in await inbox.fresh(tx, 10)] == ["waits", "young"]
        assert await inbox.quarantined(tx, 10) == []
        assert await inbox.known(tx, {"a", "b"}) == {"b"}
