"""`stanch doctor --llm`: two calls to an endpoint, and in plain words what works and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.clock import MovedClock
from agent.reasoner.llm.endpoint import Endpoint
from agent.reasoner.llm.probe import WORD, probe
from tests.command_line import stanch
from tests.endpoints import QUIRKS, Quirk, Reply, Talk, call, completion, refused, says, served
from tests.reasoner.cases import NOW

PLAY = (("look_up", {"day": "today"}), ("answer", {"word": WORD}))


async def probed(quirk: Quirk, **more: Any) -> dict[str, tuple[str, str]]:
    with served(quirk, PLAY) as (url, _):
        endpoint = Endpoint(model="m", api_key="k", base_url=url, clock=MovedClock(NOW), **{"timeout_s": 5.0, **more})
        rows = await probe(endpoint, 2_500)
        await endpoint.close()
    assert len({what for what, _, _ in rows}) == len(rows)
    return {what.removeprefix("llm "): (state, text) for what, state, text in rows}


MENDS_ITSELF = set(QUIRKS) - {"silently_cut", "says_truncated"}


@pytest.mark.parametrize("name", sorted(MENDS_ITSELF))
async def test_an_oddity_that_is_lived_with_is_nothing_wrong(name: str) -> None:
    rows = await probed(QUIRKS[name])
    assert [text for state, text in rows.values() if state == "wrong"] == []
    assert {"answers", "tool calls", "calls given back", "limit"} <= set(rows)


@pytest.mark.parametrize(
    ("name", "row", "state", "words"),
    [
        ("well", "calls given back", "ok", "with its own id; the answer was read"),
        ("signature", "calls given back", "ok", "its own id and extra_content"),
        ("thoughts", "calls given back", "ok", "reasoning_content, reasoning_details"),
        ("no_ids", "calls given back", "ok", "an id of ours"),
        ("call_in_tags", "tool calls", "ok", "written as text"),
        ("prefix", "tool calls", "ok", "named 'functions.look_up'"),
        ("no_usage", "usage", "absent", "does not count tokens"),
        ("well", "usage", "ok", "2900 and 2900 tokens read"),
        ("well", "limit", "ok", "in max_tokens and max_completion_tokens"),
        ("no_length_fields", "limit", "absent", "takes none"),
        ("one_length_field", "limit", "ok", "in max_completion_tokens"),
        ("streaming_only", "wants", "ok", "only streamed answers"),
        ("no_system", "wants", "ok", "no system role"),
        ("thoughts_refused", "wants", "ok", "no reasoning_content"),
        ("silently_cut", "context", "wrong", "its context is too small"),
        ("reasoning_eats_limit", "answers", "ok", "set llm.answer_tokens to 10000"),
    ],
)
async def test_the_probe_says_what_works_and_what_to_do(name: str, row: str, state: str, words: str) -> None:
    got = (await probed(QUIRKS[name]))[row]
    assert got[0] == state
    assert words in got[1]


async def test_a_model_that_calls_nothing_or_forgets_the_answer_is_wrong() -> None:
    rows = await probed(lambda talk, request: says("Hello! How can I help?"))
    assert rows["tool calls"][0] == "wrong"
    assert "Hello! How can I help?" in rows["tool calls"][1]

    def forgets(talk: Talk, request: dict[str, Any]) -> Reply:
        return completion({"tool_calls": [call("look_up", "{}")]})

    assert (await probed(forgets))["calls given back"][0] == "wrong"


async def test_a_server_that_takes_no_call_back_is_wrong() -> None:
    def one_turn(talk: Talk, request: dict[str, Any]) -> Reply:
        return refused("no tool messages here") if len(request["messages"]) > 2 else QUIRKS["well"](talk, request)

    rows = await probed(one_turn)
    assert rows["calls given back"][0] == "wrong"
    assert "no tool messages here" in rows["calls given back"][1]


async def test_an_endpoint_that_is_not_there_is_wrong_and_says_what_to_check() -> None:
    endpoint = Endpoint(model="m", api_key="k", base_url="http://127.0.0.1:9/v1", clock=MovedClock(NOW))
    ((what, state, text),) = await probe(endpoint, 2_500)
    await endpoint.close()
    assert (what, state) == ("llm answers", "wrong")
    assert "Check OPENAI_BASE_URL, OPENAI_API_KEY and llm.model" in text


def test_doctor_probes_only_when_asked_and_exits_by_what_it_found(tmp_path: Path, indexed: Path) -> None:
    env = {**os.environ, "OPENAI_API_KEY": "k3y-s3cr3t"}

    def doctor(quirk: Quirk, *flags: str) -> tuple[int, dict[str, Any], Talk]:
        with served(quirk, PLAY) as (url, talk):
            run = stanch(
                "--data", indexed, "doctor", "--json", *flags, env={**env, "OPENAI_BASE_URL": url}, cwd=tmp_path
            )
        return run.code, {row["what"]: row for row in run.json}, talk

    code, rows, talk = doctor(QUIRKS["well"])
    assert (code, len(talk.requests)) == (0, 0)
    code, rows, talk = doctor(QUIRKS["well"], "--llm")
    assert (code, len(talk.requests)) == (0, 2)
    assert rows["llm tool calls"]["state"] == "ok"
    code, rows, _ = doctor(lambda t, r: refused("bad key k3y-s3cr3t", 401), "--llm")
    assert code == 7
    assert "s3cr3t" not in str(rows)
    nobody = stanch("--data", indexed, "doctor", "--json", "--llm", cwd=tmp_path)
    assert nobody.code == 0
    assert {r["what"]: r for r in nobody.json}["llm"]["text"].startswith("not used: set OPENAI_API_KEY")
