"""`report` for the proofs: under `--prove` they run in full and their figures are written to proof.json."""

from __future__ import annotations

import pytest

from tests.databases import address, database, postgres, postgres_server, second_postgres  # noqa: F401
from tests.proofs.report import Report

KEPT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEPT] = Report(long=bool(config.getoption("--prove", default=False)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    report = session.config.stash[KEPT]
    if report.long:
        report.write()


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash[KEPT]
