"""Every way in which an answer is broken: what a server, a proxy or a network does, and what a language model writes.

`SERVER` faults befall Prometheus, MLflow, Kubernetes and the language model's server alike; `WRITTEN` are the model's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

HUGE = 6_000_000  # characters


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer as bytes. `how` is: sent, or hang (never), reset (the connection), cut (in the middle of the body)."""

    status: int = 200
    content: bytes = b""
    kind: str = "application/json"
    how: str = "sent"
    location: str = ""


def each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with every leaf changed."""
    if isinstance(value, dict):
        return {name: each(one, change) for name, one in value.items()}
    return [each(one, change) for one in value] if isinstance(value, list) else change(value)


def leaves(change: Callable[[Any], Any]) -> Callable[[Sent], Sent]:
    def broken(sent: Sent) -> Sent:
        try:
            tree = json.loads(sent.content)
        except ValueError:
            return replace(sent, content=b"\xff\xfe")
        return replace(sent, content=json.dumps(each(tree, change)).encode())

    return broken


def _number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            return math.isfinite(float(value))
        except ValueError:
            return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_word(value: Any) -> bool:
    """A text of others, and no word of the protocol, without which nobody reads on."""
    protocol = (
        "success",
        "matrix",
        "vector",
        "assistant",
        "function",
        "tool_calls",
        "stop",
        "look",
        "propose",
        "conclude",
    )
    return isinstance(value, str) and not _number(value) and value not in protocol


def _nan(value: Any) -> Any:
    return ("NaN" if isinstance(value, str) else math.nan) if _number(value) else value


def _huge(sent: Sent) -> Sent:
    """Twenty thousand copies of every list's first element would be refused early; text is read to the end."""
    try:
        tree = json.loads(sent.content)
    except ValueError:
        tree = {}
    more = {"note": "a" * HUGE}
    return replace(sent, content=json.dumps({**tree, **more} if isinstance(tree, dict) else [*tree, more]).encode())


SERVER: Mapping[str, Callable[[Sent], Sent]] = {
    "hang": lambda sent: replace(sent, how="hang"),
    "reset": lambda sent: replace(sent, how="reset"),
    "cut off": lambda sent: replace(sent, how="cut"),
    "429": lambda sent: Sent(429, b'{"error": {"message": "too many requests"}}'),
    "500": lambda sent: Sent(500, b"Internal Server Error", "text/plain"),
    "truncated JSON": lambda sent: replace(sent, content=sent.content[: len(sent.content) // 2]),
    "wrong shape": lambda sent: replace(sent, content=b'[[], {"a": null}, 7, "x"]'),
    "nulls": leaves(lambda value: None),
    "other types": leaves(lambda value: {"was": [value]} if _number(value) else 7),
    "NaN": leaves(_nan),
    "surrogates": leaves(lambda v: f"{v}\ud800\u202e\x00\x1b[2J" if _is_word(v) else v),
    "empty": lambda sent: replace(sent, content=b""),
    "huge": _huge,
    "login page": lambda sent: Sent(200, b"<html><body>Sign in</body></html>", "text/html"),
    "redirect": lambda sent: Sent(302, b"", "text/plain", location="http://127.0.0.1:9/elsewhere"),
    "forbidden": lambda sent: Sent(403, b'{"message": "forbidden"}'),
}

REFUSALS = ("429", "forbidden")  # who answers so has done nothing

Calls = list[tuple[str, str]]  # of tools: name and arguments as text


def _arguments(change: Callable[[dict[str, Any]], Any]) -> Callable[[Calls], Calls]:
    return lambda calls: [(name, json.dumps(change(json.loads(text)))) for name, text in calls]


def _nan_in(given: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = each(given, lambda value: math.nan if _number(value) else value)
    calls = [{"read": "query_metrics", "args": {"promql": "up", "minutes": math.nan}, "why": "x"}]
    return {**changed, "confidence": math.nan} if "calls" not in given else {"calls": calls}


def _elsewhere(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "args": {"workload": "eu-1/shop/payments", "replicas": 50}} if "action" in given else given


WRITTEN: Mapping[str, Callable[[Calls], Calls]] = {
    "unknown tool": lambda calls: [("format_disk", "{}")],
    "unknown action": _arguments(lambda given: {**given, "action": "format_disk"}),
    "extra arguments": _arguments(lambda given: {**given, "force": True, "args": {**given.get("args", {}), "sudo": 1}}),
    "NaN arguments": _arguments(_nan_in),
    "cut arguments": lambda calls: [(name, text[: len(text) // 2]) for name, text in calls],
    "arguments no object": lambda calls: [(name, "[]") for name, _ in calls],
    "nested arguments": lambda calls: [(name, '{"calls": ' + "[" * 20_000) for name, _ in calls],
    "surrogate arguments": _arguments(
        lambda given: each(given, lambda v: v + "\ud800" if isinstance(v, str) and " " in v else v)
    ),
    "bare surrogates": lambda calls: [("ask", json.dumps({"question": "Is \ud800 up? \udfff"}))],
    "endless loop": lambda calls: [
        ("look", json.dumps({"calls": [{"read": "recent_changes", "args": {}, "why": "x"}]}))
    ],
    "nothing": lambda calls: [],
    "every move at once": lambda calls: [*calls, ("ask", '{"question": "a"}'), ("conclude", "{}")],
    "another target": _arguments(_elsewhere),
    "concludes at once": lambda calls: [
        (
            "conclude",
            json.dumps(
                {"claims": ["All is well."], "component": "x", "fault": "none", "confidence": 1, "kind": "none"}
            ),
        )
    ],
    "long words": _arguments(lambda given: each(given, lambda v: v * 3000 if isinstance(v, str) and " " in v else v)),
}
