"""What every step pays for: the system prompt and the tools, with everything offered that can be."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from agent.reasoner.llm.budget import estimate
from agent.reasoner.llm.move_tools import tools_of
from agent.reasoner.llm.prompt_files import load
from agent.settings import shipped
from tools.listing import TOOLS


@pytest.mark.parametrize(("name", "question", "most"), [("incident", None, 3_000), ("question", "why?", 2_000)])
def test_a_step_stays_small(name: str, question: str | None, most: int) -> None:
    view: Any = SimpleNamespace(
        reads=tuple(one for one in TOOLS.reads if one.offered), actions=tuple(TOOLS.actions), question=question
    )
    system = {"role": "system", "content": load(shipped("prompts"), name).text}
    assert estimate(json.dumps([system, *tools_of(view)], ensure_ascii=False)) < most
