"""How checkpoints are read: as plain values. A row that somebody has changed may mislead a run, never run code of its own."""

from __future__ import annotations

import sys
from typing import Any

from agent.errors import BadConfiguration, UnusableInput

_SWITCH = "langgraph.checkpoint.serde._msgpack"  # reads LANGGRAPH_STRICT_MSGPACK once, when it is first imported
_TYPES = ("null", "msgpack")  # what a run's state is written as; JSON and pickle can name objects to make


def require_strict() -> None:
    """BadConfiguration where LangGraph, loaded already, would make any object that a checkpoint names."""
    loaded = sys.modules.get(_SWITCH)
    if loaded is not None and not loaded.STRICT_MSGPACK_ENABLED:
        raise BadConfiguration(
            "LangGraph was loaded before Stanch, without its strict mode: a changed checkpoint could run code. Import "
            "`agent` before `langgraph`, or set LANGGRAPH_STRICT_MSGPACK=true in the environment, and start again."
        )


def serializer() -> Any:
    """LangGraph's serializer, strict whatever the environment says. UnusableInput for a row that it did not write."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    require_strict()

    class Plain(JsonPlusSerializer):
        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            if data[0] not in _TYPES:
                raise UnusableInput(_damaged(f"it is written as {data[0]!r}"))
            try:
                return super().loads_typed(data)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise UnusableInput(_damaged(f"{type(error).__name__}: {error}")) from None

    return Plain(pickle_fallback=False, allowed_msgpack_modules=None)


def _damaged(why: str) -> str:
    return (
        f"A checkpoint cannot be read ({why}). Somebody or something else has written to checkpoints.db. What was decided "
        "and done stands in stanch.db (`stanch audit verify`); a person has to take the incident over."
    )
