"""What a person would type where Stanch may not, or cannot, do it: said at the end, in full, to be copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from agent.domain.incident_view import IncidentView
from agent.domain.notes import CommandToCopy
from agent.errors import ToolError
from agent.reasoner.protocol import Conclude
from tools.context import Context
from tools.toolbox import Tools

_SAID = ("deny", "revoke")  # a person wants it not to be done


def commands(incident_view: IncidentView, move: Conclude, tools: Tools, context: Context) -> tuple[CommandToCopy, ...]:
    """The last proposal's, unless it ran or somebody said no; else the actions of the runbooks that are
    not configured here."""
    last = incident_view.proposal
    if last is not None:
        said_no = any(d.payload.proposal == last.id and d.payload.answer in _SAID for d in incident_view.decisions)
        outcome = incident_view.outcomes.get(last.id)
        ran = outcome is not None and outcome.payload.outcome != "NOT_DONE"
        verified = incident_view.verification_of(last.id) is not None  # done by hand already
        if not said_no and not ran and not verified:
            return (CommandToCopy(last.command, str((last.undo or {}).get("command", ""))),)
    return tuple(_typed(move, tools, context))


def _typed(move: Conclude, tools: Tools, context: Context) -> Iterator[CommandToCopy]:
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
        yield CommandToCopy(wanted.command(context))
