"""Values into PromQL text, quoted by where they stand: as a string of their own, within quotes, or in a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from agent.errors import UnusableInput
from tools.context import Json

MARK = "\0"  # `\0N\0` stands for value number N until it is filled in
_TOKEN = re.compile(r"\0(\d+)\0|\\[^\0]|.", re.DOTALL)
_REGEX = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Reference(str):
    """A workload as `cluster/namespace/name`. In PromQL, where labels hold bare names, it stands as its last part."""

    __slots__ = ()


class OrAbsent(str):
    """A value that series of this very place may lack: a cluster is often an external label, which alerts carry and the
    series in the Prometheus at hand do not. After `=~` it also matches series without the label; unknown (""), any."""

    __slots__ = ()


def fill(text: str, values: Sequence[Json]) -> str:
    """The text with every mark replaced by its value; UnusableInput where a value cannot stand.

    Outside quotes text becomes a whole PromQL string and a number a number; within quotes it is escaped for them. After
    `=~` and `!~` it is escaped as a regular expression too. Only the text decides what is quoted, never a value.
    """
    return "".join(_filled(text, values))


def _filled(text: str, values: Sequence[Json]) -> Iterator[str]:
    quote, before = "", ""
    regex = False  # the string at hand is a regular expression
    for token in _TOKEN.finditer(text):
        piece = token.group()
        if token.group(1) is not None:
            if not quote:
                regex = before.rstrip().endswith(("=~", "!~"))
            yield _written(values[int(token.group(1))], quote, regex)
            before = ""
            continue
        if piece == "\\":
            raise UnusableInput("a backslash cannot stand right before a value; remove it.")
        if not quote and piece in ('"', "'", "`", "#"):
            quote, regex = piece, before.rstrip().endswith(("=~", "!~"))
        elif quote and _ends(piece, quote):
            quote = ""
        before = (before + piece)[-8:]
        yield piece


def _ends(piece: str, quote: str) -> bool:
    if quote == "#":
        return piece.endswith("\n")
    return piece == quote or (quote == "`" and piece == "\\`")  # a raw string knows no escapes


def _written(value: Json, quote: str, regex: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableInput(f"{value!r} cannot stand in PromQL; only text and numbers can.")
    if not isinstance(value, str):
        return repr(value)
    text = value.rsplit("/", 1)[-1] if isinstance(value, Reference) else value
    _encodable(text)
    if regex:
        text = _REGEX.sub(r"\\\g<0>", text)
        if isinstance(value, OrAbsent):
            text = f"{text}|" if value else ".*"
    if quote == "`":
        raise UnusableInput("a value cannot stand in a `raw` PromQL string; use double quotes.")
    if quote == "'":
        return json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    whole = json.dumps(text, ensure_ascii=False)
    return whole[1:-1] if quote == '"' else whole


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnusableInput(f"{text!r} holds half a character and cannot be sent; correct the name.") from None
