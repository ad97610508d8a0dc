"""The routes: what comes in is checked, understood, kept, and only then answered.

What a request holds is understood by its source (agent.sources.SOURCES); the inbox keeps it. Work begins when it has been answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent import sources
from agent.domain.incident import State
from agent.domain.text import visible
from agent.errors import Overloaded, TooMany, UnusableInput
from agent.service.inbox import Inbox, Receipt
from agent.settings import DOCS, METRICS, Settings
from agent.sources.portions import by_portions
from agent.sources.source import Delivery, Incoming, Source
from agent.surfaces.webhook import openapi
from agent.surfaces.webhook.auth import ITSELF, PUBLIC, Guard, Keys, Need
from agent.surfaces.webhook.bodies import bounded, media
from agent.surfaces.webhook.metrics import Counted, ServiceMetrics
from agent.surfaces.webhook.problems import Refusal, answer, later
from agent.surfaces.webhook.readiness import Readiness
from agent.surfaces.webhook.security_headers import HEADERS, Headed
from tools.context import Clock

log = logging.getLogger("stanch.webhook")
MEGABYTE = 1024 * 1024
ASKED_S, WRITTEN_S = 2.0, 10.0  # how long the database may take, to say that it is there and to keep a notification


class Census(Protocol):
    async def states(self) -> dict[State, int]: ...


class Behind(Protocol):
    """What the routes need of the application (agent.api.App)."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def api(self) -> Census: ...


class Taken(BaseModel):
    """What became of a notification."""

    receipt: str  # names it in the inbox; "" when there was nothing to keep
    alerts: int
    duplicate: bool  # everything in it was known
    passed_over: int = 0  # our own calls for a person, come back
    set_aside: list[str] = []  # what could not be read or is not as expected; the body is kept for a person


def build(app: Behind, readiness: Readiness, loopback: bool, routes: Sequence[Route] = ()) -> FastAPI:
    """The web application. `loopback` is: it is bound so that only this machine reaches it. `routes` authenticate themselves."""
    measures = ServiceMetrics(lambda: app.inbox.absorbed)
    door, allowed = WebhookEndpoints(app, readiness, measures), app.settings.door
    web = openapi.Documented(title="Stanch", version="1", openapi_url=None, redirect_slashes=False)
    web.state.measures = measures
    needs: dict[tuple[str, str], Need] = {}
    for source in sources.SOURCES:
        needs["POST", source.path] = Need(source.scope, source.signature(allowed.secret_of(source.name)))
        web.router.add_api_route(
            source.path,
            door.taking(source),
            methods=["POST"],
            status_code=202,
            route_class_override=openapi.Straight,
            **openapi.posted(source, Taken),
        )
    for path, shown, need in (
        ("/healthz", door.healthz, PUBLIC),
        ("/readyz", door.readyz, PUBLIC),
        ("/metrics", door.metrics, Need(METRICS)),
    ):
        needs["GET", path] = need
        web.add_api_route(path, shown, methods=["GET"], **openapi.shown(path))
    for path, told in (("/openapi.json", web.as_json), ("/docs", web.as_page)):
        needs["GET", path] = needs["HEAD", path] = Need(DOCS)
        web.router.routes.append(Route(path, told, methods=["GET"]))
    for route in routes:
        needs |= {(method, route.path): ITSELF for method in route.methods or ()}
        web.router.routes.append(route)
    web.add_exception_handler(Refusal, _refused)
    web.add_exception_handler(HTTPException, _refused)
    web.add_exception_handler(Exception, _defect)
    web.add_middleware(Guard, needs=needs, keys=Keys(allowed.tokens), loopback=loopback, limit=door.limit)
    web.add_middleware(Counted, measures=measures, sources={one.path: one.name for one in sources.SOURCES})
    web.add_middleware(Headed)
    web.state.needs = needs
    return web


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = Refusal(error.status_code, str(error.detail), error.headers)
    assert isinstance(error, Refusal)
    return answer(error)


async def _defect(request: Request, error: Exception) -> Response:
    """Starlette gives this answer outside of all middleware, and raises the error again for the log."""
    told = "A defect of ours, which the log describes. Send it again, and tell whoever runs this."
    return answer(Refusal(500, told, HEADERS))


