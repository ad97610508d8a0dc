"""Reconciling: what fired or cleared while nobody listened, by what each Alertmanager lists now.

Alertmanager never delivers again what fired and cleared while we were away, nor a "resolved" for a firing that was never
accepted, so its list is asked at the start and every few minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from agent.case.alert import Alert, AlertStatus
from agent.clock import parse_time
from agent.errors import ToolError, ToolFailed, UnusableInput
from agent.intake import alertmanager
from agent.intake.inbox import Inbox, Receipt
from agent.intake.ours import about_us
from agent.store import alerts
from agent.store.database import Database
from tools.context import Backend, Backends, Clock
from tools.fetch import fetch_json

log = logging.getLogger("stanch.reconcile")
SOURCE = "alertmanager"
YOUNG = timedelta(minutes=5)  # an Alertmanager that has just started has not heard again of everything that fires
RECENT = 500  # alerts by whose receivers we know which are meant for us
Key: TypeAlias = tuple[str, datetime]  # fingerprint and start
Found: TypeAlias = dict[Key, tuple[Alert, bool]]  # the alert, and whether it is suppressed


@dataclass(frozen=True)
class Reconciler:
    """The chore: what was missed goes into the inbox, which absorbs what it knows."""

    db: Database
    box: Inbox
    backends: Backends
    clock: Clock
    young: timedelta = YOUNG

    async def look(self) -> Receipt | None:
        """None where nothing was missed."""
        if not self.backends.of("alertmanager"):
            return None
        async with self.db.read() as tx:
            firing = await alerts.still_firing(tx)
            recent = await alerts.recent(tx, RECENT)
        receivers = {str(a.extra["receiver"]) for a in recent if a.source == SOURCE and "receiver" in a.extra}
        found = await missed(self.backends, self.clock, firing, receivers, self.young)
        return await self.box.accept("reconcile", found) if found else None


async def missed(
    backends: Backends, clock: Clock, firing: Sequence[Alert], receivers: Collection[str] = (), young: timedelta = YOUNG
) -> list[Alert]:
    """What fires in some Alertmanager and not in `firing` (what fires as far as we know), and what of `firing` none lists
    any more: resolved as of now. `receivers` are ours; empty is: every receiver. What is silenced or inhibited is not news.

    Nothing is taken as resolved unless every Alertmanager answered and has run for as long as `young`.
    """
    now, certain = clock.now(), True
    listed: Found = {}
    for backend in backends.of("alertmanager"):
        try:
            listed |= await _listed(backend, now, receivers)
            certain = certain and now - await _started(backend) >= young
        except ToolError as error:
            log.warning("an Alertmanager could not be asked what fires: %s", error)
            certain = False
    known = {(alert.fingerprint, alert.starts_at) for alert in firing}
    fresh = [alert for key, (alert, suppressed) in listed.items() if not suppressed and key not in known]
    gone = [a for a in firing if a.source == SOURCE and (a.fingerprint, a.starts_at) not in listed] if certain else []
    return [*fresh, *(_cleared(alert, now) for alert in gone)]


def _cleared(alert: Alert, now: datetime) -> Alert:
    said = {**alert.extra, "seen_by": "reconciling: no Alertmanager lists it any more"}
    return replace(alert, status=AlertStatus.RESOLVED, ends_at=max(now, alert.starts_at), extra=said)


async def _listed(backend: Backend, now: datetime, receivers: Collection[str]) -> Found:
    """Everything that fires there; what goes to other receivers only, and what is about ourselves, counts as suppressed."""
    status, body = await fetch_json(backend, "/api/v2/alerts", what="which alerts fire")
    if status != 200 or not isinstance(body, list):
        raise ToolFailed(f"Alertmanager at {backend.url} answered HTTP {status} instead of a list of alerts.")
    found: Found = {}
    for one in body:
        try:
            (alert,) = alertmanager.read([one], now).alerts
        except UnusableInput as error:
            log.warning("an alert that %s lists cannot be read: %s", backend.url, error)
            continue
        ours = not receivers or bool(_names(one) & set(receivers))
        quiet = not ours or about_us(alert.labels) or _state(one) != "active"
        found[alert.fingerprint, alert.starts_at] = alert, quiet
    return found


async def _started(backend: Backend) -> datetime:
    """Since when it runs."""
    status, body = await fetch_json(backend, "/api/v2/status", what="since when it runs")
    since = body.get("uptime") if isinstance(body, Mapping) else None
    try:
        return parse_time(str(since))
    except ValueError:
        raise ToolFailed(f"Alertmanager at {backend.url} answered HTTP {status} and not since when it runs.") from None


def _names(one: Mapping[str, Any]) -> set[str]:
    receivers = one.get("receivers")
    return {str(r.get("name")) for r in receivers if isinstance(r, Mapping)} if isinstance(receivers, list) else set()


def _state(one: Mapping[str, Any]) -> str:
    status = one.get("status")
    return str(status.get("state", "active")) if isinstance(status, Mapping) else "active"
