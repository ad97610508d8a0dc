"""Moves as tools of a language model.

All reads stand in one tool, `look`, as signatures with a line each: a function per read costs two and a half times as many
tokens, and one call carries all reads of a move also where a server knows no parallel tool calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.reasoner.protocol import View
from tools.spec import Action, Read

DOC_CHARS = 52  # of a read's description; `search_runbooks` and a failed call tell more


def tools_of(view: View) -> list[dict[str, Any]]:
    """The tools of a step, in a fixed order. A question run may look and reply, nothing else."""
    look = _look(view.reads)
    if view.question is not None:
        return [look, _function("reply", "Answer the person.", {"text": _TEXT}, ("text",))]
    return [look, _propose(view.actions), _function("ask", "Ask a person what no read can tell.", {"question": _TEXT}, ("question",)),
            _function("conclude", "End: the cause, or fault none or unknown; written as in propose. hand_over: whom to call and why.",
                      {**_AS_THERE, "hand_over": _TEXT}, ("claims", "fault", "confidence"))]  # fmt: skip


def _look(reads: Sequence[Read]) -> dict[str, Any]:
    ordered = sorted(reads, key=lambda r: r.name)
    listed = "\n".join(f"{signature(r)}: {_short(r.doc, DOC_CHARS)}" for r in ordered)
    call = {"read": _TEXT, "args": {"type": "object"}, "why": _TEXT}
    calls = {"type": "array", "items": {"type": "object", "properties": call, "required": ["read", "args"]}}
    return _function(
        "look",
        f"Make reads side by side. why: in a few words, for people. Reads:\n{listed}",
        {"calls": calls},
        ("calls",),
    )


def _propose(actions: Sequence[type[Action]]) -> dict[str, Any]:
    listed = (
        "\n".join(f"{_action(a)}: {_short(a.doc(), 40)} {a.risk}" for a in sorted(actions, key=lambda a: a.name()))
        or "none"
    )
    success = {"type": "object", "required": ["expect"], "description": "promql, or read, args and fact",
               "properties": {"promql": _TEXT, "read": _TEXT, "args": {"type": "object"}, "fact": _TEXT, "expect": {"type": "string", "description": "< 0.3"},
                              "hold_minutes": {"type": "number"}, "within_minutes": {"type": "number"}}}  # fmt: skip
    properties = {"action": _TEXT, "args": {"type": "object"}, "why": _TEXT, "success": success,
                  "source": {"type": "string", "description": "runbook"}, **_PICTURE}  # fmt: skip
    required = ("action", "args", "why", "success", "claims", "component", "fault", "confidence")
    return _function("propose", f"Propose one action:\n{listed}", properties, required)


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_PICTURE: Mapping[str, Any] = {
    "claims": {**_TEXTS, "description": "text [left op right; …]"}, "component": _TEXT, "fault": _TEXT, "confidence": {"type": "number"},
    "kind": {"enum": ["infra", "model", "joint", "none", "unknown"]},
    "ruled_out": {**_TEXTS, "description": "cause: why"}, "not_checked": {**_TEXTS, "description": "what: why"},
}  # fmt: skip


_AS_THERE: Mapping[str, Any] = {
    name: {k: v for k, v in part.items() if k != "description"} for name, part in _PICTURE.items()
}


def _function(name: str, description: str, properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": dict(properties), "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def signature(read: Read) -> str:
    """`query_metrics(promql, minutes=30)`; a mapping is written `labels={}`."""
    parts = []
    for name, info in read.arguments.model_fields.items():
        default = info.default if not info.is_required() else None
        parts.append(name if info.is_required() else f"{name}={default}" if default not in (None, "") else f"{name}?")
    return f"{read.name}({', '.join(parts)})"


def _action(action: type[Action]) -> str:
    names = (n if info.is_required() else f"{n}?" for n, info in action.model_fields.items())
    return f"{action.name()}({', '.join(names)})"


def _short(doc: str, most: int) -> str:
    """Whole sentences as far as they fit, else whole words."""
    text = " ".join(doc.split())
    if len(text) <= most:
        return text
    cut = text[:most].rfind(". ")
    return text[: cut + 1] if cut > most // 3 else text[:most].rsplit(" ", 1)[0].rstrip(",:;")
