"""Recalling: an incident is taken up, with what there is to go by: runbooks, past incidents, and the reads that can be made."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.incident import State
from agent.domain.incident_view import IncidentView, fold
from agent.domain.moves import NotChecked
from agent.domain.notes import BrokenRunbook, PastIncident, Recalled, RunbookFound
from agent.graph.run_context import Run, RunContext, subject
from agent.library.index import LibraryShelf
from agent.store import alerts, incidents, timeline
from tools.backends import installed

SIMILAR = 3  # past incidents recalled


@dataclass
class RecallStep:
    run_context: RunContext

    async def __call__(self, state: Run, run: int) -> Run:
        incident_id, moves = state["incident"], state.get("moves", 0)  # made before it was opened again
        context = self.run_context
        incident_view = await context.incident_view(incident_id)
        await context.knowledge.refresh(context.context(incident_view))
        service, model = subject(context.catalog(), incident_view.incident.labels, incident_view.alerts)
        matches = await LibraryShelf(context.library).match(incident_view.alerts, service)
        past = await self._similar(incident_view)
        async with context.db.write() as tx:
            await context.move_in(tx, incident_id, run, State.INVESTIGATING, "somebody looks at it now")
            broken = context.library.broken
            told = Recalled(
                text="recalled",
                runbooks=tuple(RunbookFound(m.name, round(m.score, 4), m.section, m.why) for m in matches),
                past=tuple(past),
                broken=tuple(BrokenRunbook(str(one.path), one.why) for one in broken),
                tools=tuple(read.name for read in context.tools.offered(context.backends).reads),
                not_checked=(
                    *(NotChecked(f"runbook {one.path.name}", f"passed over: {one.why}") for one in broken),
                    *self._not_configured(model is not None),
                ),
            )
            key = f"recall:{moves}" if moves else "recall"
            await timeline.append(tx, incident_id, told, "stanch", context.clock.now(), key, run)
        return {"next": "think", "moves": moves}

    def _not_configured(self, about_model: bool) -> list[NotChecked]:
        """What cannot be looked at for want of a backend; a model's places only where a model is concerned."""
        kinds = [kind for kind in installed() if kind.shows and (about_model or not kind.about_models)]
        return [
            NotChecked(kind.shows, f"no {kind.kind} is configured")
            for kind in sorted(kinds, key=lambda kind: kind.about_models)
            if not self.run_context.backends.has(kind.kind)
        ]

    async def _similar(self, incident_view: IncidentView) -> list[PastIncident]:
        """Ended incidents in which the same alert fired, newest first, with what was found."""
        names = {alert.name for alert in incident_view.alerts}
        found: list[PastIncident] = []
        async with self.run_context.db.read() as tx:
            for incident in await incidents.listing(tx, 200, {State.RECOVERED, State.NO_FAULT, State.HANDED_OVER}):
                if incident.id == incident_view.incident.id or not names & {
                    a.name for a in await alerts.of(tx, incident.id)
                }:
                    continue
                past = fold(incident, (), await timeline.events(tx, incident.id))
                found.append(PastIncident(incident.id, str(incident.state), str(past.cause or "unknown")))
                if len(found) == SIMILAR:
                    break
        return found
