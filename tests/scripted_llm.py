"""An endpoint that speaks the chat-completions API and answers from a list: for tests that need a language model.

`async with ScriptedLlm([look(…), conclude(…)]).served() as url:` gives a base URL. An answer is a dict (the body), an int (a
status), bytes (sent as they are), a float (seconds of silence before the next one), or DIE (the server goes away).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DIE = object()


def completion(
    *calls: tuple[str, dict[str, Any] | str], text: str | None = None, finish: str = "tool_calls", **message: Any
) -> dict[str, Any]:
    """A response body. A call is (tool, arguments); arguments that are a str are sent as they are."""
    tool_calls = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for n, (name, given) in enumerate(calls)
    ]
    said = {"role": "assistant", "content": text, **({"tool_calls": tool_calls} if tool_calls else {}), **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": said, "finish_reason": finish if tool_calls else "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def look(*reads: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return completion(("look", {"calls": [{"read": name, "args": args, "why": "to see"} for name, args in reads]}))


def conclude(fault: str = "unknown", component: str = "", claims: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    given = {
        "claims": list(claims),
        "component": component,
        "fault": fault,
        "confidence": 0.5,
        "kind": "unknown",
        **more,
    }
    return completion(("conclude", given))


class ScriptedLlm:
    """`requests` keeps the body of every request, in order. Without answers left it answers 500."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self._server: uvicorn.Server | None = None

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        self.requests.append(await request.json())
        answer = self.answers.pop(0) if self.answers else 500
        while isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = self.answers.pop(0) if self.answers else 500
        if answer is DIE:
            self.kill()
            return Response(b"", 502, headers={"connection": "close"})
        if isinstance(answer, int):
            return JSONResponse({"error": {"message": f"scripted {answer}"}}, answer)
        return Response(answer, media_type="application/json") if isinstance(answer, bytes) else JSONResponse(answer)

    def kill(self) -> None:
        """No further request is answered."""
        self.answers = []
        if self._server is not None:
            self._server.should_exit = True

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            config = uvicorn.Config(self.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
            self._server = _Quiet(config)
            task = asyncio.create_task(self._server.serve(sockets=[listener]))
            while not self._server.started:
                if task.done():
                    task.result()
                await asyncio.sleep(0.005)
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            finally:
                self._server.should_exit = True
                await task


class _Quiet(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        return
