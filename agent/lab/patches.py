"""The three ways in which Kubernetes takes a change: merge patch, strategic merge patch and JSON patch. All are pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import UnusableInput

Document = dict[str, Any]


def merge(document: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged key by key, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(document: Any, patch: Any) -> Any:
    """As `merge`, but lists whose items carry a `name` (containers, env, volumes) are merged by it, and `$patch` is known."""
    if isinstance(patch, list) and isinstance(document, list) and _named(patch) and _named(document):
        return _merge_named(document, patch)
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if key.startswith(("$setElementOrder/", "$retainKeys")):
            continue
        if value is None:
            result.pop(key, None)
        else:
            result[key] = strategic(result.get(key), value)
    return result


def _named(items: Sequence[Any]) -> bool:
    return all(isinstance(item, dict) and "name" in item for item in items)


def _merge_named(document: list[Document], patch: list[Document]) -> list[Document]:
    result = list(document)
    for item in patch:
        place = next((n for n, old in enumerate(result) if old["name"] == item["name"]), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if old["name"] != item["name"]]
        elif place is None:
            result.append(copy.deepcopy(item))
        else:
            result[place] = strategic(result[place], item)
    return result


def json_patch(document: Document, operations: Any) -> Document:
    """RFC 6902, all or nothing; UnusableInput for a failed `test`, a missing path or a malformed operation."""
    if not isinstance(operations, list):
        raise UnusableInput("a JSON patch is a list of operations")
    holder = {"": copy.deepcopy(document)}
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise UnusableInput(f"not a JSON patch operation: {operation!r}")
        _operate(holder, operation)
    result: Document = holder[""]
    return result


def _operate(holder: Document, operation: Mapping[str, Any]) -> None:
    path, value = operation["path"], copy.deepcopy(operation.get("value"))
    match operation.get("op"):
        case "test":
            found = _read(holder, path, missing=None)
            if found != value:
                raise UnusableInput(f"testing value {path} failed")
        case "add":
            _write(holder, path, value, new=True)
        case "replace":
            _write(holder, path, value, new=False)
        case "remove":
            _remove(holder, path)
        case "move" | "copy" as how:
            moved = copy.deepcopy(_read(holder, str(operation.get("from"))))
            if how == "move":
                _remove(holder, str(operation.get("from")))
            _write(holder, path, moved, new=True)
        case other:
            raise UnusableInput(f"unknown JSON patch operation {other!r}")


_NEEDED = object()


def _read(holder: Document, path: str, missing: Any = _NEEDED) -> Any:
    value: Any = holder[""]
    for part in _parts(path):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            if missing is _NEEDED:
                raise UnusableInput(f"path {path} does not exist") from None
            return missing
    return value


def _parent(holder: Document, path: str) -> tuple[Any, str]:
    parts = _parts(path)
    if not parts:
        return holder, ""
    above = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts[:-1])
    return _read(holder, above), parts[-1]


def _write(holder: Document, path: str, value: Any, *, new: bool) -> None:
    parent, key = _parent(holder, path)
    if not new:
        _read(holder, path)
    if isinstance(parent, list):
        place = len(parent) if key == "-" else _index(key, path)
        if place > len(parent):
            raise UnusableInput(f"path {path} does not exist")
        parent[place : place if new else place + 1] = [value]
    elif isinstance(parent, dict):
        parent[key] = value
    else:
        raise UnusableInput(f"path {path} does not exist")


def _remove(holder: Document, path: str) -> None:
    _read(holder, path)
    parent, key = _parent(holder, path)
    del parent[_index(key, path) if isinstance(parent, list) else key]


def _index(key: str, path: str) -> int:
    if not key.isdigit():
        raise UnusableInput(f"path {path}: {key!r} is no place in a list")
    return int(key)


def _parts(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise UnusableInput(f"path {path} does not start with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
