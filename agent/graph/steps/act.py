"""Acting: the one step with effects, and those are the executor's."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.incident import State
from agent.gate.executor import OUTSIDE
from agent.graph.run_context import Run, RunContext
from agent.graph.steps.propose import Judge
from agent.graph.steps.think import halted
from agent.graph.steps.verify import mends_nothing, watch
from agent.graph.waits import WaitsFor


@dataclass
class ActStep:
    run_context: RunContext
    judge: Judge

    async def __call__(self, state: Run, run: int) -> Run:
        """`executor.execute` and nothing else: the one place with effects. Where a person has said stop, not even that."""
        incident, proposal = state["incident"], state["proposal"]
        incident_view = await self.run_context.incident_view(incident)
        if halted(incident_view) is not None and proposal not in incident_view.intents:
            if (current := await self.judge.current(incident)) is not None and current.id == proposal:
                await self.judge.void(current, "a person said stop before it started", run)
            return {"next": "think", "told": []}
        await self.run_context.move_to(incident, run, State.ACTING, f"{proposal} runs")
        execution = await self.judge.executor.execute(proposal, run)
        outcome = str(execution.outcome)
        parent = (await self.run_context.incident_view(incident)).proposals[proposal].parent
        if outcome == "DONE" and parent:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, f"{parent} was taken back")
            return {"next": "think", "told": [f"{parent} did not help and was taken back by {proposal}."]}
        action = incident_view.proposals[proposal].action
        if outcome == "DONE" and not self.judge.mitigates(action):
            return await mends_nothing(self.run_context, incident, proposal, action, run)
        if outcome == "DONE" or execution.why == OUTSIDE:
            return await watch(self.run_context, incident, proposal, run)
        if outcome == "UNKNOWN":
            why = f"whether {proposal} happened cannot be told; a person has to look"
            await self.run_context.move_to(incident, run, State.NEEDS_INPUT, why)
            return {"next": "wait", "waits_for": WaitsFor.PERSON.value}
        await self.run_context.move_to(incident, run, State.INVESTIGATING, f"{proposal} was not done")
        return {"next": "think", "told": [f"{proposal} was not done: {execution.why}"]}
