"""Endpoints differ: with each oddity of tests/endpoints.py the model goes on to the end. The real SDK, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.clock import MovedClock
from agent.domain.redact import Redactor
from agent.errors import ReasonerFailed
from agent.reasoner.failover import Failover
from agent.reasoner.llm.completion import MOST_GIVEN, said
from agent.reasoner.llm.conversation import messages
from agent.reasoner.llm.openai_reasoner import OpenAIReasoner
from agent.reasoner.protocol import AskPerson, Conclude, Look, Propose, Thought
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from tests.endpoints import MOVES, QUIRKS, Quirk, Reply, Talk, call, completion, refused, says, served, well
from tests.reasoner.cases import NOW, Case

PROMPTS = Path(__file__).parents[2] / "prompts"


@dataclass
class Played:
    """What came of a play: the thoughts, what the server was sent, how long was waited."""

    thoughts: list[Thought]
    talk: Talk
    case: Case
    waited: float
    told: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [n.to_json() for t in self.thoughts for n in t.notes]

    @property
    def sent(self) -> list[dict[str, Any]]:
        return self.talk.requests


async def played(quirk: Quirk, moves: int = 3, case: Case | None = None, **more: Any) -> Played:
    """A case worked by the model behind this server, with the runbook reasoner behind it, for so many moves."""
    clock, case, told = MovedClock(NOW), case or Case(), list[str]()

    async def tell(incident: str, note: Any) -> None:
        told.append(f"{incident}: {note.text}")

    with served(quirk) as (url, talk):
        model = OpenAIReasoner(
            model="m", api_key="k", base_url=url, prompts=PROMPTS, clock=clock, tell=tell, **{"timeout_s": 5.0, **more}
        )
        found = []
        for _ in range(moves):
            found.append(await Failover(model, RunbookReasoner()).next_move(case.view()))
            case.made(found[-1])
        await model.close()
    return Played(found, talk, case, (clock.now() - NOW).total_seconds(), told)


ONCE = len(MOVES)  # requests where nothing has to be asked twice
# what else is right of a row, beside that the model plays to its end
RIGHT: dict[str, Callable[[Played], bool]] = {
    "well": lambda p: len(p.sent) == ONCE and p.waited == 0 and not p.told and not any(n.get("show") for n in p.notes),
    "rate_limited": lambda p: p.waited == 10.0 and len(p.told) == 1 and "Asked again in 5 s" in p.told[0],
    "rate_limited_until": lambda p: p.waited == 7.0,
    "loading": lambda p: p.waited == 12.0 and p.told[0].startswith("i1: waiting for m"),
    "loading_without_a_time": lambda p: p.waited == 21.0,
    "hangs_up": lambda p: p.waited == 1.0,
    "error_in_200": lambda p: p.waited == 1.0 and "error inside" in p.told[0],
    "error_in_a_choice": lambda p: p.waited == 1.0,
    "signature": lambda p: len(p.sent) == ONCE,
    "thoughts": lambda p: len(p.sent) == ONCE,
    "thoughts_refused": lambda p: len(p.sent) == ONCE + 1,
    "own_ids": lambda p: len(p.sent) == ONCE,
    "nine_letters": lambda p: p.talk.calls[0]["id"] == "D681PevKs",
    "reasoning_eats_limit": lambda p: (
        [r["max_tokens"] for r in p.sent] == [2500, 10_000, 10_000, 10_000]
        and not any(n.get("repair") for n in p.notes)
    ),
    "no_system": lambda p: (
        p.sent[-1]["messages"][0]["content"].startswith("You work an incident") and len(p.sent) == ONCE + 1
    ),
    "turns": lambda p: len(p.sent) == ONCE + 1,
    "no_length_fields": lambda p: len(p.sent) == ONCE + 2,
    "one_length_field": lambda p: len(p.sent) == ONCE + 1,
    "no_usage": lambda p: all(t.spent.prompt_tokens > 1000 for t in p.thoughts),
    "streaming_only": lambda p: len(p.sent) == ONCE + 1 and p.thoughts[0].spent.prompt_tokens == 2900,
    "always_streams": lambda p: not any(r.get("stream") for r in p.sent),
    "stream_ends_early": lambda p: p.waited == 1.0,
    "stream_breaks_off": lambda p: p.waited == 1.0,
    "error_in_a_stream": lambda p: p.waited == 1.0,
    "silently_cut": lambda p: ["1024 tokens" in n["text"] for n in p.notes if "cut" in n] == [True],
    "says_truncated": lambda p: ["did not read all" in n["text"] for n in p.notes if "cut" in n] == [True],
}


@pytest.mark.parametrize("name", QUIRKS)
async def test_the_model_goes_on_to_the_end(name: str) -> None:
    got = await played(QUIRKS[name])
    assert [t.by for t in got.thoughts] == ["openai"] * 3, [n for n in got.notes if n.get("failover")]
    assert [type(t.move) for t in got.thoughts] == [Look, Propose, Conclude]
    assert RIGHT.get(name, lambda p: len(p.sent) == ONCE)(got), (got.waited, got.told, got.notes, len(got.sent))
    assert ("cut" in name or "truncated" in name) == any("cut" in n for n in got.notes)


async def test_a_wait_longer_than_anybody_has_patience_for_is_not_waited() -> None:
    def tomorrow(talk: Talk, request: dict[str, Any]) -> Reply:
        return Reply(429, {"message": "come back"}, {"retry-after": "3600"})

    got = await played(tomorrow, 1)
    assert got.thoughts[0].by == "openai→runbook"
    assert (len(got.sent), got.waited) == (1, 0)
    assert "asks to wait 3600 s" in got.notes[0]["text"]


async def test_waiting_ends_with_the_seconds_that_an_incident_has() -> None:
    from agent.reasoner.llm.budget import Limits

    def busy(talk: Talk, request: dict[str, Any]) -> Reply:
        return Reply(503, {"message": "loading"}, {"retry-after": "4"})

    got = await played(busy, 1, limits=Limits(seconds=10))
    assert got.thoughts[0].by == "openai→runbook"
    assert got.waited == 8


async def test_waiting_for_one_answer_is_bounded() -> None:
    def busy(talk: Talk, request: dict[str, Any]) -> Reply:
        return Reply(503, {"message": "loading"}, {"retry-after": "4"})

    got = await played(busy, 1)
    assert got.thoughts[0].by == "openai→runbook"
    assert got.waited == 120
    assert len(got.sent) == 31
    assert len(got.told) == 1


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (Reply(401, {"error": {"message": "bad key"}}), 1),
        (Reply(404, {"error": {"message": "no such model"}}), 1),
        (Reply(429, {"error": {"message": "no credit", "code": "insufficient_quota"}}), 1),
        (Reply(200, {"error": {"message": "bad key", "code": 401}}), 1),
        (Reply(200, "<html>sign in</html>"), 1),
        (refused("something else is wrong"), 1),
        (Reply(500, {"error": {"message": "boom"}}), 4),
        (Reply(0, None), 4),
    ],
)
async def test_what_no_wait_mends_is_left_at_once_and_what_might_pass_after_a_few_attempts(
    answer: Reply, requests: int
) -> None:
    got = await played(lambda talk, request: answer, 1)
    assert got.thoughts[0].by == "openai→runbook"
    assert len(got.sent) == requests
    assert got.waited == (7.0 if requests > 1 else 0)


async def test_the_limit_of_an_answer_is_raised_once_and_can_be_set() -> None:
    def endless(talk: Talk, request: dict[str, Any]) -> Reply:
        return completion({"content": "", "reasoning_content": "hmm"}, finish="length")

    got = await played(endless, 1, answer_tokens=500)
    assert [r["max_tokens"] for r in got.sent] == [500, 2000, 2000]
    assert got.thoughts[0].by == "openai→runbook"
    assert "raise llm.answer_tokens" in got.notes[0]["text"]
    assert got.thoughts[0].spent.prompt_tokens == 3 * 2900  # what failed is paid for


async def test_a_raised_limit_is_remembered_by_the_incident() -> None:
    got = await played(QUIRKS["reasoning_eats_limit"], 1)
    more = await played(QUIRKS["reasoning_eats_limit"], 1, got.case)
    assert [r["max_tokens"] for r in more.sent] == [10_000]


UNREAD = {
    "an unknown tool": '```json\n{"name": "delete_everything", "arguments": {}}\n```',
    "no arguments": '<tool_call>{"name": "look"}</tool_call>',
    "a word that looks like one": "I would call look(query_metrics).",
    "another prefix": '{"name": "shell.look", "arguments": {"calls": []}}',
    "a thought": '<think><tool_call>{"name": "conclude", "arguments": {"claims": [], "component": "", "fault": "none", "confidence": 1}}</tool_call></think>',
    "half of one": '<tool_call>{"name": "look", "arguments": {"calls": [',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", UNREAD.values(), ids=UNREAD.keys())
async def test_nothing_else_is_guessed(text: str) -> None:
    got = await played(lambda talk, request: says(text), 1)
    assert got.thoughts[0].by == "openai→runbook"
    assert "No tool was called" in got.notes[0]["text"]


async def test_what_a_provider_wants_back_outlives_a_restart_and_goes_to_nobody_else() -> None:
    case = (await played(QUIRKS["signature"], 1)).case
    kept = case.events[-3].data["given"]
    assert kept["call"] == {"extra_content": {"google": {"thought_signature": "AbC"}}}
    other = messages(case.view(), "system", "another")
    assert "AbC" not in json.dumps(other)
    assert not any("tool_calls" in m for m in other)
    assert "E1 ok" in other[2]["content"]  # and yet it is told what was read
    same = messages(case.view(), "system", kept["of"])
    assert same[2]["tool_calls"][0]["extra_content"] == kept["call"]["extra_content"]


async def test_what_the_runbook_reasoner_did_is_told_as_text() -> None:
    case = Case()
    thought = await RunbookReasoner().next_move(case.view())
    case.made(Thought(thought.move, "openai→runbook"))
    assert not any("tool_calls" in m for m in messages(case.view(), "system", "any"))


async def test_an_attempt_that_is_told_off_goes_back_with_its_signature() -> None:
    last = Thought(AskPerson("what?"), "openai", given={"of": "p", "id": "abc", "call": {"sig": "S"}})
    rendered = messages(Case().view(rejections=("no",), last=last), "system", "p")
    assert rendered[-2]["tool_calls"][0]["sig"] == "S"
    assert rendered[-1]["tool_call_id"] == rendered[-2]["tool_calls"][0]["id"] == "abc"


async def test_what_is_given_back_is_bounded_and_has_no_secret() -> None:
    def chatty(talk: Talk, request: dict[str, Any]) -> Reply:
        return completion(
            {"tool_calls": [call(*talk.move(), sig="S")], "reasoning_content": "x" * MOST_GIVEN, "note": "k3y-s3cr3t"}
        )

    got = await played(chatty, 2, redact=Redactor(("k3y-s3cr3t",)))
    given = got.thoughts[0].given
    assert given["call"] == {"sig": "S"}
    assert set(given["message"]) == {"note"}
    assert "s3cr3t" not in json.dumps(given) + json.dumps(got.sent)


def test_of_calls_side_by_side_the_first_signature_is_kept() -> None:
    first, second = call("alert_rule", "{}", "a"), call("query_metrics", "{}", "b", sig="S")
    reply = completion({"tool_calls": [first, second]})
    assert said(json.dumps(reply.body)).given == {"id": "a", "call": {"sig": "S"}}


def test_numbers_that_json_cannot_spell_are_not_given_back() -> None:
    body = json.dumps(
        completion({"tool_calls": [call("alert_rule", "{}", "a", sig="S")], "note": {"score": [7e77]}}).body
    )
    given = said(body.replace("7e+77", "1e999")).given
    assert given == {"id": "a", "call": {"sig": "S"}}
    assert said(body).given["message"] == {"note": {"score": [7e77]}}


async def test_a_silent_server_is_asked_once_and_left_at_the_deadline() -> None:
    import time

    def sleepy(talk: Talk, request: dict[str, Any]) -> Reply:
        time.sleep(0.6)
        return well(talk, request)

    got = await played(sleepy, 1, timeout_s=0.3)
    assert got.thoughts[0].by == "openai→runbook"
    assert len(got.sent) == 1
    assert "within 0.3 s" in got.notes[0]["text"]


async def test_a_question_is_answered_without_what_was_thought_aloud() -> None:
    with served(lambda talk, request: says("<think>hm</think>It waits.")) as (url, _):
        model = OpenAIReasoner(model="m", api_key="k", base_url=url, prompts=PROMPTS)
        thought = await model.next_move(Case().view(question="status?"))
        await model.close()
    assert getattr(thought.move, "text", None) == "It waits."


async def test_a_failed_attempt_says_what_it_cost() -> None:
    with served(lambda talk, request: says("no")) as (url, _):
        model = OpenAIReasoner(model="m", api_key="k", base_url=url, prompts=PROMPTS)
        with pytest.raises(ReasonerFailed) as failed:
            await model.next_move(Case().view())
        await model.close()
    assert getattr(failed.value, "spent").prompt_tokens == 2 * 2900  # noqa: B009
