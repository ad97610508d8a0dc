"""JSON that may be long: the same as `json.loads` reads, but what holds alerts is read a portion at a time."""

from __future__ import annotations

import json
import re
from json.decoder import JSONDecodeError
from typing import Any

from agent.errors import TooMany
from agent.sources.portions import PORTION, Steps

_JSON = json.JSONDecoder(parse_constant=lambda word: None)  # making one takes longer than reading a body
_BLANKS = re.compile(r"[ \t\n\r]*")
SHORT = 65_536  # characters that are read in one go: 1 ms


def decoded(text: str, most: int | None = None) -> Steps[Any]:
    """What the text says; ValueError where it is not JSON. TooMany where a list that stands outermost, or under `alerts`
    of what stands there, has more than `most` entries."""
    at = _blank(text, 0)
    if len(text) <= SHORT:
        value = _JSON.decode(text)
        listed = value.get("alerts") if isinstance(value, dict) else value
        if isinstance(listed, list):
            _bounded(listed, most)
        return value
    if text[at : at + 1] == "[":
        value, at = yield from _list(text, at, most)
    elif text[at : at + 1] == "{":
        value, at = yield from _object(text, at, most)
    else:
        value, at = _JSON.raw_decode(text, at)
    if (end := _blank(text, at)) != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _object(text: str, at: int, most: int | None) -> Steps[tuple[dict[str, Any], int]]:
    found: dict[str, Any] = {}
    at = _blank(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = _JSON.raw_decode(text, at)
        at = _blank(text, at)
        if text[at : at + 1] != ":":
            raise JSONDecodeError("Expecting ':' delimiter", text, at)
        at = _blank(text, at + 1)
        if name == "alerts" and text[at : at + 1] == "[":
            found[name], at = yield from _list(text, at, most)
        else:
            found[name], at = _JSON.raw_decode(text, at)
        more, at = _more(text, at, "}")
        if not more:
            return found, at


def _list(text: str, at: int, most: int | None) -> Steps[tuple[list[Any], int]]:
    found: list[Any] = []
    at = _blank(text, at + 1)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _JSON.raw_decode(text, at)
        found.append(value)
        _bounded(found, most)
        more, at = _more(text, at, "]")
        if not more:
            return found, at
        if len(found) % PORTION == 0:
            yield


def _more(text: str, at: int, end: str) -> tuple[bool, int]:
    """Whether another member follows, and where; else what comes after the end."""
    at = _blank(text, at)
    if text[at : at + 1] == end:
        return False, at + 1
    if text[at : at + 1] != ",":
        raise JSONDecodeError("Expecting ',' delimiter", text, at)
    return True, _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    """The next place that holds no blank."""
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _bounded(listed: list[Any], most: int | None) -> None:
    if most is not None and len(listed) > most:
        raise TooMany(f"There are more than {most:,} alerts in it.")
