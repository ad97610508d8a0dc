"""The eight steps of an incident and the edges between them.

recall → think ⇄ look
         think → judge → act | wait → act → wait → verify → think → conclude

A step re-runs from its first line after a crash, so every event it appends carries a key, and what has an effect is the
executor's alone. State is ids and counters; everything else stands in the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypedDict

from agent.domain.events import EvidenceRecorded
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import CommandsToCopy, GivenToPerson, MoveMade, PlainNote
from agent.domain.timeline import events_of
from agent.errors import ReasonerFailed, Refused, ToolError
from agent.gate.executor import OUTSIDE
from agent.graph.run_context import RunContext
from agent.graph.steps.look import look, recorded
from agent.graph.steps.manual_commands import commands
from agent.graph.steps.propose import Judge
from agent.graph.steps.think import (
    Checked,
    checked,
    gives_up,
    halted,
    names_in,
    together,
    unknown_if_unfounded,
    view_of,
    without_finding,
)
from agent.graph.steps.verify import Verifier
from agent.reasoner.llm.budget import used
from agent.reasoner.progress import CIRCLES, TOLD, idle
from agent.reasoner.protocol import AskPerson, Conclude, Look, Propose, Reasoner, Reply, Thought


class Run(TypedDict, total=False):
    """What a checkpoint holds."""

    incident: str
    next: str  # the step that follows
    moves: int  # thought so far
    told: list[str]  # what the reasoner must be told, once
    proposal: str  # being decided, run or verified
    waits_for: str  # approval | clock | person
    why: str  # why the last wait ended


class Steps:
    """The steps; each takes the state and the run's epoch and gives what changes in the state."""

    def __init__(
        self, run_context: RunContext, reasoner: Reasoner, judge: Judge, verifier: Verifier, most_moves: int
    ) -> None:
        self.run_context = run_context
        self.reasoner = reasoner
        self.judge = judge
        self.verifier = verifier
        self.most_moves = most_moves

    async def recall(self, state: Run, run: int) -> Run:
        """Runbooks for the alert, similar past incidents, the tools of this incident."""
        incident, moves = state["incident"], state.get("moves", 0)  # made before it was opened again
        await self.run_context.recall(incident, run, moves)
        return {"next": "think", "moves": moves}

    async def think(self, state: Run, run: int) -> Run:
        """Ask the reasoner for the next move and check what it says; carry out a move that a crash left behind."""
        number = state.get("moves", 0) + 1
        incident_view = await self.run_context.incident_view(state["incident"])
        made = [event.payload for event in events_of(incident_view.events, MoveMade)]
        left = next((one.move for one in made if one.number == number), None)
        if left is None:
            circles = idle(incident_view.events) == 1
            told = [*state.get("told", []), *([TOLD] if circles else [])]
            thought, result = await self._next(incident_view, number, told)
            if circles:
                thought = replace(thought, notes=(PlainNote(text=CIRCLES, show=True), *thought.notes))
            await self.run_context.write_move(state["incident"], run, thought, result, number, told)
        move = left or result.move
        return {"moves": number, "told": [], "next": _STEP_FOR[type(move)], **_wait_for_answer(move)}

    async def _next(self, incident_view: IncidentView, number: int, told: list[str]) -> tuple[Thought, Checked]:
        """The next move, checked; the reasoner is told once about what did not hold."""
        if (word := halted(incident_view)) is not None:
            return Thought(word.move, "stanch"), word
        most = self.most_moves + min(
            used(incident_view.events).steps, self.most_moves
        )  # a model's are its own budget's
        if number > most:
            end = gives_up(f"the budget of {most} steps is spent", incident_view)
            return Thought(end, "stanch"), Checked(end)
        names = names_in(incident_view, self.run_context.catalog())
        rejections = tuple(told)
        refused: list[Thought] = []
        for again in (False, True):
            last = refused[-1] if refused else None
            try:
                thought = await self.reasoner.next_move(self.view(incident_view, rejections=rejections, last=last))
            except ReasonerFailed as error:
                end = gives_up(str(error), incident_view)
                return together(refused, Thought(end, "stanch")), Checked(end)
            result = checked(thought.move, incident_view.evidence, names)
            if isinstance(thought.move, Reply):
                rejections = ("reply only answers a person's question; look, propose, ask or conclude.",)
            elif not result.dropped or again:
                break
            else:
                rejections = result.reasons
            refused.append(thought)
        thought = together([one for one in refused if one is not thought], thought)
        if isinstance(thought.move, Reply):
            end = gives_up("the reasoner did not make a move", incident_view)
            return Thought(end, "stanch"), Checked(end)
        return thought, unknown_if_unfounded(result, incident_view)

    def view(self, incident_view: IncidentView, **more: Any) -> Any:
        book = self.run_context
        return view_of(incident_view, book.catalog(), book.library, book.tools, book.backends, book.clock.now(), **more)

    async def look(self, state: Run, run: int) -> Run:
        """The reads of the move, side by side, each recorded as evidence."""
        incident_view = await self.run_context.incident_view(state["incident"])
        move, number, by = self.run_context.last_move(incident_view)
        assert isinstance(move, Look)
        context = self.run_context.context(incident_view)
        done = {event.payload.call for event in events_of(incident_view.events, EvidenceRecorded)}
        calls = [(i, call) for i, call in enumerate(move.calls) if f"{number}:{i}" not in done]
        answers = await look([call for _, call in calls], self.run_context.tools, context)
        for (i, _), one in zip(calls, answers, strict=True):
            key = f"{number}:{i}"
            what = recorded(one, by, context, {"call": key, "move": number}, self.run_context.redact)
            await self.run_context.record(state["incident"], run, what, key)
        return {"next": "think"}

    async def judge_step(self, state: Run, run: int) -> Run:
        """Seal the proposal, make preview and dry run, ask policy."""
        incident_view = await self.run_context.incident_view(state["incident"])
        move, number, by = self.run_context.last_move(incident_view)
        assert isinstance(move, Propose)
        if not incident_view.findings:
            return {"next": "think", "told": [without_finding(move)]}
        try:
            ruled = await self.judge.seal(incident_view, move, number, by, run, self.run_context.context(incident_view))
        except ToolError as error:
            word = "was refused" if isinstance(error, Refused) else "cannot be made"
            return {"next": "think", "told": [f"{move.action} {word}: {error}"]}
        return await self._after_verdict(state["incident"], run, ruled.proposal, ruled.verdict, ruled.why)

    async def _after_verdict(self, incident: str, run: int, proposal: str, verdict: str, why: str) -> Run:
        if verdict == "allow":
            return {"next": "act", "proposal": proposal}
        if verdict == "ask":
            await self.run_context.move_to(incident, run, State.AWAITING_APPROVAL, f"{proposal} needs approval")
            return {"next": "wait", "proposal": proposal, "waits_for": "approval"}
        return {"next": "think", "proposal": proposal, "told": [f"Policy says {verdict}: {why}"]}

    async def act(self, state: Run, run: int) -> Run:
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
            return await self._goes_on(incident, proposal, action, run)
        if outcome == "DONE" or execution.why == OUTSIDE:
            return await self._begin_verification(incident, proposal, run)
        if outcome == "UNKNOWN":
            why = f"whether {proposal} happened cannot be told; a person has to look"
            await self.run_context.move_to(incident, run, State.NEEDS_INPUT, why)
            return {"next": "wait", "waits_for": "person"}
        await self.run_context.move_to(incident, run, State.INVESTIGATING, f"{proposal} was not done")
        return {"next": "think", "told": [f"{proposal} was not done: {execution.why}"]}

    async def _goes_on(self, incident: str, proposal: str, action: str, run: int) -> Run:
        """An action that mends nothing was done: nobody asks whether it helped, and the incident goes on."""
        why = f"{proposal} was done and mends nothing by itself: the incident goes on"
        await self.run_context.move_to(incident, run, State.INVESTIGATING, why)
        return {
            "next": "think",
            "told": [f"{action} was done. It mends nothing by itself; go on, or say whom to call."],
        }

    async def _begin_verification(self, incident: str, proposal: str, run: int) -> Run:
        await self.run_context.move_to(incident, run, State.VERIFYING, f"the effect of {proposal} is watched")
        await self.verifier.schedule(incident, proposal)
        return {"next": "wait", "waits_for": "clock", "proposal": proposal}

    async def verify(self, state: Run, run: int) -> Run:
        """The sealed success test, with its guards; an undo where it failed and one was sealed."""
        incident, proposal = state["incident"], state["proposal"]
        incident_view = await self.run_context.incident_view(incident)
        if not self.judge.mitigates(action := incident_view.proposals[proposal].action):
            return await self._goes_on(incident, proposal, action, run)
        if incident_view.incident.state is not State.VERIFYING:  # done outside Stanch: still watched
            return await self._begin_verification(incident, proposal, run)
        verdict = await self.verifier.check(incident_view, proposal, run, self.run_context.context(incident_view))
        if verdict.recovered is None and not verdict.final:
            return {"next": "wait", "waits_for": "clock"}
        if verdict.recovered is True:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            return {"next": "think", "told": []}
        if verdict.recovered is None:
            return await self._ask_whether_over(incident, proposal, verdict.why, run)
        left = bool(halted(incident_view)) or verdict.helped
        undo = None if left else await self.judge.undo(incident_view, proposal, run)
        if verdict.helped:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            told = f"{proposal} did what was asked of it, and the alert goes on: there is another cause. {verdict.why}"
            return {"next": "think", "told": [told]}
        if undo is None:
            await self.run_context.move_to(incident, run, State.INVESTIGATING, verdict.why)
            return {"next": "think", "told": [f"{proposal} did not help: {verdict.why}"]}
        await self.run_context.move_to(incident, run, State.INVESTIGATING, f"{proposal} did not help: its undo is due")
        return await self._after_verdict(incident, run, undo.proposal, undo.verdict, undo.why)

    async def _ask_whether_over(self, incident: str, proposal: str, why: str, run: int) -> Run:
        """Nothing that was seen says whether it helped: nothing is taken back, and a person is asked."""
        question = f"Is it over? {proposal} was done: {why}. Stanch cannot tell; look, and close it or take it back."
        note = GivenToPerson(text=question, hand_over=question)
        await self.run_context.append(incident, run, note, f"over:{proposal}")
        await self.run_context.move_to(incident, run, State.INVESTIGATING, why)
        return {"next": "think", "told": [f"Whether {proposal} helped cannot be told: {why}. Hand it over with that."]}

    async def conclude(self, state: Run, run: int) -> Run:
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
        await self.run_context.close(incident_view, run, end, move)
        return {"next": "end"}


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


