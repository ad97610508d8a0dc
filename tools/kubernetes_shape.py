"""The door for what an API server answers: what stands under the names we read is of the type the API says, or it is refused."""

from __future__ import annotations

from typing import Any

from tools.context import Json

TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("metadata", "spec", "template", "annotations", "labels"), dict),
    **dict.fromkeys(("items", "containers", "conditions", "ownerReferences", "containerStatuses"), list),
    **dict.fromkeys(("replicas", "generation"), int), **dict.fromkeys(("name", "namespace", "uid", "resourceVersion"), str),
}  # fmt: skip


class Misshapen(ValueError):
    """Says which field, and what it is instead."""


def shaped(value: Json) -> Json:
    """The answer without nulls under the names above (the API leaves out what is not there) and without halves of characters.

    Raises Misshapen.
    """
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for name, one in value.items():
            wanted = TYPES.get(name)
            if wanted is not None and one is None:
                continue
            if wanted is not None and (not isinstance(one, wanted) or isinstance(one, bool)):
                raise Misshapen(f"{name} is of type {type(one).__name__}")
            kept[_text(name)] = shaped(one)
        return kept
    if isinstance(value, list):
        return [shaped(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """JSON can spell half a surrogate pair; nothing that is written or asked for can hold one."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
