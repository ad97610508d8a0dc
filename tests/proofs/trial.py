"""The tests that are to notice a mutant, run by pytest in this process: for a child that has imported nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

QUIET = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-x",
    "-q",
    "--tb=short",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",  # of hypothesis, which is imported already
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by` and `said` are of the first that failed, "" when nothing did. `ran` is false when a test could not be tried."""

    by: str = ""
    said: str = ""
    ran: bool = True


class Ear:
    def __init__(self) -> None:
        self.passed = 0
        self.heard = Verdict()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed
        if report.failed and not self.heard.by:
            self.heard = Verdict(report.nodeid, _said(report), ran=report.when == "call")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.heard.by:
            self.heard = Verdict(report.nodeid, str(report.longrepr).strip().splitlines()[-1][:160], ran=False)


def _said(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).strip().partition("\n")[0][:160]


def tried(tests: Sequence[str]) -> Verdict:
    """What the tests say, up to the first that fails. What they print goes nowhere."""
    nowhere, ear = os.open(os.devnull, os.O_RDWR), Ear()
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    code = pytest.main([*QUIET, *tests], plugins=[ear])
    if ear.heard.by or (ear.passed and code is pytest.ExitCode.OK):
        return ear.heard
    return Verdict(" ".join(tests), f"none of them ran: {pytest.ExitCode(code).name}", ran=False)
