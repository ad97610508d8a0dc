"""A server's answer, read: a whole completion, or a stream of pieces put together. Any part of it may be of any type.

Besides the text and the calls it keeps what the provider wants to see again in the next request (`given`): the call's own id,
thoughts, signatures, whatever else stood in the message and in its calls that the API itself does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.domain.text import whole

MOST_COUNTED = 100_000_000  # tokens of one request that are believed
MOST_GIVEN = 32_000  # characters kept of what one provider wants back for one move
_MESSAGE = {"role", "content", "tool_calls", "refusal", "annotations", "audio", "function_call", "parsed", "name"}
_CALL = {"id", "type", "function", "index"}
_FUNCTION = {"name", "arguments", "parsed_arguments"}
_EVENTS = re.compile(r"\s*(?:data|event|id|retry)?:")


class NoCompletion(ValueError):
    """What came is no chat completion."""


class CutOff(ValueError):
    """A stream that ended before its answer did."""


class InsideError(ValueError):
    """An error that came as a success. `code` is what the server says it was, 0 where it says nothing."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Said:
    """A server's answer, as far as it made sense. `asked` and `answered` are its own count of tokens, 0 where it has none."""

    text: str
    calls: tuple[tuple[str, str], ...] = ()  # name and arguments
    finish: str = ""
    refusal: str = ""
    asked: int = 0
    answered: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)  # {id, call, function, message}: to be given back
    cut: bool = False  # the server says that it did not read all of the request

    @property
    def written(self) -> str:
        return self.text + "".join(name + arguments for name, arguments in self.calls)


def said(body: str) -> Said:
    """The answer in a response's text. Raises NoCompletion, CutOff, InsideError."""
    found = _whole_answer(body)
    choice = _first(found.get("choices"))
    _no_error_in(found, choice)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise NoCompletion("it answered something that is no chat completion")
    raw = [one for one in _listed(message.get("tool_calls")) if isinstance(one.get("function"), dict)]
    usage: Any = found["usage"] if isinstance(found.get("usage"), dict) else {}
    return Said(
        text=whole(text) if isinstance(text := message.get("content"), str) else _parts(text),
        calls=tuple(_written(one["function"]) for one in raw),
        finish=str(choice.get("finish_reason") or ""),
        refusal=str(message.get("refusal") or ""),
        asked=_count(usage.get("prompt_tokens")),
        answered=_count(usage.get("completion_tokens")),
        given=_given(message, raw),
        cut=found.get("truncated") is True or choice.get("truncated") is True,
    )


def _whole_answer(body: str) -> dict[str, Any]:
    if _EVENTS.match(body):
        return joined(list(_pieces(body)))
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NoCompletion("it answered something that is no JSON") from None
    if isinstance(found, list):  # some wrap their errors so
        found = next((one for one in found if isinstance(one, dict)), None)
    if not isinstance(found, dict):
        raise NoCompletion("it answered something that is no chat completion")
    return found


def _no_error_in(found: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
    error = found.get("error") or choice.get("error")
    if not error:
        return
    told = error if isinstance(error, dict) else {"message": error}
    code = str(told.get("code"))
    raise InsideError(str(told.get("message") or told), int(code) if re.fullmatch("[0-9]{3}", code) else 0)


def _pieces(body: str) -> Iterator[dict[str, Any]]:
    """The JSON of each `data:` line of an event stream; a last `[DONE]` as a piece that says so."""
    for line in body.splitlines():
        text = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if text == "[DONE]":
            yield {"done": True}
        elif text:
            try:
                piece = json.loads(text)
            except (ValueError, RecursionError):
                raise CutOff("its stream broke off within a piece") from None
            if isinstance(piece, dict):
                yield piece


def joined(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The completion that pieces of a stream make together. Raises CutOff where its end is missing."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    found: dict[str, Any] = {"choices": [{"message": message, "finish_reason": None}]}
    choice = found["choices"][0]
    for piece in pieces:
        found |= {key: piece[key] for key in ("usage", "error", "truncated") if piece.get(key)}
        if _listed(piece.get("choices")):
            part = _first(piece["choices"])
            choice |= {key: part[key] for key in ("finish_reason", "error") if part.get(key)}
            delta = part.get("delta") if isinstance(part.get("delta"), dict) else part.get("message")
            _add(message, delta if isinstance(delta, dict) else {})
    ended = choice["finish_reason"] or any(piece.get("done") for piece in pieces)
    if not ended and not found.get("error") and not choice.get("error"):
        raise CutOff("its stream ended before the answer did")
    return found


def _add(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """One piece's share: text is appended, calls by their index, and what is neither replaces what was there."""
    for key, value in delta.items():
        if key == "tool_calls":
            for one in _listed(value):
                _add_call(message["tool_calls"], one)
        elif key != "role" and value is not None:
            _append(message, key, value)


def _add_call(calls: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Servers leave out the index, or repeat id and name with every piece."""
    index = piece.get("index")
    mine = next((c for c in calls if index is not None and c["index"] == index), None)
    if mine is None and index is None and calls and piece.get("id") in (None, "", calls[-1].get("id")):
        mine = calls[-1]
    if mine is None:
        mine = {"index": index, "function": {"name": "", "arguments": ""}}
        calls.append(mine)
    for key, value in piece.items():
        if key not in ("index", "function") and value:
            mine[key] = value
    function = piece.get("function")
    for key, value in (function if isinstance(function, dict) else {}).items():
        if key == "name":
            mine["function"]["name"] = mine["function"]["name"] or value or ""
        elif value is not None:
            _append(mine["function"], key, value)


def _append(place: dict[str, Any], key: str, value: Any) -> None:
    old = place.get(key)
    if (isinstance(old, str) and isinstance(value, str)) or (isinstance(old, list) and isinstance(value, list)):
        place[key] = old + value  # type: ignore[operator]
    elif value != "" or old is None:
        place[key] = value


def _written(function: Mapping[str, Any]) -> tuple[str, str]:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return whole(str(function.get("name") or "")), whole(text)


def _given(message: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several calls, what stands with the first that has something: they are given back as one move."""
    ids = [str(one["id"]) for one in calls if isinstance(one.get("id"), str)]
    found: dict[str, Any] = {"id": ids[0][:200]} if ids else {}
    parts = {
        "call": next((more for one in calls if (more := _more(one, _CALL))), {}),
        "function": next((more for one in calls if (more := _more(one["function"], _FUNCTION))), {}),
        "message": _more(message, _MESSAGE),
    }
    for name, part in parts.items():  # what belongs to the call is needed most
        while part and _size(found) + _size(part) > MOST_GIVEN:
            del part[max(part, key=lambda key: _size(part[key]))]
        found |= {name: part} if part else {}
    return dict(whole(found))


def _more(part: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    return {
        key: value
        for key, value in part.items()
        if key not in known and value not in (None, "", [], {}, False) and _is_json(value)
    }


def _is_json(value: Any) -> bool:
    """Python reads 1e999 and NaN as numbers, which JSON cannot spell: they can be neither kept nor sent."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))


def _parts(content: Any) -> str:
    """Content as a list of parts: the texts among them."""
    texts = [part.get("text") for part in _listed(content)]
    return str(whole("".join(text for text in texts if isinstance(text, str))))


def _listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _first(value: Any) -> dict[str, Any]:
    found = _listed(value)
    return found[0] if found else {}


def _count(value: Any) -> int:
    """A number of tokens, or 0 where it is none: a server's word must not lift a budget."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_COUNTED else 0
