"""Whoever brings no key gets 401, whatever headers he brings, on whatever path, by whatever method."""

from __future__ import annotations

import ast
import asyncio
import json
import random
import re
import socket
import string
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent.settings import DoorSettings, Settings
from agent.sources import grafana
from agent.surfaces.webhook.auth import PUBLIC, Guard, Keys, Need
from agent.surfaces.webhook.limits import configured
from tests.shared_data import shared_data
from tests.surfaces.webhook.conftest import (
    AM,
    EVENTS,
    GRAFANA,
    GRAFANA_SECRET,
    JSON,
    Place,
    alert,
    door_settings,
    is_problem,
    notification,
    opened,
)
from tests.surfaces.webhook.test_signed import EVENT, STRUCTURED, hex_hmac, standard

ROOT = Path(__file__).parents[3]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "X")
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/slack/events")}
ODD_PATHS = (
    "/",
    "/unknown",
    "//metrics",
    "/metrics/",
    "/metrics//",
    "/./metrics",
    "/healthz/../metrics",
    "/METRICS",
    "/%6Detrics",
    "/metrics%00",
    "/metrics%2f",
    "/docs/",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json/",
    "/healthz/",
    "//healthz",
    "/readyz/x",
    "/v1",
    "/v1/",
    "/v1/webhooks",
    "/v1/webhooks/",
    "/v1/webhooks/nobody",
    "/v1/webhooks/alertmanager/",
    "/v1%2Fwebhooks%2Falertmanager",
    "/slack",
    "/slack/events/",
    "/-",
    "/static/x",
    "/metrics;x=1",
    "/healthz;/metrics",
)


async def hears(request: Request) -> PlainTextResponse:
    return PlainTextResponse("heard")


@asynccontextmanager
async def whole(settings: Settings) -> AsyncIterator[Place]:
    """The application with a route that looks after itself, as Slack's does."""
    async with opened(settings, routes=[Route("/slack/events", hears, methods=["POST"])]) as place:
        yield place


def every_path(place: Place) -> list[str]:
    routes = [str(route.path) for route in place.web.routes if isinstance(route, Route)]
    assert {AM, GRAFANA, EVENTS, "/metrics", "/docs", "/openapi.json", "/healthz", "/readyz", "/slack/events"} <= set(
        routes
    )
    return [*routes, *ODD_PATHS]


