"""The kill switch: people stop every action of this installation, and let them start again. The executor asks inside its claim
and once more before its intent; who pressed it, when and why stands in a timeline of its own, chained like any other.

Its row is the lock that puts claims in a line, and may say stop; that nothing is stopped the timeline alone can say. Each of
the timeline's events tells how the switch stands behind it, so that the last one, which is anchored, is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from agent.clock import iso
from agent.domain.catalog import Person
from agent.domain.incident import Incident, Kind, State
from agent.domain.notes import KillSwitchRecorded
from agent.domain.timeline import Event
from agent.errors import NotEntitled, Unsettled, UnusableInput
from agent.store import incidents, switches, timeline
from agent.store.database import Database, Transaction
from agent.store.switches import Switch
from tools.context import Clock

RECORD = "gate"  # the timeline of what concerns no single incident
FOUNDED = "anchors"  # the key of the event with which keyed anchors began here


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
    """None: actions may start, as far as people are concerned. Unsettled where nobody can tell."""
    async with db.read() as tx:
        return _standing(await switches.stop(tx), await _last(tx))


async def held(tx: Transaction) -> Stopped | None:
    """As `stopped`, and nobody else claims, presses or resumes until the transaction has ended."""
    switch = await switches.hold_stop(tx)
    return _standing(switch, await _last(tx))


async def difference(tx: Transaction) -> str | None:
    """Where the switch's row does not say what its timeline says."""
    switch, last = await switches.stop(tx), await _last(tx)
    if switch is None:
        return "the kill switch's row is gone"
    pressed = last is not None and says_stop(last)
    if switch.is_on != pressed:
        return f"the kill switch's row says {_word(switch.is_on)}, its timeline says {_word(pressed)}"
    if last is None or switch.at is None:
        return None
    told = last.actor, reason_of(last), last.at
    held = switch.actor, switch.reason, switch.at.replace(microsecond=switch.at.microsecond // 1000 * 1000)
    return None if not pressed or told == held else "who pressed the kill switch, when or why was changed in its row"


def _word(on: bool) -> str:
    return "stopped" if on else "not stopped"


async def _last(tx: Transaction) -> Event | None:
    """The last event of the record. Unsettled where the anchors are no witness any more."""
    if wrong := tx.anchors.wrong:
        raise Unsettled(f"{wrong[0]}: somebody has written to the anchors. Nothing starts until {_SETTLED}")
    last = await timeline.last(tx, RECORD)
    if last is not None and says_founded(last) and not tx.anchors.founded:
        raise Unsettled(
            f"{tx.anchors.paths[0]} is gone, or is another one than it was. Nothing starts until {_SETTLED}"
        )
    return last


_SETTLED = "somebody has looked (stanch audit verify) and accepted it: stanch audit settle --reason 'why'."


def _standing(switch: Switch | None, last: Event | None) -> Stopped | None:
    if switch is None:
        return Stopped("nobody", None, "the switch's row is gone from the database; put a backup back")
    if switch.is_on:
        return Stopped(switch.actor, switch.at, switch.reason)
    if last is not None and says_stop(last):
        return Stopped(last.actor, last.at, reason_of(last))
    return None


def says_stop(last: Event) -> bool:
    """Whether everything is stopped behind this event of the record: only one that says that it is not lets anything start."""
    return not (isinstance(last.payload, KillSwitchRecorded) and last.payload.stop is False)


def says_founded(last: Event) -> bool:
    """Whether keyed anchors had begun when this event of the record was written."""
    return isinstance(last.payload, KillSwitchRecorded) and last.payload.founded


def reason_of(last: Event) -> str:
    return (last.payload.reason or "") if isinstance(last.payload, KillSwitchRecorded) else ""


async def press(db: Database, clock: Clock, person: Person, on: bool, reason: str) -> Stopped | None:
    """Stop everything, or let it start again; it is kept, and anchored on disk, when this returns. Any person of the catalog
    may; NotEntitled for anybody else, and UnusableInput where it is so already. What has started goes on: it is looked
    after, not cut off. What is unsettled can be stopped, and not be started again."""
    if person.name is None:
        raise NotEntitled(
            f"{person.principal} is nobody in the catalog, so cannot {'stop' if on else 'resume'} anything. "
            "Add them under people in catalog.yaml."
        )
    now = clock.now()
    try:
        async with db.write() as tx:
            before = await held(tx)
            if (before is not None) == on:
                raise UnusableInput(f"{before}. `stanch resume` ends it." if on else "Nothing is stopped.")
            await switches.set_stop(tx, on, person.principal, reason, now)
            what = "stopped everything" if on else "let actions start again"
            text = f"{person.principal} {what}: {reason}"
            told = KillSwitchRecorded(text=text, stop=on, person=person.name, reason=reason)
            await record(tx, person.principal, told, now)
    except Unsettled:
        if not on:
            raise
        async with db.write() as tx:  # the row alone: whoever settles it tells the timeline
            await switches.set_stop(tx, True, person.principal, reason, now)
    return Stopped(person.principal, now, reason) if on else None


async def record(tx: Transaction, actor: str, told: KillSwitchRecorded, now: datetime, key: str | None = None) -> None:
    """One event of the record, which tells how the switch stands behind it. It is on disk when the transaction has ended."""
    last = await timeline.last(tx, RECORD)
    founded = key == FOUNDED or (last is not None and says_founded(last))
    await open_record(tx, now)
    await timeline.append(tx, RECORD, replace(told, founded=founded), actor, now, key)
    tx.sync = True


async def open_record(tx: Transaction, now: datetime) -> None:
    if await incidents.get(tx, RECORD) is None:
        await incidents.add(tx, Incident(RECORD, State.CLOSED, Kind.NONE, "the gate", now, opened_at=now, ended_at=now))
