"""Waiting: the interrupt and nothing else, and where it goes on."""

from __future__ import annotations

from agent.graph.run_context import Run
from agent.graph.waits import WaitsFor, answer_of, follows


def wait(state: Run) -> Run:
    """Rest until somebody answers with a Wake. What runs before the interrupt runs again with every answer."""
    from langgraph.types import interrupt

    asked = {"proposal": state.get("proposal"), "for": state.get("waits_for", WaitsFor.PERSON.value)}
    why, proposal = answer_of(interrupt(asked))
    return {"why": why, "proposal": proposal or state.get("proposal", "")}


def after_wait(state: Run) -> str:
    """The node that follows."""
    return follows(state["why"])
