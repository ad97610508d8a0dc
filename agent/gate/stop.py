"""The kill switch: people stop every action of this installation, and let them start again. The ledger asks inside its claim
and once more before its intent; who pressed it, when and why stands in a timeline of its own, chained like any other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.case.catalog import Person
from agent.case.incident import Incident, Kind, State
from agent.case.timeline import EventKind
from agent.clock import iso
from agent.errors import NotEntitled, UnusableInput
from agent.store import incidents, switches, timeline
from agent.store.database import Database, Transaction
from tools.context import Clock

RECORD = "gate"  # the timeline of what concerns no single incident


@dataclass(frozen=True, slots=True)
class Stopped:
    """Who stopped everything, since when and why."""

    by: str
    at: datetime | None
    reason: str

    def __str__(self) -> str:
        since = f" at {iso(self.at)}" if self.at else ""
        return f"{self.by} stopped everything{since}: {self.reason or 'no reason given'}"


async def stopped(db: Database) -> Stopped | None:
    """None: actions may start, as far as people are concerned."""
    async with db.read() as tx:
        switch = await switches.stop(tx)
    return Stopped(switch.actor, switch.at, switch.reason) if switch.is_on else None


async def press(db: Database, clock: Clock, person: Person, on: bool, reason: str) -> Stopped | None:
    """Stop everything, or let it start again. Any person of the catalog may; NotEntitled for anybody else, and
    UnusableInput where it is so already. What has started goes on: it is looked after, not cut off."""
    if person.name is None:
        raise NotEntitled(
            f"{person.principal} is nobody in the catalog, so cannot {'stop' if on else 'resume'} anything. "
            "Add them under people in catalog.yaml."
        )
    now = clock.now()
    async with db.write() as tx:
        before = await switches.hold_stop(tx)
        if before.is_on == on:
            since = Stopped(before.actor, before.at, before.reason)
            raise UnusableInput(f"{since}. `stanch resume` ends it." if on else "Nothing is stopped.")
        await switches.set_stop(tx, on, person.principal, reason, now)
        await _record(tx, person, on, reason, now)
    return Stopped(person.principal, now, reason) if on else None


async def _record(tx: Transaction, person: Person, on: bool, reason: str, now: datetime) -> None:
    if await incidents.get(tx, RECORD) is None:
        await incidents.add(tx, Incident(RECORD, State.CLOSED, Kind.NONE, "the gate", now, opened_at=now, ended_at=now))
    what = "stopped everything" if on else "let actions start again"
    data = {"text": f"{person.principal} {what}: {reason}", "stop": on, "person": person.name, "reason": reason}
    await timeline.append(tx, RECORD, EventKind.NOTE, person.principal, data, now)