_STEP_FOR: dict[type, str] = {Look: "look", Propose: "judge", AskPerson: "wait", Conclude: "conclude"}


def _awaited(state: Run) -> dict[str, str | None]:
    return {"proposal": state.get("proposal"), "for": state.get("waits_for", "person")}


def _wait_for_answer(move: object) -> Run:
    return {"waits_for": "person"} if isinstance(move, AskPerson) else {}


Step = Callable[[Run, int], Awaitable[Run]]


def build(steps: Steps, saver: Any, after: Callable[[str], Awaitable[None]]) -> Any:
    """The compiled graph. `after(incident)` is called when a step has ended, so that screens can follow."""
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import interrupt

    def node(step: Step) -> Callable[[Run, RunnableConfig], Awaitable[Run]]:
        async def run_step(state: Run, config: RunnableConfig) -> Run:
            changes = steps.run_context.redact.value(await step(state, int(config["configurable"]["run"])))
            await after(state["incident"])
            return changes

        return run_step

    def wait(state: Run) -> Run:
        """The interrupt and nothing else. It is answered with `reason` or `reason:proposal`."""
        why, _, proposal = str(interrupt(_awaited(state))).partition(":")
        return {"why": why, "proposal": proposal or state.get("proposal", "")}

    def after_wait(state: Run) -> str:
        return {"approved": "act", "due": "verify", "outside": "verify", "settled": "verify"}.get(state["why"], "think")

    def chosen(state: Run) -> str:
        return END if state["next"] == "end" else state["next"]

    graph: Any = StateGraph(Run)
    for name, step in {
        "recall": steps.recall, "think": steps.think, "look": steps.look, "judge": steps.judge_step, "act": steps.act,
        "verify": steps.verify, "conclude": steps.conclude,
    }.items():  # fmt: skip
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
