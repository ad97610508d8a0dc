"""The reception: alerts become incidents. Which one, why, and what attention it may take, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from agent.case.alert import Alert, AlertStatus
from agent.case.incident import Incident, State
from agent.case.redact import Redactor
from agent.case.text import visible
from agent.case.timeline import EventKind
from agent.intake.correlate import Board, joined, opened_by
from agent.intake.route import STORM, Routes, deeper, in_a_storm
from agent.notebook import Notebook
from agent.store import alerts, attention, incidents, timeline, wakes
from agent.store.alerts import alert_json
from agent.store.database import Transaction

LONG = 4_000  # characters of one label or annotation that the timeline keeps; the alert's row keeps all
MOST_OPEN = 5_000
AGAIN = timedelta(hours=1)  # an alert that comes back so soon after a person got it is no new incident
WITH_A_PERSON = frozenset({State.HANDED_OVER, State.INCONCLUSIVE, State.NO_FAULT})


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one alert. `incident` is None when it was resolved before anybody heard of it."""

    alert: Alert
    incident: str | None
    why: str
    duplicate: bool = False


class Reception:
    """`routes` None: whoever hands the alerts in looks after them (a terminal); nothing is posted."""

    def __init__(self, notebook: Notebook, routes: Routes | None = None, most_threads: int = 3) -> None:
        self._notebook = notebook
        self._routes = routes
        self._most_threads = most_threads
        self._board = Board(notebook.catalog())

    async def take(self, tx: Transaction, arrived: Sequence[Alert]) -> list[Received]:
        """Each alert with its incident, in the order of their starts."""
        await self._refresh(tx)
        return [await self._one(tx, alert) for alert in sorted(arrived, key=lambda a: a.starts_at)]

    async def _refresh(self, tx: Transaction) -> None:
        """The board as the store has it: other processes open incidents and end them too."""
        if self._board.catalog is not self._notebook.catalog():
            self._board = Board(self._notebook.catalog())
        found = await incidents.open_ids(tx, MOST_OPEN)
        self._board.keep(found)
        for incident in found:
            if incident not in self._board:
                self._board.add(incident, await alerts.of(tx, incident))

    async def _one(self, tx: Transaction, alert: Alert) -> Received:
        alert = redacted(alert, tx.redact)
        known = await alerts.incident_of(tx, alert.fingerprint, alert.starts_at)
        if known is not None:
            return await self._keep(tx, known, alert, "the same alert")
        if alert.status is AlertStatus.RESOLVED:
            return Received(alert, None, "it was resolved before it was known here")
        found = self._board.assign(alert)
        if found.incident is None and (back := await self._back(tx, alert)) is not None:
            return await self._keep(tx, back.id, alert, f"the same alert again, after {back.state.replace('_', ' ')}")
        if found.incident is None:
            incident = replace(opened_by(alert), opened_at=self._notebook.clock.now())
            await incidents.add(tx, incident)
            return await self._keep(tx, incident.id, alert, found.why)
        mine = await incidents.get(tx, found.incident)
        assert mine is not None
        await incidents.save(tx, joined(mine, alert))
        return await self._keep(tx, mine.id, alert, found.why)

    async def _back(self, tx: Transaction, alert: Alert) -> Incident | None:
        """The incident that was handed to a person a short while ago and whose alert fires once more: flapping."""
        last = await alerts.last_incident(tx, alert.fingerprint)
        past = await incidents.get(tx, last) if last else None
        if past is None or past.state not in WITH_A_PERSON or past.ended_at is None:
            return None
        return past if alert.starts_at - past.ended_at <= AGAIN else None

    async def _keep(self, tx: Transaction, incident: str, alert: Alert, why: str) -> Received:
        now = self._notebook.clock.now()
        if not await alerts.put(tx, incident, alert):
            return Received(alert, incident, why, duplicate=True)
        self._board.add(incident, [alert])
        data = {**_short(alert_json(alert)), "why": why}
        await timeline.append(tx, incident, EventKind.ALERT, alert.source, data, now, f"alert:{alert.key}")
        await wakes.add(tx, incident, "alert", now)
        if self._routes is not None and alert.status is AlertStatus.FIRING:
            await self._route(tx, incident, alert, self._routes)
        return Received(alert, incident, why)

    async def _route(self, tx: Transaction, incident: str, alert: Alert, routes: Routes) -> None:
        known, fresh = await attention.of(tx, incident), routes.attention(incident, alert)
        one = deeper(known, fresh)
        if one == known:
            return
        since = self._notebook.clock.now() - STORM
        threads, mentioned = await attention.threads(tx, one.channel, since, besides=incident)
        await attention.put(tx, in_a_storm(one, threads, mentioned, self._most_threads))


def redacted(alert: Alert, redact: Redactor) -> Alert:
    """The alert without secrets in what people wrote into it. Its fingerprint stays, so that it is still the same alert."""
    return replace(
        alert, labels=redact.value(dict(alert.labels)), annotations=redact.value(dict(alert.annotations)),
        generator_url=redact(alert.generator_url), extra=redact.value(dict(alert.extra)),
    )  # fmt: skip


def _short(data: dict[str, Any]) -> dict[str, Any]:
    """The alert with long values cut visibly; nothing is lost, the whole stays with the alert."""
    return {
        **data,
        **{
            part: {k: visible(v, LONG) if len(v) > LONG else v for k, v in data[part].items()}
            for part in ("labels", "annotations")
        },
    }
