"""`stanch chat` as a person types it, on a demo that was left open, with both reasoners."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from agent.__main__ import _open
from agent.surfaces.cli.chat import _chat
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.investigate import _demo
from agent.surfaces.cli.session import Session
from tests.founding_play import CONCLUDE, LOOK, PROPOSE
from tests.played_llm import calls, scripted

NUMBER = re.compile(r"\d+(?:\.\d+)? (?:s|ms|%|min)\b")


class Terminal(Session):
    """A session whose people's text is kept, at a width of its own."""

    def __init__(self, folder: Path, width: int, reasoner: str) -> None:
        super().__init__(_open, {"data": str(folder), "reasoner": reasoner})
        self.screen = io.StringIO()
        self.width = width

    @property
    def console(self) -> Console:
        return Console(file=self.screen, width=self.width, highlight=False)

    @property
    def interactive(self) -> bool:
        return True

    async def left_open(self) -> None:
        """The demo up to the proposal, where nobody is there to decide."""
        assert (
            await _demo(NoTerminal(_open, self.flags), "forecast-contention", 1, False, False, False, True)
            == Exit.WAITS
        )

    async def types(self, *lines: str) -> str:
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            keys.send_text("".join(f"{line}\n" for line in (*lines, "/quit")))
            assert await _chat(self, None) == Exit.OK
        return self.screen.getvalue()


class NoTerminal(Session):
    @property
    def console(self) -> Console:
        return Console(file=io.StringIO())

    @property
    def interactive(self) -> bool:
        return False


async def test_the_runbook_reasoner_is_asked_steered_and_approved(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, "runbook")
    await terminal.left_open()
    seen = await terminal.types(
        "why",
        "what did you check",
        "what was not checked",
        "show E2",
        "is it drift?",
        "how is web doing?",
        "/evidence",
        "/plan",
        "/steer look at the feature pipeline too",
        "/approve",
        "/report",
    )
    assert max(len(line) for line in seen.splitlines()) <= 80
    answers = seen[seen.index("answer") : seen.index("scale_workload")]
    assert "cpu contention in demand-forecast" in answers
    assert "E2: " in answers
    assert "of web" in answers
    for line in re.split(r"\n *- ", answers):
        if NUMBER.search(line.split(" (")[0]):
            assert re.search(r"\[?E\d+", line), line
    after = seen[seen.index("steered") :]
    assert "feature-pipeline" in after
    assert "approve by os:" in after
    assert after.count("outcome DONE") == 1
    assert "state recovered" in after
    assert len(re.findall(r"verifies \d\d:\d\d:\d\d", after)) == len(
        set(re.findall(r"verifies (\d\d:\d\d:\d\d)", after))
    )


async def test_a_language_model_answers_in_chat_and_what_it_costs_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = {"text": "Throttling of demand-forecast is at {E3.value.last}, p99 at {E2.now.last}."}
    look = {"calls": [{"read": "feature_freshness", "args": {}, "why": "how old the features are"}]}
    fresh = {"text": "{E10.stale.count} features are older than they may be."}
    play = (
        calls("look", LOOK),
        calls("propose", PROPOSE),
        calls("reply", {"text": "It is at 31 %."}),
        calls("reply", reply),
        calls("look", look),
        calls("reply", fresh),
        calls("conclude", CONCLUDE),
    )
    with scripted(*play) as script:
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        terminal = Terminal(tmp_path, 110, "openai")
        await terminal.left_open()
        seen = await terminal.types("why?", "are the features fresh?", "/approve", "/report")
    assert re.search(r"answer Throttling of demand-forecast is at \d+ %, p99 at [\d.]+ s. \[E3 E2\]", seen)
    assert "It is at 31 %" not in seen
    assert "0 features are older" in seen
    assert "state recovered" in seen
    followed = str(script.requests[4]["messages"])
    assert "asked: <data>why?</data>" in followed  # the second question knows of the first
