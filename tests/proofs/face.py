"""One HTTP server before the lab's faces and a scripted language model, which breaks answers of one of them at one step.

It is written on bare sockets, since a fault may be a connection that is reset or hangs. What the lab answers to the same
question at the same moment is kept: hundreds of incidents are played against it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from agent.lab.server import Lab
from tests.proofs.faults import REFUSALS, SERVER, WRITTEN, Sent
from tests.scripted_llm import completion

KINDS = ("llm", "prometheus", "mlflow", "kubernetes")
KEPT: dict[tuple[Any, ...], Sent] = {}


@dataclass
class Fault:
    """`what` befalls every answer of `who` during `step`, or from it on (`stays`)."""

    who: str = ""
    what: str = ""
    step: str = ""
    stays: bool = False


@dataclass
class Face:
    """`step` is moved on by whoever plays. `play` are the model's moves, one an answer; the last is repeated."""

    lab: Lab
    fault: Fault
    steps: Sequence[str]
    play: Sequence[tuple[str, dict[str, Any]]]
    step: str = "look"
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    hit: int = 0
    _turns: int = 0
    _loose: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**24)
        self.url = self.lab.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.lab.app()), base_url=self.url
        ) as self._inside:
            try:
                yield self.url
            finally:
                server.close()
                for task in list(self._loose):
                    task.cancel()
                await asyncio.gather(*self._loose, return_exceptions=True)
                await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection may be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        sent = await self._answer(method, target, headers, body)
        if sent.how == "hang":
            await asyncio.Event().wait()
        if sent.how == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        location = f"location: {sent.location}\r\n" if sent.location else ""
        first = f"HTTP/1.1 {sent.status} x\r\ncontent-type: {sent.kind}\r\n{location}content-length: {len(sent.content)}\r\n\r\n"
        content = sent.content[: len(sent.content) // 2] if sent.how == "cut" else sent.content
        writer.write(first.encode() + content)
        await writer.drain()
        return sent.how != "cut"

    async def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Sent:
        who = "llm" if target.endswith("/chat/completions") else target.split("/")[1]
        if self.step == "act" and method not in ("GET", "HEAD") and who in ("kubernetes", "mlflow"):
            self.step = "effect"  # the answer to the change itself, and what is asked after it
        self.asked[f"{who} {self.step}"] += 1
        broken = self._broken(who)
        self.hit += broken
        if who == "llm":
            sent = self._said(broken)
        elif broken and self.fault.what in REFUSALS:
            sent = Sent()
        else:
            sent = await self._of_lab(method, target, headers, body)
        return SERVER[self.fault.what](sent) if broken and self.fault.what in SERVER else sent

    def _broken(self, who: str) -> bool:
        if who != self.fault.who:
            return False
        if who == "llm":  # its steps are its own answers: the first of a step, or all from then on
            turn = self.steps.index(self.fault.step)
            return self._turns >= turn if self.fault.stays else (self._turns == turn and not self.hit)
        now, then = self.steps.index(self.step), self.steps.index(self.fault.step)
        return now >= then if self.fault.stays else now == then

    def _said(self, broken: bool) -> Sent:
        """The model's next move; one that was broken is still to be made."""
        name, arguments = self.play[min(self._turns, len(self.play) - 1)]
        calls = [(name, json.dumps(arguments))]
        if broken:
            calls = WRITTEN[self.fault.what](calls) if self.fault.what in WRITTEN else calls
        else:
            self._turns += 1
        return Sent(content=json.dumps(completion(*calls)).encode())

    async def _of_lab(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Sent:
        key = (self.lab.scenario.name, target, len(self.lab.effects()), self.lab.clock.now(), body)
        if method in ("GET", "POST") and key in KEPT:
            return KEPT[key]
        passed = {name: value for name, value in headers.items() if name in ("content-type", "accept")}
        answer = await self._inside.request(method, target, content=body, headers=passed)
        sent = Sent(answer.status_code, answer.content, answer.headers.get("content-type", "text/plain"))
        changed = len(self.lab.effects()) != key[2]
        if method in ("GET", "POST") and not changed and self.url.encode() not in sent.content:
            KEPT[key] = sent
        return sent
