"""The gate's memory when it is opened: keyed anchors begin once, and every timeline is held against what is anchored.

A folder of before there were keys is adopted: its chains are verified, the unkeyed lines are vouched for as they stand by one
keyed line with their hash, and whatever waited is withdrawn, to be asked anew. That happens once: it needs a database without
the record's founding event and anchors without a founding line; whoever can take both away has put the whole folder back.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from agent.domain.notes import KillSwitchRecorded
from agent.errors import Unsettled
from agent.gate import kill_switch, proposal_store
from agent.gate.proposal import WAITING, ProposalState
from agent.store import executions, switches, timeline, wakes
from agent.store.anchors import Head
from agent.store.database import Database, Transaction
from agent.store.executions import Outcome
from tools.context import Clock

log = logging.getLogger("stanch.memory")
ASKED_ANEW = "it waited under rules of before; it is asked anew"


async def open_memory(db: Database, clock: Clock) -> None:
    """Found or adopt where that has not been done, and note in `db.unsettled` what may not start."""
    db.anchors.even()
    async with db.read() as tx:
        founded = await timeline.by_key(tx, kill_switch.RECORD, kill_switch.FOUNDED) is not None
        older = (await timeline.head(tx, kill_switch.RECORD)).n < (_last(db, kill_switch.RECORD) or Head(0, "")).n
    if not founded and not older:
        await _found(db, clock.now())
    await look(db)


async def look(db: Database) -> dict[str, str]:
    """Of each incident that is not what is anchored, why; noted in `db.unsettled`. What a crash left ahead of its anchor is
    verified and anchored."""
    anchored = db.anchors.incidents()  # before the database: what is committed meanwhile is no loss
    lasts = {name: _last(db, name) for name in anchored}
    async with db.read() as tx:
        found = await timeline.last_heads(tx)
    doubtful = [name for name in sorted({*anchored, *found}) if lasts.get(name) != found.get(name)]
    unsettled: dict[str, str] = {}
    for name in doubtful:
        try:
            async with db.write() as tx:
                await timeline.tail(tx, name)
        except Unsettled as error:
            unsettled[name] = str(error)
    try:
        await kill_switch.stopped(db)
    except Unsettled as error:
        unsettled.setdefault(kill_switch.RECORD, str(error))
    for name, why in unsettled.items():
        if name not in db.unsettled:
            log.error(why, extra={"incident": name})
    db.unsettled.clear()
    db.unsettled.update(unsettled)
    return unsettled


def _last(db: Database, incident: str) -> Head | None:
    try:
        return db.anchors.last(incident)
    except Unsettled:
        return Head(-1, "")


async def _found(db: Database, now: datetime) -> None:
    """Keyed anchors begin: first in the files, then in the record. A crash in between does it again."""
    if not db.anchors.founded:
        db.anchors.accept("adopted")
    async with db.read() as tx:
        known = await timeline.last_heads(tx)
    for incident in known:
        try:
            async with db.write() as tx:
                tx.behind[incident] = await timeline.verified(tx, incident)
                await _ask_anew(tx, incident, now)
        except Unsettled as error:
            log.error(str(error), extra={"incident": incident})
    db.anchors.found()
    async with db.write() as tx:
        switch, last = await switches.stop(tx), await timeline.unchecked_last(tx, kill_switch.RECORD)
        before = last.payload if last is not None and isinstance(last.payload, KillSwitchRecorded) else None
        stopped = switch is None or switch.is_on or (before is not None and before.stop)
        reason = kill_switch.reason_of(last) if last is not None and stopped else None
        told = KillSwitchRecorded(text="keyed anchors begin here", stop=stopped, reason=reason)
        await kill_switch.record(tx, "stanch", told, now, kill_switch.FOUNDED)


async def _ask_anew(tx: Transaction, incident: str, now: datetime) -> None:
    """Nothing that was asked or approved under the rules of before starts; the incident goes on and may ask again."""
    for proposal in await proposal_store.of(tx, incident):
        row = await executions.get(tx, proposal.id)
        if row is not None and proposal.state is ProposalState.CLAIMED and row.intent_at is None:
            why = f"not started: {ASKED_ANEW}"
            await executions.end(tx, replace(row, outcome=Outcome.NOT_DONE, why=why, ended_at=now))
        elif proposal.state not in WAITING:
            continue
        await proposal_store.ask_anew(tx, proposal, ASKED_ANEW, now)
        await wakes.add(tx, incident, f"{proposal.id} is asked anew", now)