def words_of_the_code() -> list[str]:
    """Every text that stands in the code of the door and could be the name of a header."""
    modules = [
        *(ROOT / "agent/surfaces/webhook").glob("*.py"),
        *(ROOT / "agent/sources").glob("*.py"),
        ROOT / "agent/surfaces/slack/receiver.py",
    ]
    found: set[str] = {
        "-",
        "_",
        "x-admin",
        "x-forwarded-for",
        "x-forwarded-user",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "forwarded",
        "host",
        "origin",
        "cookie",
    }
    for module in modules:
        texts = [
            n.value
            for n in ast.walk(ast.parse(module.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        found |= {
            word.lower()
            for text in texts
            for word in (text, *text.split())
            if re.fullmatch(r"[A-Za-z0-9_.!#$%&'*+^`|~-]{1,60}", word)
        }
    assert {grafana.HEADER, "webhook-signature", "authorization", "-"} <= found
    return sorted(found - {"content-length", "transfer-encoding", "connection"})


def generated(count: int) -> Iterator[dict[str, str]]:
    """Headers that nobody thought of, the same ones in every run."""
    dice = random.Random(11)
    letters = string.ascii_letters + string.digits + "-_.!~"
    for _ in range(count):
        yield {
            "".join(dice.choices(letters, k=dice.randint(1, 24))): "".join(
                dice.choices(string.printable[:94], k=dice.randint(0, 40))
            ).strip()
            for _ in range(dice.randint(1, 4))
        }


async def asked(place: Place, method: str, path: str, headers: dict[str, str]) -> int:
    body = json.dumps(notification(alert())) if method == "POST" else ""
    answer = await place.nobody.request(method, path, content=body, headers={**JSON, **headers})
    if answer.status_code == 401:
        assert "Bearer" in answer.headers["www-authenticate"]
    return answer.status_code


async def test_every_route_by_every_method_is_closed_to_whoever_brings_nothing(tmp_path: Path) -> None:
    async with whole(door_settings(tmp_path)) as place:
        for path in every_path(place):
            for method in METHODS:
                status = await asked(place, method, path, {})
                assert status == (200 if (method, path) in OPEN else 401), (method, path)
        assert await place.half.entries() == []


async def test_no_header_opens_a_route_whatever_it_is_called_and_whatever_it_says(tmp_path: Path) -> None:
    words = words_of_the_code()
    assert len(words) > 200
    every = [{word: "1"} for word in words]
    every += list(generated(200))
    async with whole(door_settings(tmp_path)) as place:
        for method, path in (("POST", AM), ("POST", GRAFANA), ("POST", EVENTS), ("GET", "/metrics")):
            for headers in every:
                assert await asked(place, method, path, headers) == 401, (method, path, headers)
        for word in words:
            for told in (f"Bearer {word}", f"Basic {word}", word):
                assert await asked(place, "GET", "/metrics", {"authorization": told}) == 401, told
        together = {word: "1" for word in words if word not in ("authorization", "host")}
        for path in every_path(place):
            for method in ("GET", "POST"):
                for headers in (together, {"-": "1"}, *generated(5)):
                    status = await asked(place, method, path, headers)
                    assert status == (200 if (method, path) in OPEN else 401), (method, path, headers)
        assert await place.half.entries() == []


async def test_a_route_that_states_nothing_is_closed_even_to_a_token(place: Place) -> None:
    place.web.router.routes.append(Route("/forgotten", hears, methods=["GET", "POST"]))
    for method in ("GET", "POST"):
        is_problem(await place.nobody.request(method, "/forgotten"), 401)
        is_problem(await place.http.request(method, "/forgotten"), 404)


async def test_every_route_of_the_application_states_what_it_needs(place: Place) -> None:
    """And nothing else is stated, so that the table is read as the list of what can be reached."""
    routes = {
        (method, route.path) for route in place.web.routes if isinstance(route, Route) for method in route.methods or ()
    }
    assert routes == set(place.web.state.needs)
    assert {key for key, need in place.web.state.needs.items() if need.opened} == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }


async def test_what_is_no_http_request_is_closed(place: Place) -> None:
    """Also where a route would take it: no application behind the guard hears of it."""
    said, heard = [], []

    async def send(message: Any) -> None:
        said.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope["type"])

    scope = {
        "type": "websocket",
        "path": "/up",
        "method": "GET",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    guard = Guard(app, {("GET", "/up"): PUBLIC}, Keys(()), loopback=True, limit=10)
    for door in (guard, place.web):
        await door(scope, receive, send)
    assert (said, heard) == (["websocket.close"] * 2, [])


# -- signatures -------------------------------------------------------------------------------------------------------


async def test_a_signature_opens_its_own_source_alone(place: Place) -> None:
    """Made with the one secret, brought to the other's route, under the one or the other's header."""
    body = json.dumps(EVENT | notification(alert(), version="1")).encode()
    of_grafana, of_events = {grafana.HEADER: hex_hmac(GRAFANA_SECRET, body)}, standard(body)
    crossed = [
        (AM, of_grafana),
        (AM, of_events),
        (EVENTS, of_grafana),
        (GRAFANA, of_events),
        (EVENTS, standard(body, secret="whsec_Z3JhZmFuYS1zZWNyZXQ=")),
        (GRAFANA, {grafana.HEADER: of_events["webhook-signature"]}),
        (EVENTS, {**of_events, "webhook-signature": hex_hmac(GRAFANA_SECRET, body)}),
    ]
    for path, headers in crossed:
        is_problem(await place.nobody.post(path, content=body, headers=JSON | headers), 401)
    assert await place.half.entries() == []
    assert (await place.nobody.post(GRAFANA, content=body, headers=JSON | of_grafana)).status_code == 202
    assert (
        await place.nobody.post(EVENTS, content=body, headers={"Content-Type": STRUCTURED} | of_events)
    ).status_code == 202


@pytest.mark.parametrize("path", [GRAFANA, EVENTS])
async def test_without_a_secret_a_signature_opens_nothing_and_hinders_nobody(path: str, tmp_path: Path) -> None:
    settings = door_settings(tmp_path)
    settings = replace(settings, door=DoorSettings(settings.door.tokens))
    body = json.dumps(EVENT | notification(alert(), version="1")).encode()
    signed = {grafana.HEADER: hex_hmac("", body), **standard(body, secret="whsec_")}
    async with opened(settings) as place:
        is_problem(await place.nobody.post(path, content=body, headers=JSON | signed), 401)
        assert (await place.http.post(path, content=body, headers=JSON | signed)).status_code == 202


async def test_a_third_source_is_held_against_its_own_secret_and_its_body_is_bounded() -> None:
    """A source that nobody has written yet: what it needs beside the route is all that it takes."""
    from agent.sources.signature import Signature

    looked: list[tuple[str, bytes]] = []

    def genuine(secret: str, headers: object, body: bytes, now: float) -> bool:
        looked.append((secret, body))
        return body == b"mine"

    async def app(scope: object, receive: object, send: object) -> None:
        request = Request(scope, receive)  # type: ignore[arg-type]
        await PlainTextResponse(await request.body())(scope, receive, send)  # type: ignore[arg-type]

    need = Need(signature=Signature("x-third", SecretStr("third-secret"), genuine))
    guard = Guard(app, {("POST", "/third"): need, ("GET", "/up"): PUBLIC}, Keys(()), loopback=False, limit=10)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guard), base_url="http://x") as client:  # type: ignore[arg-type]
        assert (await client.post("/third", content=b"mine", headers={"X-Third": "1"})).text == "mine"
        is_problem(await client.post("/third", content=b"else", headers={"X-Third": "1"}), 401)
        is_problem(await client.post("/third", content=b"mine"), 401)
        is_problem(await client.post("/third", content=b"x" * 11, headers={"X-Third": "1"}), 413)
    assert looked == [("third-secret", b"mine"), ("third-secret", b"else")]


