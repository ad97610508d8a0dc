"""What a lab keeps on disk survives being killed, and another process goes on from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import UnusableInput
from agent.lab.scenario import RightAction
from agent.lab.server import Lab
from tests.lab.acting import act

SCALE = RightAction(action="scale_workload", args={"workload": "forecast-server"})
TOP = Path(__file__).parents[2]
ACT_AND_DIE = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from agent.lab.scenario import RightAction
from agent.lab.server import Lab
from tests.lab.acting import act
lab = Lab.prepare(Path(sys.argv[1]), "forecast-contention", 1)
lab.clock.advance(timedelta(seconds=40))
act(lab, RightAction(action="scale_workload", args={"workload": "forecast-server"}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_effect_survives_kill_nine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ACT_AND_DIE, str(tmp_path)], cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)}
    )
    assert done.returncode == -signal.SIGKILL
    lab = Lab.resume(tmp_path)
    assert lab is not None
    assert [change.kind for change in lab.effects()] == ["deployment"]
    assert lab.clock.now() == lab.scenario.start_time() + timedelta(seconds=40)


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_was_cut_off_never_happened(cut: int, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    act(lab, SCALE)
    act(lab, SCALE)
    path = tmp_path / "lab-changes.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = Lab.prepare(tmp_path, "forecast-contention", 1)
    assert len(again.effects()) == 1
    act(again, SCALE)
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_a_resumed_world_is_the_same_world(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    act(lab, SCALE)
    lab.clock.advance(timedelta(minutes=10))
    again = Lab.resume(tmp_path)
    assert again is not None
    assert again.now_ms() == lab.now_ms()
    for name in ("http_requests_total", "up", "kube_deployment_spec_replicas"):
        for one, two in zip(lab.world.series(name), again.world.series(name), strict=True):
            assert one.labels == two.labels
            assert (one.values == two.values).all()


def test_another_scenario_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    act(Lab.prepare(tmp_path, "forecast-contention", 1), SCALE)
    assert Lab.prepare(tmp_path, "bad-deploy", 1).effects() == []


def test_an_empty_folder_has_no_lab(tmp_path: Path) -> None:
    assert Lab.resume(tmp_path) is None


def test_a_state_that_is_no_json_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text("{")
    with pytest.raises(UnusableInput, match="Remove the folder"):
        Lab.resume(tmp_path)
