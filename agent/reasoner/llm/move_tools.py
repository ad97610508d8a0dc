"""Moves as tools of a language model.

All reads stand in one tool, `look`, as signatures with a line each: a function per read costs two and a half times as many
tokens, and one call carries all reads of a move also where a server knows no parallel tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.domain import moves
from agent.reasoner.protocol import View
from tools.spec import Action, Read

DOC_CHARS = 44


def tools_of(view: View) -> list[dict[str, Any]]:
    """The tools of a step, in a fixed order. A question run may look and reply, nothing else."""
    look = _function("look", _reads(view.reads))
    if view.question is not None:
        return [look, _function("reply", "Answer the person.")]
    return [
        look,
        _function("propose", _actions(view.actions)),
        _function("ask", "Ask a person what no read can tell."),
        _function(
            "conclude",
            "End: the cause, or fault none or unknown; written as in propose. hand_over: whom to call and why.",
            described=False,
        ),
    ]


def _reads(reads: Sequence[Read]) -> str:
    ordered = sorted(reads, key=lambda r: r.name)
    listed = "\n".join(f"{signature(r)}: {_short(r.doc, DOC_CHARS)}" for r in ordered)
    return f"Make reads side by side. why: in a few words, for people. Reads:\n{listed}"


def _actions(actions: Sequence[type[Action]]) -> str:
    ordered = sorted(actions, key=lambda a: a.name())
    listed = "\n".join(f"{_action(a)}: {_short(a.doc(), 40)} {a.risk}" for a in ordered)
    return f"Propose one action:\n{listed or 'none'}"


def _function(name: str, description: str, described: bool = True) -> dict[str, Any]:
    parameters = moves.parameters(name, described)
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def signature(read: Read) -> str:
    """`query_metrics(promql, minutes?)`; what is a mapping or a list says so: `labels={}`."""
    fields = read.arguments.model_fields.items()
    parts = (name if info.is_required() else _optional(name, info.default) for name, info in fields)
    return f"{read.name}({', '.join(parts)})"


def _optional(name: str, default: Any) -> str:
    return f"{name}={default}" if isinstance(default, dict | list) else f"{name}?"


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
