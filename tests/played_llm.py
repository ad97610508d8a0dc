"""A chat-completions endpoint on loopback that plays a script: one answer a request, in order, each kept to be looked at."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USED = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}

Message = dict[str, Any]
Line = Callable[[Message], tuple[int, Any]]  # from the request to status and body


def says(text: str) -> Line:
    return lambda request: (200, _completion({"role": "assistant", "content": text}))


def calls(name: str, arguments: Any) -> Line:
    """A tool call; `arguments` as text go out as they are, however broken."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": written}}
    return lambda request: (200, _completion({"role": "assistant", "content": None, "tool_calls": [call]}))


def fails(status: int) -> Line:
    return lambda request: (status, {"error": {"message": f"scripted {status}", "type": "server_error"}})


def _completion(message: Message) -> dict[str, Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
        "usage": USED,
    }


@dataclass
class Script:
    """`url` is the base URL; `requests` what was asked so far. After the last line the endpoint is dead: it hangs up."""

    lines: Sequence[Line]
    url: str = ""
    requests: list[Message] = field(default_factory=list)

    def next(self, request: Message) -> tuple[int, Any] | None:
        self.requests.append(request)
        if len(self.requests) > len(self.lines):
            return None
        return self.lines[len(self.requests) - 1](request)


@contextmanager
def scripted(*lines: Line) -> Iterator[Script]:
    script, lock = Script(lines), threading.Lock()

    class Endpoint(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                answer = script.next(request)
            if answer is None:
                self.close_connection = True
                return
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
