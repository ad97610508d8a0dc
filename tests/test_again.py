"""Reads meet connections that a server has just closed; that is no outage."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from agent.app import Again

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def asked(client: httpx.AsyncClient, method: str) -> str:
    return (await client.request(method, "/")).text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_dropped_connection_is_tried_again_for_reads_only(method: str) -> None:
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        if seen > 1:
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(base_url=url, transport=Again()) as client:
        if method == "GET":
            assert await asked(client, method) == "ok"
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await asked(client, method)
    assert seen == (2 if method == "GET" else 1)
