"""The door over an inbox, without the rest of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Route

from agent.clock import RealClock
from agent.service.inbox import Inbox
from agent.settings import DoorSettings, Settings, Token, read
from agent.store.database import Database
from agent.surfaces.webhook import Readiness, build
from tests.half import Half

RECORDED = sorted((Path(__file__).parents[2] / "fixtures" / "alertmanager").glob("0.*/*.json"))
TOKEN, OLDER = "the-token-in-use", "the-token-before"
GRAFANA_SECRET, EVENTS_SECRET = "grafana-secret", "whsec_c3RhbmNoLWV2ZW50cy1zZWNyZXQ="
AM, GRAFANA, EVENTS = "/v1/webhooks/alertmanager", "/v1/webhooks/grafana", "/v1/events"
JSON = {"Content-Type": "application/json"}
AT = "2026-11-24T03:00:00Z"
LOCAL = "http://127.0.0.1:9099"


@dataclass(frozen=True)
class Place:
    half: Half
    web: FastAPI
    readiness: Readiness
    http: httpx.AsyncClient  # brings the token
    nobody: httpx.AsyncClient  # brings nothing


def door_settings(tmp_path: Path, tokens: Sequence[str] = (TOKEN, OLDER), body_mb: float = 8.0) -> Settings:
    settings = read({"data": str(tmp_path / "data"), "reasoner": "runbook"}, cwd=tmp_path)
    secrets = {"grafana": SecretStr(GRAFANA_SECRET), "events": SecretStr(EVENTS_SECRET)}
    door = DoorSettings(tuple(map(Token.parse, tokens)), secrets)
    return replace(settings, door=door, serve=settings.serve.model_copy(update={"max_body_mb": body_mb}))


@asynccontextmanager
async def opened(
    settings: Settings, loopback: bool = False, routes: Sequence[Route] = (), capacity: int = 20_000
) -> AsyncIterator[Place]:
    db = await Database.open("", settings.data)
    half = Half(settings, db, Inbox(db, RealClock(), capacity))
    readiness = Readiness(ready=True)
    web = build(half, readiness, loopback, routes)
    through = httpx.ASGITransport(app=web, raise_app_exceptions=False)
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx.AsyncClient(transport=through, base_url=LOCAL, headers=token) as http,
        httpx.AsyncClient(transport=through, base_url=LOCAL) as nobody,
    ):
        yield Place(half, web, readiness, http, nobody)
    await half.inbox.close()
    await db.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(door_settings(tmp_path)) as one:
        yield one


def alert(name: str = "HighLatency", **more: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": name}, "annotations": {}, "startsAt": AT} | more


def notification(*alerts: Any, **more: Any) -> dict[str, Any]:
    return {"version": "4", "groupKey": "{}", "receiver": "ops", "status": "firing", "alerts": list(alerts)} | more


def is_problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    return str(told["detail"])
