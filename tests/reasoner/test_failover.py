"""A model that fails, wherever in the incident: the case ends as without it. One that can be reached again gets it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from agent.domain import moves
from agent.domain.notes import FailedOver, WentBack
from agent.domain.timeline import EventKind
from agent.errors import BudgetSpent, ReasonerFailed
from agent.reasoner.failover import MOST_RETURNS, MOST_TRIES, Failover
from agent.reasoner.progress import idle
from agent.reasoner.protocol import Call, Conclude, Look, ModelFailed, Move, Propose, Spent, Thought, View
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from tests.reasoner.cases import Case, compared, series

STARVED = {"throttled": series(0.6, service="web"), "compare_metrics": compared(1.9, 0.3, 0.3)}
SPENT = Spent(1000, 100, 0.01, 2.0)


@dataclass
class Model:
    """Plays its moves in order, then fails; None fails at that place. `views` are what it was shown."""

    moves: Sequence[Move | None]
    error: ReasonerFailed = field(default_factory=lambda: ModelFailed("the model is gone", SPENT))
    views: list[View] = field(default_factory=list)
    name: str = "openai"

    async def next_move(self, view: View) -> Thought:
        self.views.append(view)
        place = len(self.views) - 1
        if place >= len(self.moves) or (move := self.moves[place]) is None:
            raise self.error
        return Thought(move, self.name, SPENT)


def looks(count: int) -> list[Move]:
    """Different each time, so that nobody takes them for going in circles."""
    return [Look((Call("query_metrics", {"promql": f"some_metric_{n}"}),)) for n in range(count)]


def end_of(move: Move) -> dict[str, Any]:
    """What a move comes to, whichever evidence it is told by."""
    told = moves.to_json(move)
    return {key: told.get(key) for key in ("move", "action", "args", "cause", "kind", "success", "source")}


async def end(case: Case, reasoner: Any, most: int = 60) -> tuple[Move, list[Thought]]:
    found: list[Thought] = []
    while not found or isinstance(found[-1].move, Look):
        assert len(found) < most
        found.append(await reasoner.next_move(case.view()))
        case.made(found[-1])
    return found[-1].move, found


@pytest.mark.parametrize("looked", range(25))
@pytest.mark.parametrize("answers", [STARVED, {}], ids=["a cause", "no cause"])
async def test_a_model_that_fails_after_some_looks_ends_as_without_it(looked: int, answers: dict[str, Any]) -> None:
    alone, _ = await end(Case(answers=dict(answers)), RunbookReasoner())
    together, thoughts = await end(Case(answers=dict(answers)), Failover(Model(looks(looked)), RunbookReasoner()))
    assert end_of(together) == end_of(alone)
    assert isinstance(alone, Propose if answers else Conclude)
    assert [t.by for t in thoughts[:looked]] == ["openai"] * looked
    assert {t.by for t in thoughts[looked:]} == {"openai→runbook"}
    assert thoughts[looked].spent.tokens == SPENT.tokens  # the attempt that failed is paid for


async def test_a_model_that_makes_the_same_look_for_ever_is_left() -> None:
    same = Look((Call("query_metrics", {"promql": "throttled"}, "again"),))
    model = Model([same] * 30)
    last, thoughts = await end(Case(answers=dict(STARVED)), Failover(model, RunbookReasoner()))
    assert isinstance(last, Propose)
    assert len(model.views) == 3  # the look, its repetition, and one more after it was told
    assert "repeats itself" in thoughts[3].notes[0].text
    assert isinstance(thoughts[3].notes[0], FailedOver)
    assert thoughts[3].notes[0].final


def noted(case: Case, *moves: Move) -> Case:
    for move in moves:
        case.made(Thought(move, "openai"))
    return case


A, B = (Look((Call("query_metrics", {"promql": name}),)) for name in ("throttled", "failing"))


async def test_looks_that_alternate_are_circles_too_and_a_new_one_is_not() -> None:
    assert idle(noted(Case(), A, B).events) == 0
    assert idle(noted(Case(), A, B, A).events) == 1
    assert idle(noted(Case(), A, B, A, B).events) == 2
    assert idle(noted(Case(), A, A, B).events) == 0
    assert idle(noted(Case(), replace(A, calls=(replace(A.calls[0], why="first"),)), A).events) == 1


async def test_looking_again_is_no_circle_when_the_answer_moved_or_something_happened() -> None:
    case = noted(Case(), A)
    case.answers["throttled"] = series(0.9, service="web")
    assert idle(noted(case, A).events) == 0  # another value
    case.answers["throttled"] = series(0.8, service="web")
    assert idle(noted(case, A).events) == 1  # the third time the same is asked, whatever it gives
    after = noted(Case(), A)
    after.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    assert idle(noted(after, A).events) == 0


async def test_a_proposal_made_again_is_a_circle() -> None:
    alone, _ = await end(Case(answers=dict(STARVED)), RunbookReasoner())
    assert idle(noted(Case(), alone).events) == 0
    assert idle(noted(Case(), alone, alone).events) == 1


async def test_a_model_that_was_gone_is_tried_again_when_something_has_happened() -> None:
    case, model = Case(answers=dict(STARVED)), Model([A, None, B])
    both = Failover(model, RunbookReasoner())
    for _ in range(4):
        case.made(await both.next_move(case.view()))
    assert len(model.views) == 2  # nothing has happened, no time has passed: not tried
    case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    thought = await both.next_move(case.view())
    case.made(thought)
    assert thought.move == B
    assert thought.by == "openai→runbook→openai"
    assert thought.notes[0] == WentBack(text="openai answers again and goes on", returned=thought.by, show=True)
    assert model.views[-1].once  # one attempt, without patience
    gone = await both.next_move(case.view())
    assert gone.by == "openai→runbook→openai→runbook"
    assert not model.views[-1].once  # it had the case


async def test_a_model_that_was_gone_is_tried_again_after_some_minutes() -> None:
    case, model = Case(answers=dict(STARVED)), Model([])
    both = Failover(model, RunbookReasoner())
    case.made(await both.next_move(case.view()))
    view = case.view()
    assert (await both.next_move(replace(view, now=view.now + timedelta(seconds=119)))).by == "openai→runbook"
    assert len(model.views) == 1
    thought = await both.next_move(replace(view, now=view.now + timedelta(seconds=120)))
    assert len(model.views) == 2
    assert thought.by == "openai→runbook"
    assert "was tried again: the model is gone" in thought.notes[0].text
    assert thought.spent.tokens == SPENT.tokens


async def test_a_case_does_not_go_back_and_forth_for_ever() -> None:
    async def tries(model: Model) -> str:
        case, both = Case(answers=dict(STARVED)), Failover(model, RunbookReasoner())
        for _ in range(20):
            case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
            thought = await both.next_move(case.view())
            case.made(thought)
        return thought.by

    assert await tries(gone := Model([])) == "openai→runbook"
    assert len(gone.views) == 1 + MOST_TRIES
    flapping = Model([None, A] * 20)
    assert await tries(flapping) == "openai" + "→runbook→openai" * MOST_RETURNS + "→runbook"
    assert len(flapping.views) == 1 + 2 * MOST_RETURNS


@pytest.mark.parametrize("words", ["the budget of 25 steps an incident is spent"])
async def test_a_model_that_has_spent_its_budget_is_not_tried_again(words: str) -> None:
    case, model = Case(answers=dict(STARVED)), Model([], BudgetSpent(words))
    both = Failover(model, RunbookReasoner())
    for _ in range(3):
        case.made(await both.next_move(case.view()))
        case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    assert len(model.views) == 1


async def test_who_has_the_case_stands_on_the_timeline() -> None:
    case = Case(answers=dict(STARVED))
    first = Failover(Model([None, A]), RunbookReasoner())
    case.made(await first.next_move(case.view()))
    case.note(EventKind.OUTCOME, {"proposal": "P1", "outcome": "DONE"})
    case.made(await first.next_move(case.view()))
    after_a_restart = Failover(Model([B]), RunbookReasoner())
    assert (await after_a_restart.next_move(case.view())).by == "openai→runbook→openai"
