"""The wire under the door: how many connections, and how long each may take to say what it wants.

uvicorn waits for ever for a first byte, for the end of the headers and for the end of a body, and its own limit counts
requests: a connection that says nothing is none.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from agent.settings_file import ServeSection
from agent.surfaces.webhook.problems import Refusal, answer, later
from agent.surfaces.webhook.security_headers import HEADERS

STALLED_S = 1.0  # a timer that fires so much too late says that we were slow, not the sender


def configured(api: ASGIApp, limits: ServeSection, **more: Any) -> uvicorn.Config:
    """How uvicorn serves the door. No header tells it who calls, and no answer names it."""

    class Limited(Patient):
        max_connections, headers_s, body_s = limits.max_connections, limits.headers_s, limits.body_s

    return uvicorn.Config(
        api,
        http=Limited,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        **more,
    )


class Patient(HttpToolsProtocol):
    """One connection. It waits for headers from the first moment, then for the body; while we work nothing runs out."""

    max_connections: int
    headers_s: float
    body_s: float
    _awaited = ""  # what has to be whole in time: headers, body, or nothing
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(
                later(f"{self.max_connections} connections are open, the most there may be (serve.max_connections).")
            )
        else:
            self._wait_for("headers", self.headers_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for("")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._awaited == "" and (self.cycle is None or self.cycle.response_complete):
            self._wait_for(
                "headers", self.headers_s
            )  # blank lines before a request begin none that the parser tells of
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._awaited != "headers":
            self._wait_for("headers", self.headers_s)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._wait_for("body", self.body_s)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._wait_for("")

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal(400, msg))

    def _wait_for(self, what: str, seconds: float = 0.0) -> None:
        self._awaited = what
        if self._timer is not None:
            self._timer.cancel()
        due = self.loop.time() + seconds
        self._timer = self.loop.call_at(due, self._late, seconds, due) if what else None

    def _late(self, seconds: float, due: float) -> None:
        if self.loop.time() - due > STALLED_S:
            self._wait_for(self._awaited, seconds)
            return
        told = (
            f"The {self._awaited} of the request did not come whole within {seconds:g} seconds. Send it again, faster."
        )
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and (self.cycle.response_started or self._awaited == "headers" or self.pipeline):
            self.transport.close()  # an answer is on its way: one in the middle of it would be no answer
        elif self._awaited == "body" and not answering:
            self.transport.close()  # it was answered before it was whole
        else:
            self._refuse(Refusal(408, told))

    def _refuse(self, refusal: Refusal) -> None:
        """An answer that no application gives, and the end of the connection."""
        told = answer(refusal)
        said = {**HEADERS, **dict(told.headers), "connection": "close"}
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in said.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines.encode("latin-1") + b"\r\n" + bytes(told.body))
        self._wait_for("")
        self.transport.close()
