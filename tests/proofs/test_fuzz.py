"""Thousands of inputs from seeds: each ends in a value or in an error of ours, never in a traceback, never after a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.fuzz import Found, WebhookEndpoints, doors, knock
from tests.proofs.fuzz_cli import Calls
from tests.proofs.report import Report

INPUTS = {  # of 20,000 under --prove; a tenth in CI
    "alerts": 6_000,
    "reasoner answers": 6_000,
    "policy files": 5_000,
    "runbooks": 2_000,
    "command lines": 1_000,
}
WARM_UP = range(10_000_000, 10_000_010)  # what is imported or compiled at the first use is not the input's fault
SHARE = 10


def door(name: str, folder: Path) -> WebhookEndpoints:
    every = (*doors(folder), Calls(folder).door())
    return next(one for one in every if one.name == name)


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_nobody_meant_gets_a_value_or_an_error_of_ours(
    name: str, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, indexed: Path
) -> None:
    monkeypatch.setenv("STANCH_DATA", str(indexed))
    mine = door(name, tmp_path)
    if name == "command lines":
        mine.feed(["runbooks", "search", "cpu"])  # loads the embedding model
    knock(mine, WARM_UP)
    found = knock(mine, range(INPUTS[name] if report.long else INPUTS[name] // SHARE))
    report.add(
        fuzz={"inputs": found.inputs, "tracebacks": len(found.tracebacks), "hangs": len(found.hangs)},
    )
    print(f"{name}: {found.refused} of {found.inputs} were refused")
    assert found.tracebacks == [], told(found)
    assert found.hangs == [], told(found)
    if name != "command lines":  # there an error of ours is an exit code
        assert 0 < found.refused < found.inputs, "some are taken and some are not"


def told(found: Found) -> str:
    """The first of each door, with the number that makes it again."""
    return "\n\n".join(
        f"{name}, input {number}: {what}" for name, number, what in (*found.tracebacks, *found.hangs)[:5]
    )
