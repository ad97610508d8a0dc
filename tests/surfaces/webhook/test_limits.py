"""Raw sockets against the real server: who dawdles is sent away, and not everybody may come at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent.surfaces.webhook.security_headers import HEADERS
from tests.surfaces.webhook.conftest import AM, TOKEN, Place, alert, door_settings, notification, opened
from tests.surfaces.webhook.test_auth import listening

QUICK = {"headers_s": 0.4, "body_s": 0.6, "max_connections": 8}
POST = f"POST {AM} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n".encode()
SLOW_S = 1.5


async def slow(request: Request) -> PlainTextResponse:
    """It takes longer than anybody has to speak."""
    await request.body()
    await asyncio.sleep(SLOW_S)
    return PlainTextResponse("slow")


async def fails(request: Request) -> PlainTextResponse:
    raise RuntimeError("planted")


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[tuple[Place, str, int]]:
    settings = door_settings(tmp_path)
    settings = replace(settings, serve=settings.serve.model_copy(update=QUICK))
    routes = [Route("/slow", slow, methods=["POST"]), Route("/fails", fails, methods=["POST"])]
    async with opened(settings, routes=routes) as place, listening(place) as url:
        yield place, url, int(url.rpartition(":")[2])


async def said(port: int, parts: Sequence[bytes], pause: float = 0.0) -> tuple[bytes, float]:
    """What comes back until the connection ends, and after how many seconds; the parts are sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()

    async def send() -> None:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(8):
            with suppress(ConnectionError):
                return await reader.read(), time.monotonic() - began
        return b"", time.monotonic() - began
    finally:
        sending.cancel()
        writer.close()


DAWDLING = {
    "nothing at all": [],
    "half a line": [b"GET /hea"],
    "no end of the headers": [b"GET /healthz HTTP/1.1\r\nHost: x\r\n"],
    "a header a moment": [b"GET /healthz HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 40],
    "blank lines for ever": [b"\r\n"] * 40,
    "a byte a moment": [bytes([byte]) for byte in b"GET /healthz HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
}


@pytest.mark.parametrize("parts", DAWDLING.values(), ids=DAWDLING.keys())
async def test_headers_that_do_not_come_whole_in_time_end_the_connection(parts: list[bytes], tmp_path: Path) -> None:
    async with served(tmp_path) as (_, _, port):
        answer, seconds = await said(port, parts, 0.1)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"headers of the request did not come whole within 0.4 seconds" in answer
        assert 0.3 < seconds < 1.5


async def test_so_do_those_of_a_second_request_on_the_same_connection(tmp_path: Path) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(tmp_path) as (_, _, port):
        for rest in ([b"GET /he"], [b"\r\n"] * 30):
            answer, seconds = await said(port, [first, *rest], 0.1)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"HTTP/1.1 408 " in answer
            assert seconds < 2


async def test_a_body_that_trickles_is_given_up_and_nothing_is_kept(tmp_path: Path) -> None:
    head = POST + b"Content-Length: 5000\r\n\r\n"
    async with served(tmp_path) as (place, _, port):
        for parts in (
            [head, *[b" "] * 60],
            [head],
            [POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 60],
        ):
            answer, seconds = await said(port, parts, 0.1)
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert b"body of the request did not come whole within 0.6 seconds" in answer
            assert 0.5 < seconds < 2
        assert await place.half.entries() == []


async def test_a_body_that_trickles_on_after_its_refusal_ends_the_connection(tmp_path: Path) -> None:
    head = f"POST {AM} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode()
    async with served(tmp_path) as (_, _, port):
        answer, seconds = await said(port, [head, *[b" "] * 60], 0.1)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert seconds < 2


async def test_our_own_slowness_runs_nobody_out_of_time(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url, _), httpx.AsyncClient(base_url=url) as client:
        for _ in range(2):  # on one connection
            assert (await client.post("/slow", content=b"x" * 100_000, timeout=10)).text == "slow"


async def test_one_connection_too_many_is_told_to_come_back_and_silent_ones_make_room(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        answer, seconds = await said(port, [])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in answer
        assert b"serve.max_connections" in answer
        assert seconds < 0.3
        await asyncio.sleep(0.6)
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/healthz")).status_code == 200
        for _, writer in silent:
            writer.close()


async def test_a_hundred_silent_connections_hold_up_no_alert(tmp_path: Path) -> None:
    async with served(tmp_path) as (place, url, port):
        many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        await asyncio.sleep(0.6)
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            assert (await client.post(AM, json=notification(alert()))).status_code == 202
        for _, writer in many:
            writer.close()
        assert len(await place.half.entries()) == 1


# -- what every answer says -------------------------------------------------------------------------------------------

BODY = json.dumps(notification(alert())).encode()
ANSWERS = {
    "200": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "401": b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "404": f"GET /nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode(),
    "202": POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(BODY), BODY),
    "400": b"NO HTTP AT ALL\r\n\r\n",
    "408": b"GET",
    "500": b"POST /fails HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("status", ANSWERS)
async def test_every_answer_carries_the_headers_that_a_scanner_looks_for_and_names_no_server(
    status: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as (_, _, port):
        answer, _ = await said(port, [ANSWERS[status]])
        head = answer.partition(b"\r\n\r\n")[0].decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert first.split()[1] == status, answer
        assert len(headers) == len(lines), "none is said twice"
        assert "server" not in headers
        assert {name: headers.get(name.lower()) for name in HEADERS} == dict(HEADERS)
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "planted" not in answer.decode()
