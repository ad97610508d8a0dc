"""What a person would type where Stanch may not, or cannot, do it: said at the end, in full, to be copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from agent.domain.incident_view import IncidentView
from agent.errors import ToolError
from agent.reasoner.protocol import Conclude
from tools.context import Context, Json
from tools.toolbox import Tools

_SAID = ("deny", "revoke")  # a person wants it not to be done


def commands(incident_view: IncidentView, move: Conclude, tools: Tools, context: Context) -> list[Mapping[str, Json]]:
    """Each {command, undo}: the last proposal's, unless it ran or somebody said no; else the actions of the runbooks that are
    not configured here."""
    last = incident_view.proposal
    if last is not None:
        identity = str(last["id"])
        said_no = any(d["proposal"] == identity and d["answer"] in _SAID for d in incident_view.decisions)
        outcome = incident_view.outcomes.get(identity)
        ran = outcome is not None and outcome.data["outcome"] != "NOT_DONE"
        verified = incident_view.verification_of(identity) is not None  # done by hand already
        if not said_no and not ran and not verified:
            return [{"command": last["command"], "undo": (last.get("undo") or {}).get("command", "")}]
    return list(_typed(move, tools, context))


def _typed(move: Conclude, tools: Tools, context: Context) -> Iterator[Mapping[str, Json]]:
    for action, arguments in move.by_hand:
        try:
            kind = tools.action(action)
        except ToolError:
            continue  # a runbook of an action that nobody has
        wanted: Any = kind.model_construct(**arguments)  # a word in capitals stands where a value is not known
        with suppress(ToolError):
            wanted = kind.parse(arguments)
        with suppress(ToolError):  # else as far as it is known
            wanted = wanted.resolved(context)
        yield {"command": wanted.command(context), "undo": ""}
