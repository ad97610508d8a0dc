"""The lab's Kubernetes API over a cluster in memory, served on loopback, and a context whose one backend it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette

from agent.clock import MovedClock
from agent.lab.kubernetes import routes
from tests.cluster_world import MemoryCluster
from tests.contexts import NOON, context
from tests.serving import served
from tools.context import Backend, Context, Service, Workload
from tools.kubernetes.client import disconnect

FORECAST = Workload("forecast-server", "ml", "eu-1", service="demand-forecast", environment="production")
WEB = Workload("web", "shop", "eu-1", service="web")
SERVICES = (
    Service("demand-forecast", {"service": "demand-forecast"}, workloads=(FORECAST,), environment="production"),
    Service("web", {"service": "web"}, workloads=(WEB,)),
)
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class Doorway:
    """Stands before an application: counts requests, and can refuse them, lose their answers, or take them up late."""

    app: Any
    refuse: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # method → status and body
    lose_answers_of: set[str] = field(default_factory=set)  # methods whose effect happens and whose answer is cut off
    seen: list[tuple[str, str]] = field(default_factory=list)
    owners: list[dict[str, Any]] = field(default_factory=list)  # of every object that is answered

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        self.seen.append((method, scope.get("path", "")))
        if method in self.refuse:
            status, body = self.refuse[method]
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            if 300 <= status < 400:
                headers.append((b"location", b"http://127.0.0.1:9/elsewhere"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        send = self._owned(send) if self.owners else send
        await self.app(scope, receive, self._cut_off(send) if method in self.lose_answers_of else send)

    def _owned(self, send: Send) -> Send:
        async def owned(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                await send({**message, "headers": kept})
                return
            found = json.loads(message["body"])
            if "metadata" in found and "items" not in found:
                found["metadata"]["ownerReferences"] = self.owners
            await send({**message, "body": json.dumps(found).encode()})

        return owned

    @staticmethod
    def _cut_off(send: Send) -> Send:
        """Says the answer is longer than it is: the client sees the connection break after the effect."""

        async def cut(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await send({**message, "headers": [(b"content-length", b"100000")]})

        return cut


@dataclass
class Stage:
    world: MemoryCluster
    door: Doorway
    context: Context
    backend: Backend


@asynccontextmanager
async def stage(
    world: MemoryCluster, match: dict[str, str] | None = None, services: Any = SERVICES
) -> AsyncIterator[Stage]:
    door = Doorway(Starlette(routes=routes({"eu-1": world})))
    async with served(door) as url, httpx.AsyncClient(timeout=2) as http:
        backend = Backend("kubernetes", "eu-1", f"{url}/kubernetes/eu-1", http, match=match or {"cluster": "eu-1"})
        yield Stage(world, door, context(backend, services=services, clock=MovedClock(NOON)), backend)
        await disconnect(backend)