# -- scopes -----------------------------------------------------------------------------------------------------------

OPENS = {
    "alerts": {AM, GRAFANA},
    "events": {EVENTS},
    "metrics": {"/metrics"},
    "docs": {"/docs", "/openapi.json"},
    "alerts+metrics": {AM, GRAFANA, "/metrics"},
    "all": {AM, GRAFANA, EVENTS, "/metrics", "/docs", "/openapi.json"},
}


@pytest.mark.parametrize("scope", OPENS)
async def test_a_token_opens_what_it_is_for_and_is_told_what_it_is_not_for(scope: str, tmp_path: Path) -> None:
    async with opened(door_settings(tmp_path, tokens=(f"{scope}:scoped-token", "events:another"))) as place:
        token = {"Authorization": "Bearer scoped-token"}
        for path in OPENS["all"]:
            method, body = ("POST", EVENT | notification(alert())) if path.startswith("/v1") else ("GET", None)
            answer = await place.nobody.request(method, path, json=body, headers=token)
            if path in OPENS[scope]:
                assert answer.is_success, (path, answer.text)
            else:
                assert "STANCH_WEBHOOK_TOKENS" in is_problem(answer, 403)
            is_problem(
                await place.nobody.request(method, path, headers={"Authorization": f"Bearer {scope}:scoped-token"}), 401
            )


# -- against a real server --------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(place: Place) -> AsyncIterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = uvicorn.Server(configured(place.web, place.half.settings.serve))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def curled(*arguments: str) -> str:
    done = await asyncio.to_thread(subprocess.run, ["curl", "-s", *arguments], capture_output=True, timeout=20)
    return done.stdout.decode()


async def test_over_a_real_socket_a_header_called_dash_opens_nothing(tmp_path: Path) -> None:
    async with whole(door_settings(tmp_path)) as place, listening(place) as url:
        code = ("-o", "/dev/null", "-w", "%{http_code}", "-H", "-: 1", "--path-as-is")
        body = ("-H", "content-type: application/json", "-d", json.dumps(notification(alert())))
        paths = (
            "/metrics",
            "/docs",
            "/openapi.json",
            "//metrics",
            "/healthz/../metrics",
            "/%6detrics",
            "/metrics?x=/healthz",
        )
        assert await curled(*code, *body, f"{url}{AM}") == "401"
        assert [await curled(*code, f"{url}{path}") for path in paths] == ["401"] * len(paths)
        assert await curled(*code, f"{url}/healthz") == "200"


async def test_the_script_of_the_hostile_look_prints_401_four_times(tmp_path: Path) -> None:
    script = shared_data().parent / "cases" / "doors" / "dash-header.sh"
    if not script.exists():
        pytest.skip("the shared cases are not on this machine")
    async with whole(door_settings(tmp_path)) as place, listening(place) as url:
        done = await asyncio.to_thread(subprocess.run, ["bash", str(script), url], capture_output=True, timeout=30)
        assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["401"] * 4, done
