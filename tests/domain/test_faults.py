"""A fault is one member of the enum: the prompt, the schemas and what is read follow from it."""

from __future__ import annotations

import json
import subprocess
import sys

from agent.domain.cause import Fault
from tests.command_line import TOP

WITH_ONE_MORE = """
import json, sys
from enum import StrEnum
from agent.domain import cause

cause.Fault = StrEnum("Fault", {**{one.name: one.value for one in cause.Fault}, "GREMLINS": "gremlins"})

from agent.domain import moves
from agent.lab.scenario import Scenario
from agent.library.blocks import CheckModel
from agent.reasoner.llm.prompt_files import load
from agent.settings import shipped

cause = {"component": "web", "fault": "gremlins", "confidence": 0.9}
concluded = moves.read_written("conclude", cause)
try:
    moves.read_written("conclude", cause | {"fault": "kobolds"})
except ValueError as error:
    refusal = str(error)
json.dump({
    "prompt": load(shipped("prompts"), "incident").text,
    "propose": moves.parameters("propose"),
    "written": concluded.cause.to_json(),
    "timeline": str(moves.from_json(moves.to_json(concluded)).cause),
    "refusal": refusal,
    "runbook": CheckModel.model_validate({"read": "alerts", "expect": "> 0", "suggests": "gremlins"}).suggests,
    "scenario": Scenario.model_json_schema(),
}, sys.stdout)
"""


def test_one_more_fault_is_in_the_prompt_the_schemas_and_everything_that_reads_a_fault() -> None:
    run = subprocess.run([sys.executable, "-c", WITH_ONE_MORE], cwd=TOP, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert f"Faults: {' '.join(Fault)} gremlins." in seen["prompt"]
    assert seen["propose"]["properties"]["fault"]["enum"] == [*Fault, "gremlins"]
    assert seen["written"] == {"component": "web", "fault": "gremlins", "confidence": 0.9}
    assert seen["timeline"] == "gremlins in web"
    assert ", gremlins" in seen["refusal"], "what may be written is said with the refusal"
    assert seen["runbook"] == "gremlins"
    assert "gremlins" in seen["scenario"]["$defs"]["Fault"]["enum"]
