"""The founding demo as a person runs it, with the OpenAI reasoner against a scripted endpoint that may break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.reasoner.failover import MOST_TRIES
from tests.founding_play import CONCLUDE, LOOK, PROPOSE, SLOWER
from tests.played_llm import USED, Script, calls, fails, scripted

CONFIG = "llm: {model: scripted, timeout_s: 20, prices: {prompt: 2, completion: 8}}\n"


@dataclass(frozen=True)
class Ran:
    code: int
    shown: dict[str, Any]
    events: list[dict[str, Any]]
    err: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [e["data"] for e in self.events if e["kind"] == kind]

    @property
    def report(self) -> str:
        return Path(self.shown["report"]).read_text()


def demo(folder: Path, base_url: str, config: str = CONFIG) -> Ran:
    """`stanch demo --approve`, with its timeline and the incident it prints."""
    (folder / "stanch.yaml").write_text(config)
    found = subprocess.run(
        [sys.executable, "-m", "agent", "--data", str(folder / "data"), "demo", "--approve", "--jsonl", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OPENAI_BASE_URL": base_url, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    lines = found.stdout.splitlines()
    end = next((i for i, line in enumerate(lines) if line == "{"), len(lines))
    assert end < len(lines), found.stderr
    return Ran(found.returncode, json.loads("\n".join(lines[end:])), [json.loads(x) for x in lines[:end]], found.stderr)


def acted_once(ran: Ran) -> None:
    """One intent, one outcome, and one change of the simulated platform."""
    assert [o["outcome"] for o in ran.of("outcome")] == ["DONE"]
    assert len(ran.of("intent")) == 1
    changes = Path(ran.shown["report"]).parents[1] / "lab" / "lab-changes.jsonl"
    assert len(changes.read_text().splitlines()) == 1


def recovered(ran: Ran) -> None:
    assert ran.code == 0, ran.err
    assert ran.shown["incident"]["state"] == "recovered"
    assert ran.shown["cause"]["fault"] == "cpu_contention"
    acted_once(ran)


def test_a_language_model_works_the_founding_incident(tmp_path: Path) -> None:
    with scripted(calls("look", LOOK), calls("propose", PROPOSE), calls("conclude", CONCLUDE)) as script:
        ran = demo(tmp_path, script.url)
    recovered(ran)
    assert ran.shown["reasoner"] == "openai"
    assert ran.shown["counts"]["tokens"] == 3 * USED["total_tokens"]
    assert ran.shown["counts"]["cost"] == 3 * (1_000 * 2 + 100 * 8) / 1e6
    assert ran.shown["counts"]["dropped_claims"] == 0
    assert [f["evidence"] for f in ran.shown["findings"]] == [["E2"], ["E3"], ["E4"]]
    assert ran.shown["ruled_out"][0]["evidence"] == ["E5"]
    assert "cost 0.0084" in ran.report
    _what_the_model_saw(script)


def _what_the_model_saw(script: Script) -> None:
    first = script.requests[0]
    size = json.dumps([first["messages"][0], *first["tools"]], ensure_ascii=False)
    assert -(-len(size.encode()) * 2 // 5) < 3_000  # tokens, as ceil(bytes / 2.5)
    opening = first["messages"][1]["content"]
    assert "### cpu_contention" in opening
    assert '"hold":"2m"' in opening
    second, last = (json.dumps(r["messages"], ensure_ascii=False) for r in script.requests[1:])
    assert all(f"E{n} " in second for n in range(1, 7))
    assert last.count("undecided") <= 1
    assert ": recovered." in last
    for earlier, later in zip(script.requests, script.requests[1:], strict=False):
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]  # a provider's cache holds


def test_an_endpoint_that_dies_half_way_hands_over_to_the_runbook_reasoner(tmp_path: Path) -> None:
    with scripted(calls("look", LOOK)) as script:
        ran = demo(tmp_path, script.url)
    recovered(ran)
    assert ran.shown["reasoner"] == "openai→runbook"
    (note,) = [n for n in ran.of("note") if n.get("failover")]
    assert "runbook goes on" in note["text"]
    assert "fail-over openai→runbook" in ran.report
    assert "Reasoner openai→runbook" in ran.report
    assert "fail-over" in ran.err
    assert ran.shown["counts"]["tokens"] == USED["total_tokens"]


def test_an_endpoint_that_was_never_there_costs_nothing_but_a_note(tmp_path: Path, free_port: Any) -> None:
    ran = demo(tmp_path, f"http://127.0.0.1:{free_port()}/v1")
    recovered(ran)
    assert ran.shown["reasoner"] == "openai→runbook"
    assert ran.shown["counts"]["tokens"] == 0
    assert ran.shown["runbooks"][0]["name"] == "forecast-latency-high"


def test_a_model_that_stumbles_is_mended_once_at_each_step(tmp_path: Path) -> None:
    """A 500, then truncated JSON, then a claim with a bare numeral that stays: repaired, repaired, dropped and counted."""
    numeral = {**PROPOSE, "claims": [*PROPOSE["claims"], "p99 is 2.1 seconds."]}
    play = (
        fails(500),
        calls("look", json.dumps(LOOK)[:120]),
        calls("look", LOOK),
        calls("propose", numeral),
        calls("propose", numeral),
        calls("conclude", CONCLUDE),
    )
    with scripted(*play) as script:
        ran = demo(tmp_path, script.url)
    recovered(ran)
    assert ran.shown["reasoner"] == "openai"
    assert len([n for n in ran.of("note") if n.get("repair")]) == 1
    assert next(n["text"] for n in ran.of("note") if n.get("waits")).startswith("waiting for scripted: ")
    assert "waiting for scripted" in ran.err
    assert ran.shown["counts"]["dropped_claims"] == 1
    assert not any("2.1" in f["text"] for f in ran.shown["findings"])
    assert ran.shown["counts"]["tokens"] == 5 * USED["total_tokens"]  # the refused attempt is paid for too
    attempt, told = script.requests[4]["messages"][-2:]
    assert attempt["tool_calls"][0]["function"]["name"] == "propose"
    assert SLOWER in json.loads(attempt["tool_calls"][0]["function"]["arguments"])["claims"]
    assert told["role"] == "tool"
    assert "2.1" in told["content"]


def test_a_server_that_keeps_saying_too_many_requests_is_left(tmp_path: Path) -> None:
    with scripted(*[fails(429)] * 40) as script:
        ran = demo(tmp_path, script.url)
    recovered(ran)
    assert ran.shown["reasoner"] == "openai→runbook"
    tries = [n for n in ran.of("note") if n.get("tried")]
    assert 1 <= len(tries) <= MOST_TRIES
    assert len(script.requests) == 4 + len(tries)  # with patience at first, then once each time it is tried again
    assert len([n for n in ran.of("note") if n.get("failover")]) == 1
    assert "was tried again" in ran.report


def test_a_server_that_comes_back_gets_the_case_back(tmp_path: Path) -> None:
    """It is away for the attempts of its second move; when something has happened, it is asked again."""
    with scripted(calls("look", LOOK), *[fails(502)] * 4, calls("conclude", CONCLUDE)) as script:
        ran = demo(tmp_path, script.url)
    recovered(ran)
    assert ran.shown["reasoner"] == "openai→runbook→openai"
    assert "openai answers again and goes on" in ran.report
    assert "openai answers again and goes on" in ran.err
    assert len(script.requests) == 6


def test_a_model_that_spends_all_its_steps_hands_over_to_the_runbook_reasoner(tmp_path: Path) -> None:
    with scripted(calls("look", LOOK), calls("look", LOOK), calls("look", LOOK)) as script:
        ran = demo(tmp_path, script.url, CONFIG.replace("llm: {", "llm: {budget: {steps: 2}, "))
    recovered(ran)
    assert len(script.requests) == 2
    (note,) = [n for n in ran.of("note") if n.get("failover")]
    assert "budget of 2 steps" in note["why"]
