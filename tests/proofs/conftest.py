"""`report` for the proofs: under `--prove` they run in full and their figures are written to proof.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import address, database, postgres, postgres_server, second_postgres  # noqa: F401
from tests.proofs.report import Report

LONG = ("test_proofs.py", "test_mutants.py")  # the walks and the mutants take minutes: `make prove`
KEPT = pytest.StashKey[Report]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name in LONG and not config.getoption("--prove", default=False) else None


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEPT] = Report(long=bool(config.getoption("--prove", default=False)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    report = session.config.stash[KEPT]
    if report.long:
        report.write()


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash[KEPT]
