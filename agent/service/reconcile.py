"""Reconciling with Alertmanager: what began or ended while nobody listened here.

An alert that fires and clears while we are down is never delivered, and a "resolved" is sent once. So what each Alertmanager
lists now is compared with what is open here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx

from agent.clock import parse_time
from agent.domain.alert import Alert, AlertStatus, standing
from agent.domain.own_alerts import ours
from agent.errors import UnusableInput
from agent.graph.run_context import RunContext
from agent.sources.alertmanager import ALERTMANAGER, delivering
from agent.sources.portions import by_portions, portions
from agent.sources.source import Delivery
from agent.store import alerts, incidents
from tools.context import Backend

log = logging.getLogger("stanch.reconcile")
MOST_OPEN, NEWEST = 5_000, 500
LOOKED_AT = 200  # incidents, or alerts, of one look at the store
SETTLED = timedelta(minutes=5)  # an Alertmanager that has just started knows nothing until Prometheus tells it again
SEEN: Mapping[str, object] = {"seen": "reconciling"}


@dataclass(frozen=True, slots=True)
class Listed:
    """What one Alertmanager lists, and whether what it does not list has ended."""

    alerts: tuple[Alert, ...]
    settled: bool


async def missed(run_context: RunContext) -> list[Alert]:
    """What fires at an Alertmanager and is unknown here, and, as resolved by now, what is open here and listed nowhere.

    One that does not answer is passed over with a warning; nothing is taken for resolved then. Silenced and inhibited
    alerts count as listed and are no news; nor are, once it is known which receivers lead here, the alerts of others.
    """
    now, backends = run_context.clock.now(), run_context.backends.of("alertmanager")
    if not backends:
        return []
    firing, receivers = await _open(run_context)  # before anybody is asked: what arrives meanwhile is in no older list
    answers = [await _listed(backend, now) for backend in backends]
    listed = [alert for one in answers if one is not None for alert in one.alerts]
    key = run_context.db.audit_key
    news = await _unknown(run_context, [a for a in listed if _fires(a) and _for_us(a, receivers) and not ours(a, key)])
    if not all(one is not None and one.settled for one in answers):
        return news
    there = {alert.fingerprint for alert in listed}
    return news + [_resolved(alert, now) for alert in firing if alert.fingerprint not in there]


async def _open(run_context: RunContext) -> tuple[list[Alert], frozenset[str]]:
    """What fires of the open incidents' alerts that an Alertmanager brought, and the receivers that lead here."""
    firing: list[Alert] = []
    async with run_context.db.read() as tx:
        going_on = await incidents.open_ids(tx, MOST_OPEN)
        newest = await alerts.newest(tx, NEWEST)
    for some in portions(going_on, LOOKED_AT):
        async with run_context.db.read() as tx:
            brought = await alerts.of_all(tx, some)
        for one in brought.values():
            firing += [a for a in standing(one) if a.status is AlertStatus.FIRING and _brought(a)]
        await asyncio.sleep(0)
    return firing, frozenset(str(a.extra["receiver"]) for a in newest if "receiver" in a.extra)


def _brought(alert: Alert) -> bool:
    """Whether an Alertmanager delivered it or listed it: a file at a terminal reads the same and is not its business."""
    return alert.source == ALERTMANAGER.source and ("receiver" in alert.extra or "receivers" in alert.extra)


async def _listed(backend: Backend, now: datetime) -> Listed | None:
    """What it lists; None when it does not answer as Alertmanager does."""
    try:
        listed = await backend.http.get("/api/v2/alerts")
        status = await backend.http.get("/api/v2/status")
        listed.raise_for_status()
        steps = delivering(listed.content, now)
        found = Delivery(()) if listed.content.strip() == b"[]" else await by_portions(steps, asyncio.Lock())
        began = parse_time(status.raise_for_status().json()["uptime"])
        return Listed(found.alerts, now - began >= SETTLED and not found.odd)
    except (httpx.HTTPError, UnusableInput, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s cannot be reconciled with: %s: %s", backend.name, type(error).__name__, error)
        return None


def _fires(alert: Alert) -> bool:
    """Neither silenced nor inhibited: it would be delivered."""
    return alert.status is AlertStatus.FIRING and alert.extra.get("state") == "active"


def _for_us(alert: Alert, receivers: Collection[str]) -> bool:
    listed = alert.extra.get("receivers")
    names = {one.get("name") for one in listed if isinstance(one, Mapping)} if isinstance(listed, Sequence) else set()
    return not receivers or not names or not names.isdisjoint(receivers)


async def _unknown(run_context: RunContext, found: Sequence[Alert]) -> list[Alert]:
    fresh: list[Alert] = []
    for some in portions(found, LOOKED_AT):
        async with run_context.db.read() as tx:
            kept = await alerts.kept(tx, {alert.fingerprint for alert in some})
        known = {(one.fingerprint, _millis(one.starts_at)) for one in kept}
        fresh += [alert for alert in some if (alert.fingerprint, _millis(alert.starts_at)) not in known]
        await asyncio.sleep(0)
    return [replace(alert, extra={**alert.extra, **SEEN}) for alert in fresh]


def _millis(when: datetime) -> datetime:
    """The API writes milliseconds where the webhook writes all there are."""
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def _resolved(alert: Alert, now: datetime) -> Alert:
    return replace(alert, status=AlertStatus.RESOLVED, ends_at=now, extra={**alert.extra, **SEEN})
