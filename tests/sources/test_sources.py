"""A source of alerts is one entry: its route, what the route needs, /docs, tokens, redaction and doctor follow from it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent import sources
from agent.api import App
from agent.app import open_app
from agent.domain.alert import Alert, AlertStatus
from agent.errors import BadConfiguration, UnusableInput
from agent.settings import Token, read, scopes
from agent.sources.portions import Steps
from agent.sources.source import Delivery, Incoming, Signing, Source
from agent.surfaces.cli import setup
from agent.surfaces.webhook import Readiness, build
from tests.command_line import TOP

SECRET, PATH = "bell-tower-secret", "/v1/webhooks/bells"
BODY = json.dumps({"rings": "Doorbell", "at": "2026-11-24T03:00:00+00:00"}).encode()


def genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), headers["x-bell"])


def heard(incoming: Incoming, now: datetime) -> Steps[Delivery]:
    yield from ()
    told = json.loads(incoming.body)
    if "rings" not in told:
        raise UnusableInput("No bell rings in it. Say which under `rings`.")
    labels = {"alertname": told["rings"], "bell": incoming.headers.get("x-tower", "none")}
    began = datetime.fromisoformat(told["at"])
    return Delivery((Alert("bells", told["rings"], AlertStatus.FIRING, labels, {}, began),))


BELLS = Source(
    "bells",
    PATH,
    "bells",
    heard,
    {"type": "object", "required": ["rings"]},
    "A bell, as towers ring it.",
    signs=Signing("x-bell", genuine),
)


@pytest.fixture(autouse=True)
def one_more_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, BELLS))
    monkeypatch.setenv("STANCH_BELLS_SECRET", SECRET)
    monkeypatch.setenv("STANCH_WEBHOOK_TOKENS", "alerts:token-for-alerts,bells+docs:token-for-bells")


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    """The whole application behind its routes."""
    settings = read({"data": str(folder / "data"), "reasoner": "runbook"}, cwd=folder)
    async with open_app(settings) as app:
        through = httpx.ASGITransport(app=build(app, Readiness(ready=True), loopback=False))
        async with httpx.AsyncClient(transport=through, base_url="http://stanch") as client:
            yield app, client


def headers(**more: str) -> dict[str, str]:
    return {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in more.items()}}


def signed(secret: str = SECRET) -> dict[str, str]:
    return headers(X_Bell=hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest(), X_Tower="north")


async def test_what_it_signs_becomes_an_incident_and_nothing_else_comes_in(tmp_path: Path) -> None:
    async with door(tmp_path) as (app, client):
        for refused in (
            headers(),
            signed("guessed-secret"),
            headers(X_Bell="0", Authorization="Bearer token-for-bells"),
        ):
            assert (await client.post(PATH, content=BODY, headers=refused)).status_code == 401
        assert await app.inbox.waiting() == 0
        assert (await client.post(PATH, content=BODY, headers=signed())).status_code == 202
        while await app.watch.take_in():
            pass
        (incident,) = await app.api.incidents()
        assert incident.labels == {"alertname": "Doorbell", "bell": "north"}
        counted = (await client.get("/openapi.json", headers={"Authorization": "Bearer token-for-bells"})).json()
    operation = counted["paths"][PATH]["post"]
    assert operation["requestBody"]["content"] == {"application/json": {"schema": BELLS.schema}}
    assert (operation["operationId"], operation["summary"]) == ("post_bells", "A bell")


async def test_its_scope_is_one_that_a_token_may_have(tmp_path: Path) -> None:
    def by(token: str) -> dict[str, str]:
        return headers(Authorization=f"Bearer {token}")

    assert "bells" in scopes()
    assert "bells" in Token.parse("bare-token").scopes
    with pytest.raises(BadConfiguration, match="Write alerts, events, bells, metrics, docs"):
        Token.parse("bell:token")
    async with door(tmp_path) as (_, client):
        assert (await client.post(PATH, content=BODY, headers=by("token-for-alerts"))).status_code == 403
        assert (await client.post(PATH, content=b"{}", headers=by("token-for-bells"))).status_code == 400
        assert (await client.post(PATH, content=BODY, headers=by("token-for-bells"))).status_code == 202
        others = [source.path for source in sources.SOURCES if source.path != PATH]
        answers = [await client.post(path, content=BODY, headers=by("token-for-bells")) for path in others]
        assert {answer.status_code for answer in answers} == {403}


async def test_its_secret_is_redacted_and_doctor_says_whether_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def row() -> Any:
        async with door(tmp_path) as (app, _):
            return next(row for row in setup._sources(app) if row[0] == "source bells")

    async with door(tmp_path) as (app, _):
        assert SECRET not in app.redact(f"the tower sent {SECRET}")
    assert await row() == ("source bells", "ok", f"{PATH}, with a token or its signature")
    monkeypatch.delenv("STANCH_BELLS_SECRET")
    assert await row() == ("source bells", "absent", f"{PATH}: set STANCH_BELLS_SECRET to take what it signs")


def test_the_readme_names_the_secret_of_every_source_that_signs() -> None:
    shipped = [source for source in sources.SOURCES if source is not BELLS]
    secrets = "".join(f", `{source.secret_variable}`" for source in shipped if source.signs)
    text = (TOP / "README.md").read_text()
    assert f"| who may send alerts | `STANCH_WEBHOOK_TOKENS`{secrets} | |" in text
