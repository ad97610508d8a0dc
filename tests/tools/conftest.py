"""The real Prometheus that the tests of reads share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.real_prometheus import start


@pytest.fixture(scope="session")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    programs = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, url = start(*programs, folder, port)
    yield url
    server.terminate()
    server.wait(timeout=10)
