"""`report` for the proofs: under `--prove` they run in full and when all of them ran their figures are written to proof.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.databases import address, database, postgres, postgres_server, second_postgres  # noqa: F401
from tests.proofs.promises import table
from tests.proofs.report import Report

KEPT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEPT] = Report(long=bool(config.getoption("--prove", default=False)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    report = session.config.stash[KEPT]
    if hasattr(session.config, "workeroutput"):  # one of several processes: the first of them adds up
        session.config.workeroutput["figures"] = report.figures
    elif report.long and report.whole:
        report.write()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of pytest-xdist has ended."""
    for name, figures in (getattr(node, "workeroutput", None) or {}).get("figures", {}).items():
        if figures:
            node.config.stash[KEPT].add(name, **figures)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    report = config.stash[KEPT]
    if report.long and report.whole:
        terminalreporter.write_line((Path(__file__).parent / "MUTANTS.md").read_text())
        terminalreporter.write_line(table(report.to_json()))


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash[KEPT]
