"""Moves: what a language model is told to write, what it writes and what the timeline keeps are one thing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest
from agent.domain.events import read
from agent.domain.finding import Assertion, Claim
from agent.domain.incident import Kind
from agent.domain.moves import (
    MOVES,
    SUCCESS_SCHEMA,
    AskPerson,
    Call,
    Conclude,
    Look,
    NotChecked,
    Propose,
    Reply,
    RuledOut,
    SuccessWritten,
    from_json,
    parameters,
    read_written,
    to_json,
)
from agent.domain.notes import MoveMade
from agent.domain.payload import EventKind
from agent.errors import StanchError
from agent.reasoner.llm.prompt_files import load
from agent.settings import shipped
from tests.domain.test_events import TIMELINES, written

TEST = SuccessTest((Check("query_metrics", {"promql": "up"}, "> 0"),))
CLAIM = "p99 rose from {E1.before} to {E1.now}. [E1.now > E1.before]"
SAID: dict[str, Any] = {
    "action": "scale_workload",
    "args": {"replicas": 4},
    "why": "it is starved",
    "claims": [CLAIM, "{E2.count} pods"],
    "component": "web",
    "fault": "cpu_contention",
    "confidence": 0.8,
    "kind": "joint",
    "success": TEST,
    "ruled_out": ["bad_deploy: nothing was deployed"],
    "not_checked": ["logs: no store"],
    "source": "slow",
}
MEANT = Propose(
    "scale_workload",
    {"replicas": 4},
    "it is starved",
    (
        Claim("p99 rose from {E1.before} to {E1.now}.", (Assertion("E1.now", ">", "E1.before"),)),
        Claim("{E2.count} pods"),
    ),
    Cause("web", Fault.CPU_CONTENTION, 0.8),
    TEST,
    Kind.JOINT,
    (RuledOut("bad_deploy", "nothing was deployed"),),
    (NotChecked("logs", "no store"),),
    "slow",
)


def test_a_models_way_of_writing_and_the_timelines_mean_the_same_move() -> None:
    assert read_written("propose", SAID) == MEANT
    assert read_written("propose", to_json(MEANT)) == MEANT
    assert from_json(to_json(MEANT)) == MEANT


@pytest.mark.parametrize("path", TIMELINES, ids=lambda path: path.name)
def test_every_move_of_todays_timelines_is_one_a_model_could_write(path: Any) -> None:
    for event in written(path):
        told = read(EventKind(event["kind"]), event["data"])
        if isinstance(told, MoveMade):
            assert read_written(event["data"]["move"], event["data"]) == told.move


@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_told_by_the_names_it_is_read_by(name: str) -> None:
    told = parameters(name)
    assert set(told["required"]) <= set(told["properties"])
    samples = {
        "propose": SAID,
        "conclude": SAID | {"hand_over": "call ann"},
        "ask": {"question": "?"},
        "reply": {"text": "so"},
        "look": {"calls": [{"read": "up", "args": {}, "why": "w"}]},
    }
    kept = {key: samples[name][key] for key in told["properties"]}
    assert read_written(name, kept) == read_written(name, samples[name])
    for key in told["required"]:
        if key in ("component", "confidence", "claims"):
            continue  # said to be required, and read without
        with pytest.raises(ValidationError):
            read_written(name, {k: v for k, v in kept.items() if k != key})


def test_the_faults_a_model_hears_of_are_those_of_the_enum() -> None:
    assert parameters("propose")["properties"]["fault"] == {"enum": list(Fault)}
    assert f"Faults: {' '.join(Fault)}." in load(shipped("prompts"), "incident").text
    assert parameters("propose")["properties"]["kind"] == {"enum": list(Kind)}


def test_what_is_said_once_is_not_said_twice() -> None:
    """Every word of a tool costs in every step."""
    assert "enum" not in parameters("conclude", described=False)["properties"]["fault"]
    assert "description" not in str(parameters("conclude", described=False))


def test_a_success_test_is_told_by_the_names_it_is_read_by() -> None:
    assert list(SUCCESS_SCHEMA["properties"]) == list(SuccessWritten.model_fields)
    assert SUCCESS_SCHEMA["required"] == [n for n, one in SuccessWritten.model_fields.items() if one.is_required()]


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("propose", {"fault": "gremlins"}, "there is no fault 'gremlins'. There are: cpu_contention"),
        ("propose", {"confidence": 2}, "from 0 to 1"),
        ("propose", {"confidence": "high"}, "'high' is no number"),
        ("propose", {"component": None}, "component is a name"),
        ("propose", {"claims": [{"asserts": []}]}, "a claim is a text"),
        ("propose", {"claims": [{"text": "x", "asserts": ["y"]}]}, "{left, op, right}"),
        ("propose", {"claims": [{"text": "x", "asserts": [{"left": "a", "op": ">", "right": None}]}]}, "right side"),
        (
            "propose",
            {"claims": [{"text": "x", "asserts": [{"left": "a", "op": ">", "right": float("nan")}]}]},
            "right side",
        ),
        ("propose", {"ruled_out": [{"why": "x"}]}, "it takes cause and why"),
        ("propose", {"kind": "odd"}, "'infra', 'model'"),
        ("ask", {"question": ""}, "it is empty"),
        ("reply", {"text": ""}, "it is empty"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(name: str, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_written(name, SAID | wrong)
    assert says in str(refused.value)


def test_models_may_write_a_cause_as_one_object_or_beside() -> None:
    nested = {key: one for key, one in SAID.items() if key not in ("component", "fault", "confidence")}
    cause = {"component": "web", "fault": "cpu_contention", "confidence": "0.8"}
    assert read_written("propose", nested | {"cause": cause}) == MEANT
    assert read_written("conclude", {"fault": "none"}) == Conclude((), Cause("", Fault.NONE))


def test_a_move_stands_on_the_timeline_as_plain_json() -> None:
    assert to_json(Look((Call("up", {}, "w"),))) == {
        "move": "look",
        "calls": [{"read": "up", "args": {}, "why": "w"}],
        "claims": [],
    }
    assert to_json(Reply("so")) == {"move": "reply", "reply": "so"}
    assert from_json({"move": "reply", "reply": "so", "text": "answers"}) == Reply("so")
    assert from_json({"move": "ask", "question": "", "text": "asks a person"}) == AskPerson("")
    with pytest.raises(StanchError, match="'dance', which this version does not know"):
        from_json({"move": "dance"})
