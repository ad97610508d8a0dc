"""The eight steps of an incident and the edges between them.

recall → think ⇄ look
         think → propose → act | wait → act → wait → verify → think → conclude

A step re-runs from its first line after a crash, so every event it appends carries a key, and what has an effect is the
executor's alone. State is ids and counters; everything else stands in the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.domain.redact import Redactor
from agent.graph.run_context import Run, RunContext
from agent.graph.steps.act import ActStep
from agent.graph.steps.conclude import ConcludeStep
from agent.graph.steps.look import LookStep
from agent.graph.steps.propose import Judge, ProposeStep
from agent.graph.steps.recall import RecallStep
from agent.graph.steps.think import ThinkStep
from agent.graph.steps.verify import VerifyStep
from agent.graph.steps.wait import after_wait, wait
from agent.reasoner.protocol import Reasoner

Step = Callable[[Run, int], Awaitable[Run]]


def steps_of(run_context: RunContext, reasoner: Reasoner, judge: Judge, most_moves: int) -> dict[str, Step]:
    """By the name of its node; checkpoints hold these names."""
    return {
        "recall": RecallStep(run_context),
        "think": ThinkStep(run_context, reasoner, most_moves),
        "look": LookStep(run_context),
        "judge": ProposeStep(run_context, judge),
        "act": ActStep(run_context, judge),
        "verify": VerifyStep(run_context, judge),
        "conclude": ConcludeStep(run_context),
    }


def build(steps: Mapping[str, Step], redact: Redactor, saver: Any, after: Callable[[str], Awaitable[None]]) -> Any:
    """The compiled graph. `after(incident)` is called when a step has ended, so that screens can follow."""
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph import END, START, StateGraph

    def node(step: Step) -> Callable[[Run, RunnableConfig], Awaitable[Run]]:
        async def run_step(state: Run, config: RunnableConfig) -> Run:
            changes = redact.value(await step(state, int(config["configurable"]["run"])))
            await after(state["incident"])
            return changes

        return run_step

    def chosen(state: Run) -> str:
        return END if state["next"] == "end" else state["next"]

    graph: Any = StateGraph(Run)
    for name, step in steps.items():
        graph.add_node(name, node(step))
    graph.add_node("wait", wait)
    graph.add_edge(START, "recall")
    graph.add_conditional_edges("recall", chosen, ["think"])
    graph.add_conditional_edges("think", chosen, ["look", "judge", "wait", "conclude"])
    graph.add_conditional_edges("look", chosen, ["think"])
    graph.add_conditional_edges("judge", chosen, ["act", "wait", "think"])
    graph.add_conditional_edges("act", chosen, ["wait", "think"])
    graph.add_conditional_edges("wait", after_wait, ["act", "verify", "think"])
    graph.add_conditional_edges("verify", chosen, ["wait", "think", "act"])
    graph.add_conditional_edges("conclude", chosen, [END])
    return graph.compile(checkpointer=saver)