class WebhookEndpoints:
    def __init__(self, app: Behind, readiness: Readiness, measures: ServiceMetrics) -> None:
        self._app, self._readiness, self._measures = app, readiness, measures
        self.limit = int(app.settings.serve.max_body_mb * MEGABYTE)  # bytes of a body
        self._turn = asyncio.Lock()  # of long bodies that are read at the same time

    def taking(self, source: Source) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a source."""

        async def take(request: Request) -> Response:
            body = await self._body(request, source.media)
            delivery = await self._read(Incoming(body, request.headers, self._app.settings.serve.max_alerts), source)
            if source.reconciled and delivery.left_out:
                self._app.inbox.on_refusal()
            return await self._keep(source.name, body, delivery)

        return take

    async def healthz(self) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(self) -> Response:
        if self._readiness.refusal is not None:
            raise later(self._readiness.refusal)
        try:
            async with asyncio.timeout(ASKED_S):
                await self._app.inbox.waiting()
        except (DBAPIError, TimeoutError):
            raise later("The database does not answer.") from None
        return PlainTextResponse("ready\n")

    async def metrics(self) -> Response:
        try:
            waiting, states = await self._app.inbox.waiting(), await self._app.api.states()
        except DBAPIError:
            log.warning("the database does not answer; the metrics go without what it knows", exc_info=True)
            return Response(self._measures.exposition(None, {}), media_type=CONTENT_TYPE_LATEST)
        return Response(self._measures.exposition(waiting, states), media_type=CONTENT_TYPE_LATEST)

    async def _body(self, request: Request, wanted: Sequence[str]) -> bytes:
        if self._readiness.refusal is not None:
            raise later(self._readiness.refusal)
        media(request, wanted)
        return await bounded(request, self.limit)

    async def _read(self, incoming: Incoming, source: Source) -> Delivery:
        """What a notification says, read by portions."""
        try:
            return await by_portions(source.parse(incoming, self._app.clock.now()), self._turn)
        except TooMany as error:
            raise self._too_many(str(error), source) from None
        except UnusableInput as error:
            raise Refusal(400, str(error)) from None

    def _too_many(self, what: str, source: Source) -> Refusal:
        """It is not sent again, so it is looked for soon where it can be."""
        mend = f"{what} Group alerts more finely, set max_alerts in the receiver, or raise serve.max_alerts in stanch.yaml."
        if not source.reconciled or not self._app.settings.backends.get("alertmanager"):
            return Refusal(413, f"{mend} Nothing of it is kept, and nothing here can ask for it.")
        self._app.inbox.on_refusal()
        return Refusal(413, f"{mend} What was refused is found by reconciling with Alertmanager, which begins now.")

    async def _keep(self, source: str, body: bytes, delivery: Delivery) -> Response:
        """Answer once it is on disk."""
        alerts, changes = delivery.alerts, delivery.changes
        odd = [visible(one, 500) for one in delivery.odd]
        mine = [alert for alert in alerts if not self._app.inbox.raised_here(alert)]
        writes = [self._app.inbox.accept(source, mine, changes)] if mine or changes else []
        writes += [self._app.inbox.quarantine(source, body, " ".join(odd)[:2_000])] if odd else []
        with self._measures.commit.time():
            receipts = await self._written(writes)
        self._measures.alerts.inc(len(mine))
        self._measures.passed_over.inc(len(alerts) - len(mine))
        self._measures.set_aside.inc(bool(odd))
        duplicate = bool(receipts) and all(one.duplicate for one in receipts)
        said: dict[str, object] = {
            "receipt": receipts[0].receipt if receipts else "",
            "alerts": len(mine),
            "duplicate": duplicate,
        }
        said |= {"passed_over": len(alerts) - len(mine)} if len(alerts) > len(mine) else {}
        said |= {"set_aside": list(odd)} if odd else {}
        return JSONResponse(said, 202 if receipts and not duplicate else 200)

    async def _written(self, writes: Sequence[Awaitable[Receipt]]) -> Sequence[Receipt]:
        try:
            async with asyncio.timeout(WRITTEN_S):
                return [await writes[0]] if len(writes) == 1 else await asyncio.gather(*writes)
        except TimeoutError:  # it may be written yet; sent again it is a duplicate then
            raise later(f"The database has not taken it within {WRITTEN_S:g} seconds. Send it again.") from None
        except Overloaded as error:
            raise later(str(error)) from None
        except DBAPIError as error:
            log.error("the database does not answer: %s", error.orig)
            raise later(
                "The database does not answer, so nothing can be kept. Send it again in a few seconds."
            ) from None
