"""An application with its webhook, over a folder: in this process, or as a real uvicorn of its own.

`python -m tests.webhook_house DATA PORT` serves it (without the watch) until it is killed; it says `ready` on stdout.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from agent import settings
from agent.app import open_app
from agent.application import App
from agent.settings import DoorSettings, ServeSection, Settings
from agent.surfaces.webhook.readiness import Readiness
from agent.surfaces.webhook.service import build
from tools.context import Clock

TOKEN, SECOND = "s3cr3t", "s3cr3t-of-tomorrow"
HERE = "http://127.0.0.1"


def house(folder: Path, tokens: Sequence[str] = (TOKEN,), grafana: str = "", events: str = "") -> Settings:
    """Settings of a bare service: no runbooks, no backends."""
    empty = folder / "no-runbooks"
    empty.mkdir(parents=True, exist_ok=True)
    read = settings.read({"data": str(folder / "data"), "reasoner": "runbook"}, folder)
    door = DoorSettings(tuple(map(SecretStr, tokens)), SecretStr(grafana), SecretStr(events))
    return replace(read, runbooks=(empty,), door=door, serve=ServeSection(max_body_mb=1))


class Web:
    """The service in this process, and a client that has the token."""

    def __init__(self, app: App, web: FastAPI, ready: Readiness, client: httpx.AsyncClient) -> None:
        self.app, self.web, self.ready, self.client = app, web, ready, client

    async def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Header names with _ for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = {"content-type": "application/json"}
        return await self.client.post(path, content=body, headers={**kind, **given})


@asynccontextmanager
async def webhook(
    settings: Settings, loopback: bool = False, bearer: str | None = TOKEN, wall: Clock | None = None
) -> AsyncIterator[Web]:
    ready = Readiness()
    ready.open()
    async with open_app(settings) as app:
        web = build(app, loopback=loopback, ready=ready, wall=wall)
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        transport = httpx.ASGITransport(web)
        async with httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers) as client:
            yield Web(app, web, ready, client)
        await app.inbox.close()


async def serve(folder: Path, port: int) -> None:
    ready = Readiness()
    async with open_app(house(folder)) as app:
        web = build(app, loopback=True, ready=ready)
        config = uvicorn.Config(web, "127.0.0.1", port, log_level="error", access_log=False, lifespan="off")
        ready.open()
        print("ready", flush=True)
        await uvicorn.Server(config).serve()
        await app.inbox.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
