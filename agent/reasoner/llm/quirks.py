"""What one server wants otherwise than others: learned from what it refuses, and kept to from then on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.reasoner.llm.provider_extras import Message

REFUSED = (400, 422, 500, 501)  # some servers answer a client's fault with 500
_LENGTHS = ("max_tokens", "max_completion_tokens")
_OWN = {"role", "content", "tool_calls", "tool_call_id", "id", "type", "function", "name", "arguments"}
_SYSTEM = re.compile(r"\bsystem\W+(?:role|message|prompt)|\brole\b.{0,60}\bsystem\b|\bonly user\b", re.IGNORECASE)
_ALTERNATE = re.compile(r"\balternat", re.IGNORECASE)
_STREAM = re.compile(r"\bstream(?:ing|ed)?\b", re.IGNORECASE)
_WANTED = re.compile(r"\b(?:only|must|required?|true|enable|needs?)\b", re.IGNORECASE)


@dataclass
class Manners:
    """`lengths` are the names to send the limit of the answer's tokens under, unless they are refused."""

    both: bool  # send the limit under both names; else under the newer one, and under the older where that is refused
    refused: set[str] = field(default_factory=set)  # fields that are left out
    folds: bool = False  # no system role: its text goes in front of the user's
    merges: bool = False  # user and assistant take turns: neighbours of one role become one
    streams: bool = False  # answers are only streamed

    def request(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], tokens: int) -> dict[str, Any]:
        """The fields of a request, as this server takes them."""
        lengths = [name for name in reversed(_LENGTHS) if name not in self.refused]
        found: dict[str, Any] = {"messages": self._messages(messages)}
        found |= {"tools": list(tools)} if tools else {}
        found |= dict.fromkeys(lengths if self.both else lengths[:1], tokens)
        found |= {"stream": True, "stream_options": {"include_usage": True}} if self.streams else {}
        return {key: value for key, value in found.items() if key not in self.refused}

    def learn(self, body: str, request: Mapping[str, Any]) -> bool:
        """Whether a refusal taught something that makes another attempt worth it."""
        named, text = _said_of(body)
        sent = [*(key for key in request if key not in ("messages", "tools", "stream")), *_extras(request["messages"])]
        wrong = next((name for name in named if name in sent), None) or _first_named(text, sent)
        if wrong is not None and wrong not in self.refused:
            self.refused.add(wrong)
        elif not self.folds and _SYSTEM.search(text):
            self.folds = True
        elif not self.merges and _ALTERNATE.search(text):
            self.folds = self.merges = True
        elif not self.streams and _STREAM.search(text) and _WANTED.search(text):
            self.streams = True
        else:
            return False
        return True

    def _messages(self, messages: Sequence[Message]) -> list[Message]:
        found = [_without(one, self.refused) for one in messages]
        if self.folds and found and found[0]["role"] == "system":
            found = _joined([{**found[0], "role": "user"}, *found[1:]], 2)
        return _joined(found, len(found)) if self.merges else found


def _without(message: Message, refused: set[str]) -> Message:
    kept = {key: value for key, value in message.items() if key not in refused}
    if "tool_calls" in kept:
        kept["tool_calls"] = [{k: v for k, v in call.items() if k not in refused} for call in kept["tool_calls"]]
    return kept


def _joined(messages: Sequence[Message], first: int) -> list[Message]:
    """Neighbours that are both a user's become one, among the first so many messages."""
    found: list[Message] = []
    for place, one in enumerate(messages):
        if place < first and found and one["role"] == found[-1]["role"] == "user":
            found[-1] = {**one, "content": f"{found[-1]['content']}\n\n{one['content']}"}
        else:
            found.append(one)
    return found


def _extras(messages: Sequence[Message]) -> list[str]:
    """Names of what stands in messages and calls besides what the API itself knows."""
    calls = [call for one in messages for call in one.get("tool_calls") or ()]
    parts = [*messages, *calls, *(call["function"] for call in calls)]
    return list(dict.fromkeys(key for part in parts for key in part if key not in _OWN))


def _said_of(body: str) -> tuple[list[str], str]:
    """The fields a refusal points at, and its words without what it repeats of the request."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return [], body[:2000]
    named: list[str] = []
    words: list[str] = []
    for one in _errors(found):
        named += [str(one["param"])] if one.get("param") else []
        named += [str(part) for part in one.get("loc") or () if isinstance(one.get("loc"), list)]
        words += [str(one[key]) for key in ("message", "msg", "detail") if isinstance(one.get(key), str)]
    return [part for name in named for part in re.split(r"[.\[\]]+", name)], " ".join(words)[:2000] or body[:2000]


def _errors(found: Any) -> Iterator[dict[str, Any]]:
    """`{error: {…}}`, `{detail: [{loc, msg}]}`, `{message}`, or a list of them."""
    if isinstance(found, list):
        for one in found:
            yield from _errors(one)
    elif isinstance(found, dict):
        yield found
        for key in ("error", "detail"):
            inner = found.get(key)
            yield from _errors({"message": inner} if isinstance(inner, str) else inner)


def _first_named(text: str, names: Sequence[str]) -> str | None:
    places = {name: found.start() for name in names if (found := re.search(rf"\b{re.escape(name)}\b", text))}
    return min(places, key=lambda name: places[name]) if places else None
