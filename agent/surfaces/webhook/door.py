"""The door: a notification comes in, is read and kept, and only then answered. Nothing is worked here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from agent.application import App
from agent.errors import Overloaded, UnusableInput
from agent.intake import alertmanager, events, grafana, signatures
from agent.intake.alertmanager import SHOWN, WANTED, Delivery, decoded
from agent.intake.inbox import Receipt
from agent.intake.ours import about_us
from agent.surfaces.webhook.body import bounded
from agent.surfaces.webhook.credentials import Keys, refused
from agent.surfaces.webhook.meters import Meters
from agent.surfaces.webhook.problem import Problem, later
from agent.surfaces.webhook.readiness import Readiness
from tools.context import Clock

log = logging.getLogger("stanch.webhook")
PATIENCE_S = 8.0  # Alertmanager cuts a receiver off after 10
STAMPS = ("x-grafana-alerting-timestamp", "x-grafana-alerting-signature-timestamp")
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entrance:
    """One webhook. `signed` tells whether a body was signed with `secret`; "" is: this one knows no signatures."""

    source: str
    wanted: str
    read: Callable[[Headers, Any, datetime], Delivery]
    secret: str = ""
    signature: str = ""
    signed: Callable[[str, Headers, bytes, datetime], bool] = lambda *_: False


def entrances(app: App) -> dict[str, Entrance]:
    door = app.settings.door
    return {
        "alertmanager": Entrance("alertmanager", WANTED, lambda _, data, now: alertmanager.read(data, now)),
        "grafana": Entrance(
            "grafana", "the body of Grafana's webhook contact point", lambda _, data, now: grafana.read(data, now),
            door.grafana_secret.get_secret_value(), "x-grafana-alerting-signature", _by_grafana,
        ),
        "events": Entrance(
            "events", "a CloudEvent as JSON", events.read, door.events_secret.get_secret_value(),
            "webhook-signature", _by_standard_webhooks,
        ),
    }  # fmt: skip


class Door:
    """`wall` is the clock that signatures are checked against: the senders' time, never the lab's."""

    def __init__(self, app: App, keys: Keys, ready: Readiness, meters: Meters, wall: Clock) -> None:
        self._app, self._keys, self._ready, self._meters, self._wall = app, keys, ready, meters, wall
        self._most = round(app.settings.serve.max_body_mb * 1024 * 1024)

    async def enter(self, entrance: Entrance, request: Request) -> Response:
        """The receipt, or the problem; each is counted."""
        try:
            response = await self._enter(entrance, request)
        except Problem as problem:
            response = problem.response()
        self._meters.notifications.labels(entrance.source, str(response.status_code)).inc()
        return response

    async def _enter(self, entrance: Entrance, request: Request) -> Response:
        body = await self._authentic(entrance, request)
        if not self._ready:
            raise later(f"The service takes nothing now: {self._ready.why}. Send it again in a few seconds.")
        try:
            delivery = entrance.read(request.headers, decoded(body, entrance.wanted), self._app.clock.now())
        except UnusableInput as error:
            raise Problem(400, str(error)) from None
        ours = [alert for alert in delivery.alerts if about_us(alert.labels)]
        if ours:
            self._meters.ours.inc(len(ours))
            delivery = replace(delivery, alerts=tuple(a for a in delivery.alerts if not about_us(a.labels)))
        return await self._kept(entrance.source, delivery, body)

    async def _authentic(self, entrance: Entrance, request: Request) -> bytes:
        """The body of somebody who may knock. Without a signature that could be right, nothing of it is read before."""
        headers = request.headers
        if entrance.secret and not self._keys.fits(headers):
            if entrance.signature not in headers:
                raise refused(headers)
            body = await bounded(request, self._most)
            if not entrance.signed(entrance.secret, headers, body, self._wall.now()):
                raise Problem(401, f"The signature in {entrance.signature} is wrong, or older than 5 minutes.")
            return body
        self._keys.check(headers)
        return await bounded(request, self._most)

    async def _kept(self, source: str, delivery: Delivery, body: bytes) -> JSONResponse:
        """Answered once everything of it is on disk."""
        box, began, why = self._app.inbox, time.monotonic(), " ".join(delivery.odd[:SHOWN])
        receipts: list[Receipt] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                if delivery.alerts or delivery.changes:
                    receipts.append(await box.accept(source, delivery.alerts, delivery.changes))
                if why:
                    receipts.append(await box.quarantine(source, body, why))
        except (Overloaded, TimeoutError) as error:
            log.warning("a notification of %s was sent away: %s", source, error or "it was not written in time")
            raise later(str(error) or "It was not written in time. Send it again in a few seconds.") from None
        self._meters.commit.observe(time.monotonic() - began)
        if not receipts:
            return JSONResponse({"receipt": "", "alerts": 0, "duplicate": False}, 202)
        duplicate = all(one.duplicate for one in receipts)
        self._meters.alerts.labels(source).inc(len(delivery.alerts))
        answer = {"receipt": receipts[0].receipt, "alerts": len(delivery.alerts), "duplicate": duplicate}
        if why:
            self._meters.quarantined.labels(source).inc()
            answer["quarantined"] = why
        return JSONResponse(answer, 200 if duplicate else 202)


def _by_grafana(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    stamp = next((headers[name] for name in STAMPS if name in headers), None)
    return signatures.by_grafana(secret, body, headers["x-grafana-alerting-signature"], stamp, now)


def _by_standard_webhooks(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    return signatures.by_standard_webhooks(secret, body, name, stamp, headers["webhook-signature"], now)
