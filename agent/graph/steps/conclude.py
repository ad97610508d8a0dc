"""Concluding: how an incident ends, what a person would type where Stanch may not or cannot act, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import CommandsToCopy, CommandToCopy, ReportWritten
from agent.domain.report import render
from agent.errors import ToolError
from agent.graph.run_context import Run, RunContext
from agent.reasoner.protocol import Conclude
from agent.store import timeline, wakes
from tools.context import Context
from tools.toolbox import Tools

_SAID = ("deny", "revoke")  # a person wants it not to be done


@dataclass
class ConcludeStep:
    run_context: RunContext

    async def __call__(self, state: Run, run: int) -> Run:
        """Write the report and end the incident."""
        incident_view = await self.run_context.incident_view(state["incident"])
        move, _, _ = self.run_context.last_move(incident_view)
        assert isinstance(move, Conclude)
        end = final_state(incident_view, move)
        if end in (State.HANDED_OVER, State.INCONCLUSIVE) and not incident_view.taken_over:
            context = self.run_context.context(incident_view)
            if typed := commands(incident_view, move, self.run_context.tools, context):
                note = CommandsToCopy(text="what a person would type", by_hand=typed)
                await self.run_context.append(state["incident"], run, note, f"by_hand:{state['moves']}")
                incident_view = await self.run_context.incident_view(state["incident"])
        await self._close(incident_view, run, end, move)
        return {"next": "end"}

    async def _close(self, incident_view: IncidentView, run: int, end: State, move: Conclude) -> None:
        """The last state, and the report that shows it. What has ended is not gone on with by itself: until the run has
        ended too, a wake stands for a report that a crash may have cut off."""
        async with self.run_context.db.write() as tx:
            await self.run_context.move_in(tx, incident_view.incident.id, run, end, str(move.cause))
            await wakes.add(tx, incident_view.incident.id, "report", self.run_context.clock.now())
        path = self.run_context.reports / f"{incident_view.incident.id}.md"
        whole = self.run_context.redact(render(await self.run_context.incident_view(incident_view.incident.id)))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(whole, encoding="utf-8")
        part.replace(path)
        async with self.run_context.db.write() as tx:
            told = ReportWritten(text=f"report: {path}", report=str(path))
            await timeline.append(
                tx, incident_view.incident.id, told, "stanch", self.run_context.clock.now(), "report", run
            )


def final_state(incident_view: IncidentView, move: Conclude) -> State:
    """Recovered is code's word, from the verification, and not where a person still has to be called; the rest follows from
    the cause."""
    proposal = incident_view.proposal
    verification = incident_view.verification_of(proposal.id) if proposal else None
    recovered = verification is not None and verification.payload.recovered is True
    if recovered and (incident_view.taken_over or not move.hand_over):
        return State.RECOVERED
    if incident_view.taken_over:
        return State.HANDED_OVER
    if move.cause.fault == "none":
        return State.NO_FAULT
    if move.cause.fault == "unknown" and proposal is None:
        return State.INCONCLUSIVE
    return State.HANDED_OVER


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
