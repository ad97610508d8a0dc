"""Calls as models write them where their server does not read them: as text, fenced, in tags, with a prefix or suffix.

Read only where what is left names a tool that there is; nothing else is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_THOUGHT_BEFORE = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL)  # a template may have opened it
_TAG = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|tool_call)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_HARMONY = re.compile(r"\bto=([\w.-]{1,80})[^{]{0,200}?<\|message\|>(.*?)(?:<\|(?:call|end|start)\|>|\Z)", re.DOTALL)
_MARK = re.compile(r"\A\s*\[TOOL_CALLS\]\s*")


def without_thoughts(text: str) -> str:
    """What a model said, without what it thought aloud before."""
    return _THOUGHT_BEFORE.sub("", _THOUGHT.sub("", text)).strip()


def tool_named(name: str, known: Collection[str]) -> str:
    """`functions.look` and `look<|channel|>commentary` are look; any other name stays as it is."""
    bare = name.split("<|")[0].strip().removeprefix("functions.")
    return bare if bare in known else name


def calls_in(text: str, known: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Name and arguments of each call that stands in a text, in order; none where no known tool is named."""
    harmony = [(tool_named(name, known), _object(body)) for name, body in _HARMONY.findall(text)]
    found = [(name, json.dumps(body)) for name, body in harmony if name in known and body is not None]
    for pieces in (_TAG.findall(text), _FENCE.findall(text), [_MARK.sub("", text)]):
        found = found or [call for piece in pieces for call in _calls(_object(piece), known)]
    return tuple(found)


def _object(text: str) -> Any:
    """The JSON a text begins with; None where it begins with none."""
    try:
        return _DECODER.raw_decode(text.strip())[0]
    except (ValueError, RecursionError):
        return None


def _calls(found: Any, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Calls in `{name, arguments}`, `{function: {name, arguments}}`, `{tool_calls: […]}` or a list of them."""
    if isinstance(found, list):
        for one in found[:16]:
            yield from _calls(one, known) if isinstance(one, dict) else ()
    if not isinstance(found, dict):
        return
    if isinstance(found.get("tool_calls"), list):
        yield from _calls(found["tool_calls"], known)
        return
    function = found["function"] if isinstance(found.get("function"), dict) else found
    name = tool_named(str(function.get("name") or ""), known)
    arguments = next((function[key] for key in ("arguments", "parameters") if key in function), None)
    if name in known and isinstance(arguments, dict | str):
        yield name, arguments if isinstance(arguments, str) else json.dumps(arguments)
