"""Reconciling: what fired or cleared while nobody listened is found in Alertmanager's own list.

Alertmanager never delivers an alert that came and went while we were away, and no end for a start that it could not deliver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from agent.case.alert import Alert, AlertStatus
from agent.intake.alertmanager import parse
from agent.intake.own import ours
from agent.notebook import Notebook
from agent.store import alerts, incidents
from tools.context import Backend

MOST_OPEN = 5_000
SOURCE = "alertmanager"
ACTIVE = {"silenced": "false", "inhibited": "false"}  # of what is silenced or inhibited nobody is told


async def missed(notebook: Notebook) -> list[Alert]:
    """What fires there and is not known here, and what is open here and no longer listed there (resolved as of now).

    Nothing is taken for over unless every Alertmanager answered. Raises httpx.HTTPError or UnusableInput where one did not.
    """
    servers = notebook.backends.of("alertmanager")
    if not servers:
        return []
    listed = [alert for server in servers for alert in await _listed(server, notebook, {})]
    active = [alert for server in servers for alert in await _listed(server, notebook, ACTIVE)]
    there = {(alert.fingerprint, alert.starts_at) for alert in listed}
    async with notebook.db.read() as tx:
        unknown = [a for a in active if await alerts.incident_of(tx, a.fingerprint, a.starts_at) is None]
        kept = [await alerts.of(tx, name) for name in await incidents.open_ids(tx, MOST_OPEN)]
    now = notebook.clock.now()
    gone = [
        replace(a, status=AlertStatus.RESOLVED, ends_at=now, extra={**a.extra, "seen": "reconciling"})
        for one in kept
        for a in _firing(one)
        if a.source == SOURCE and (a.fingerprint, a.starts_at) not in there
    ]
    return [*unknown, *gone]


async def _listed(server: Backend, notebook: Notebook, parameters: Mapping[str, str]) -> Sequence[Alert]:
    assert server.http is not None
    answer: httpx.Response = await server.http.get("/api/v2/alerts", params=parameters)
    answer.raise_for_status()
    if answer.json() == []:
        return ()
    found: Sequence[Alert] = parse(answer.content, notebook.clock.now())
    return [alert for alert in found if not ours(alert)]


def _firing(kept: Sequence[Alert]) -> list[Alert]:
    """Of one incident, the alerts whose newest signal is no end."""
    latest = {(a.fingerprint, a.starts_at): a for a in kept}
    ended = {(a.fingerprint, a.starts_at) for a in kept if a.status is AlertStatus.RESOLVED}
    return [a for key, a in latest.items() if key not in ended]
