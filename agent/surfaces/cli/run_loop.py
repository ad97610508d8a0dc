"""Driving an incident from a terminal: run, ask for approval, wait for clocks, until it ends or needs somebody else."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from agent.domain.catalog import Person
from agent.graph.waits import WaitsFor
from agent.graph.worker import Rest, RestKind
from agent.surfaces.cli import cards
from agent.surfaces.cli.exit_codes import Exit, of_incident
from agent.surfaces.cli.screen import Screen

if TYPE_CHECKING:
    from agent.api import App


class Driver:
    """`by` decides; `auto` says what the demo's --approve says without asking. `wait=False` never waits for a clock."""

    def __init__(
        self, app: App, screen: Screen, by: Person, *, wait: bool, interactive: bool, auto: bool = False
    ) -> None:
        self.app = app
        self.screen = screen
        self.by = by
        self.wait = wait
        self.interactive = interactive
        self.auto = auto

    async def drive(self, incident: str) -> Exit:
        """Until the incident ends, or rests on what this terminal cannot give."""
        while True:
            rest = await self.app.api.work(incident)
            if rest.kind is RestKind.ENDED or not await self._answered(incident, rest):
                break
        incident_view = await self.app.api.incident_view(incident)
        if rest.kind is not RestKind.ENDED:
            self._say_what_is_awaited(rest)
        return of_incident(incident_view)

    async def _answered(self, incident: str, rest: Rest) -> bool:
        """Whether what the run rests on has been given, so that it can go on."""
        if rest.kind is RestKind.CLOCK:
            if self.wait and rest.due is not None:
                await self._sleep_until(rest.due)
                return True
            return False
        if rest.waits_for is WaitsFor.APPROVAL and rest.proposal:
            return await self._decided(rest.proposal)
        return self.interactive and await self._told(incident)

    async def _sleep_until(self, due: datetime) -> None:
        seconds = (due - self.app.clock.now()).total_seconds()
        if seconds > 0:
            await self.app.clock.sleep(seconds)

    async def _decided(self, proposal_id: str) -> bool:
        proposal = await self.app.api.proposal(proposal_id)
        await cards.show(self.screen.console, self.app, proposal)
        if self.auto:
            await self.app.api.decide(proposal.id, proposal.digest, self.by, "approve", demo=True)
            return True
        if not self.interactive:
            return False
        answer = (await _asked("Approve this? [y]es, [N]o, [l]eave it open: ")).strip().lower()
        if answer.startswith("l"):
            return False
        if answer in ("y", "yes"):
            await self.app.api.decide(proposal.id, proposal.digest, self.by, "approve")
        else:
            reason = await _asked("Why not? (enter for none): ")
            await self.app.api.decide(proposal.id, proposal.digest, self.by, "deny", reason)
        return True

    async def _told(self, incident: str) -> bool:
        text = (await _asked("Your answer (enter to leave it open): ")).strip()
        if text:
            await self.app.api.steer(incident, self.by, text)
        return bool(text)

    def _say_what_is_awaited(self, rest: Rest) -> None:
        due = f" by {rest.due:%H:%M:%S} UTC" if rest.due else ""
        if rest.waits_for is WaitsFor.APPROVAL:
            self.screen.line("waits", f"for a decision{due}: stanch approvals approve {rest.proposal}", "bold yellow")
        elif rest.kind is RestKind.CLOCK:
            self.screen.line("waits", f"for its verification{due}: stanch incidents resume", "bold yellow")
        else:
            self.screen.line("waits", "for a person: stanch chat, or stanch incidents show", "bold yellow")


async def _asked(prompt: str) -> str:
    """A line from the person; end of input is an empty line, and an empty line is the safe answer."""
    try:
        return await asyncio.to_thread(input, prompt)
    except EOFError:
        return ""
