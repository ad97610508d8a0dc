"""`stanch ask`, about an incident and about the platform at large."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def stanch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "--data", str(folder / "data"), "--reasoner", "runbook", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.fixture(scope="module")
def left_open(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("ask")
    ran = stanch(folder, "demo", "--json")
    assert ran.returncode == 3, ran.stderr
    return folder, json.loads(ran.stdout)["incident"]["id"]


def answered(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert set(found) == {"text", "evidence", "reads"}
    return dict(found)


def test_a_question_about_an_incident_is_answered_from_its_evidence(left_open: tuple[Path, str]) -> None:
    folder, incident = left_open
    found = answered(stanch(folder, "ask", "why?", "--incident", incident, "--json"))
    assert "cpu contention in demand-forecast" in found["text"]
    assert found["evidence"]
    assert all(f"[{i}" in found["text"] or i in found["text"] for i in found["evidence"])
    assert found["reads"] == 0


def test_the_platform_at_large_is_read_for_a_question_that_belongs_to_no_incident(left_open: tuple[Path, str]) -> None:
    folder, incident = left_open
    found = answered(stanch(folder, "ask", "what changed in web?", "--demo", "--json"))
    assert found["reads"] >= 1
    assert found["evidence"]
    plain = stanch(folder, "ask", "how is checkout doing?", "--demo")
    assert plain.returncode == 0
    assert "checkout" in plain.stdout
    listed = json.loads(stanch(folder, "incidents", "list", "--json").stdout)
    assert [one["id"] for one in listed] == [incident]  # a question is no incident


def test_an_unknown_incident_is_unusable_input(left_open: tuple[Path, str]) -> None:
    ran = stanch(left_open[0], "ask", "why?", "--incident", "nope", "--json")
    assert ran.returncode == 2
    assert "stanch incidents list" in ran.stderr
