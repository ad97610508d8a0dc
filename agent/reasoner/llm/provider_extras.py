"""What a provider wants back with a move it made: an id of its own, a thought, a signature. To it alone; nobody else sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.context import Json

Message = dict[str, Any]

OTHERS = ("runbook", "stanch")  # who moves besides language models
_USABLE = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Giver:
    """Makes calls as their provider wants to see them again; of no provider, "", with nothing given back. `ids` are taken."""

    provider: str
    ids: set[str]

    def asked(
        self,
        by: str,
        kept: Mapping[str, Json] | None,
        name: str,
        arguments: Mapping[str, Json],
        derived: str,
        answer: str,
    ) -> list[Message]:
        """A move of `by`, and what was `kept` for its provider, as a call and its answer; as text where it is not ours."""
        given: Any = (kept or {}) if self.provider else {}
        by = by.rpartition("→")[2]
        if given.get("of", self.provider) != self.provider or by in OTHERS:
            return [{"role": "user", "content": f"Done by another: {name} {_json(arguments)}\n{answer}"}]
        own = given.get("id", "")
        id_ = own if _USABLE.fullmatch(own) and own not in self.ids else derived
        self.ids.add(id_)
        function = {**given.get("function", {}), "name": name, "arguments": _json(arguments)}
        call = {**given.get("call", {}), "id": id_, "type": "function", "function": function}
        # null content is refused by some servers
        move = {**given.get("message", {}), "role": "assistant", "content": "", "tool_calls": [call]}
        return [move, {"role": "tool", "tool_call_id": id_, "content": answer}]


def derived_id(n: int) -> str:
    """An id of a call, of nine letters and digits: the strictest provider wants exactly that."""
    return f"e{n:08d}"


def _json(value: Mapping[str, Json]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
