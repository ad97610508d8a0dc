"""Incidents, as rows. An incident's row is also the lock under which its timeline, proposals and decisions change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, func, insert, or_, select, update

from agent.domain.incident import Incident, Kind, State
from agent.errors import Overtaken, UnusableInput
from agent.store.database import Transaction
from agent.store.schema import chunks, incidents, proposals

_GOING_ON = [str(state) for state in State if not state.ended]
_SAVE = (
    update(incidents)
    .where(incidents.c.id == bindparam("of"))
    .values(
        {
            name: bindparam(name)
            for name in ("state", "kind", "title", "since", "severity", "alerts", "labels", "opened_at", "ended_at")
        }
    )
)
_HOLD = select(incidents.c.run).where(incidents.c.id == bindparam("incident")).with_for_update()


async def add(tx: Transaction, incident: Incident) -> None:
    """A new incident; its id must be free."""
    await tx.execute(insert(incidents).values(id=incident.id, run=incident.run, **_columns(incident)))
    tx.held[incident.id] = incident.run  # nobody else can see it yet


async def add_all(tx: Transaction, fresh: Sequence[Incident]) -> None:
    """As `add`, in one statement."""
    if fresh:
        await tx.execute(insert(incidents), [{"id": one.id, "run": one.run, **_columns(one)} for one in fresh])
        tx.held.update({one.id: one.run for one in fresh})


async def held(tx: Transaction, names: Collection[str]) -> dict[str, Incident]:
    """Lock these incidents' rows until the transaction ends, in the order of their ids, and give what there are."""
    found: dict[str, Incident] = {}
    for some in chunks(sorted(names)):
        query = select(incidents).where(incidents.c.id.in_(some)).order_by(incidents.c.id).with_for_update()
        found |= {row["id"]: _incident(row) for row in (await tx.execute(query)).mappings()}
    tx.held.update({name: one.run for name, one in found.items()})
    return found


async def taken(tx: Transaction, ids: Collection[str]) -> set[str]:
    """Those of the ids that incidents have."""
    found = set[str]()
    for some in chunks(sorted(ids)):
        found |= set((await tx.execute(select(incidents.c.id).where(incidents.c.id.in_(some)))).scalars())
    return found


async def close_new(tx: Transaction, names: Collection[str], at: datetime) -> dict[str, int]:
    """Begin a run of each of these that is new still and end it as closed; their epochs. What they say is yet to be told."""
    statement = update(incidents).where(incidents.c.id.in_(list(names)), incidents.c.state == str(State.NEW))
    closing = statement.values(run=incidents.c.run + 1, state=str(State.CLOSED), ended_at=at)
    epochs = {row.id: row.run for row in await tx.execute(closing.returning(incidents.c.id, incidents.c.run))}
    tx.held.update(epochs)
    return epochs


async def get(tx: Transaction, incident: str) -> Incident | None:
    row = (await tx.execute(select(incidents).where(incidents.c.id == incident))).mappings().first()
    return _incident(row) if row else None


async def find(tx: Transaction, prefix: str) -> list[Incident]:
    """Those whose id starts so; the exact id alone if there is one. Newest first."""
    if (exact := await get(tx, prefix)) is not None:
        return [exact]
    fits = incidents.c.id.startswith(prefix, autoescape=True)
    rows = await tx.execute(select(incidents).where(fits).order_by(incidents.c.opened_at.desc(), incidents.c.id))
    return [_incident(row) for row in rows.mappings()]


async def listing(tx: Transaction, limit: int = 50, states: Collection[State] | None = None) -> list[Incident]:
    """Newest first."""
    query = select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    if states is not None:
        query = query.where(incidents.c.state.in_([str(state) for state in states]))
    return [_incident(row) for row in (await tx.execute(query)).mappings()]


async def open_ids(tx: Transaction, limit: int) -> list[str]:
    """Those that have not ended, newest first."""
    query = select(incidents.c.id).where(incidents.c.state.in_(_GOING_ON)).order_by(incidents.c.opened_at.desc())
    return list((await tx.execute(query.limit(limit))).scalars())


async def unfinished(tx: Transaction) -> list[str]:
    """Those that have not ended, and those with a proposal that may still start or has started."""
    going = select(proposals.c.incident).where(proposals.c.state.in_(("open", "approved", "allowed", "claimed")))
    query = select(incidents.c.id).where(or_(incidents.c.state.in_(_GOING_ON), incidents.c.id.in_(going)))
    return list((await tx.execute(query)).scalars())


async def states(tx: Transaction) -> dict[State, int]:
    """How many are in each state; a state that none is in is left out."""
    counted = select(incidents.c.state, func.count().label("many")).group_by(incidents.c.state)
    return {State(row.state): row.many for row in await tx.execute(counted)}


async def save(tx: Transaction, incident: Incident) -> None:
    """Write everything but the id and the run's epoch."""
    await save_all(tx, [incident])


async def save_all(tx: Transaction, changed: Sequence[Incident]) -> None:
    if changed:
        await tx.execute(_SAVE, [{"of": one.id, **_columns(one)} for one in changed])


async def claim_run(tx: Transaction, incident: str) -> int:
    """Begin a run: the epoch that from now on alone may append to the timeline and claim executions."""
    statement = update(incidents).where(incidents.c.id == incident).values(run=incidents.c.run + 1)
    epoch: int | None = (await tx.execute(statement.returning(incidents.c.run))).scalar()
    if epoch is None:
        raise _unknown(incident)
    tx.held[incident] = epoch
    return epoch


async def hold(tx: Transaction, incident: str, run: int | None = None) -> int:
    """Lock the incident's row until the transaction ends and give its epoch; Overtaken if `run` is another."""
    if incident not in tx.held:
        row = (await tx.execute(_HOLD, {"incident": incident})).first()
        if row is None:
            raise _unknown(incident)
        tx.held[incident] = row.run
    found = tx.held[incident]
    if run is not None and run != found:
        raise Overtaken(f"Incident {incident} is run by another runner now (run {found}, this was run {run}).")
    return found


def _unknown(incident: str) -> UnusableInput:
    return UnusableInput(f"There is no incident {incident}. `stanch incidents list` shows those there are.")


def _columns(incident: Incident) -> dict[str, Any]:
    return {
        "state": str(incident.state),
        "kind": str(incident.kind),
        "title": incident.title,
        "since": incident.since,
        "severity": incident.severity,
        "alerts": list(incident.alerts),
        "labels": dict(incident.labels),
        "opened_at": incident.opened_at,
        "ended_at": incident.ended_at,
    }


def _incident(row: RowMapping | Mapping[str, Any]) -> Incident:
    values = dict(row)
    values |= {"state": State(values["state"]), "kind": Kind(values["kind"]), "alerts": tuple(values["alerts"])}
    return Incident(**values)
