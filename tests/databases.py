"""Both databases, for tests that must hold on either: `database` runs a test twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.store.database import Database
from tests.postgres_server import postgres, postgres_server, second_postgres

__all__ = ["address", "database", "postgres", "postgres_server", "second_postgres"]


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str:
    """ "" for the embedded database, or the address of a new PostgreSQL one."""
    if request.param == "sqlite":
        return ""
    fresh: Callable[[], str] = request.getfixturevalue("postgres")
    return fresh()


@pytest_asyncio.fixture
async def database(address: Any, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(address, tmp_path / "data")
    yield opened
    await opened.close()
