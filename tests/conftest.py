"""What every test gets: a network guard that lets only loopback through, and free ports for real servers."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import stanch
from tests.warm import Warm

GARBAGE_S = 2.0  # seconds of tests between two collections


class Garbage:
    """Collects between tests and never within one.

    CPython 3.11 fails with "AST constructor recursion depth mismatch" when a collection that happens to run inside
    `ast.parse` finalises a client or a generator; tests leave many of both.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()

    def pytest_sessionstart(self) -> None:
        gc.disable()

    def pytest_runtest_logfinish(self) -> None:
        if time.monotonic() - self._last > GARBAGE_S:
            gc.collect()
            self._last = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run the proofs in full and write proof.json")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Garbage())


LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the internet fails, whatever it meant to mock."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test reached for {address}; only loopback is allowed")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in [n for n in os.environ if n.startswith(("STANCH_", "OPENAI_")) and n != "STANCH_REQUIRE_SERVERS"]:
        monkeypatch.delenv(name)


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


def need(program: str, package: str) -> str:
    """Path of a real server's program. Skips and says what to install, or fails under STANCH_REQUIRE_SERVERS=1."""
    path = shutil.which(program)
    if path:
        return path
    message = f"{program} is missing: install the package {package}"
    if os.environ.get("STANCH_REQUIRE_SERVERS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def quiet_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test ever touches the person's own data folder."""
    home = tmp_path_factory.mktemp("home")
    old = {name: os.environ.get(name) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    os.environ.update(HOME=str(home), XDG_DATA_HOME=str(home / "data"), XDG_CONFIG_HOME=str(home / "config"))
    yield
    for name, value in old.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def warm(quiet_data_folder: None) -> Iterator[Warm]:
    """The command line as a process that need not import anything any more."""
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="session")
def indexed(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the shipped runbooks are indexed already; copy it, it saves ten seconds."""
    data = tmp_path_factory.mktemp("indexed") / "data"
    assert warm.stanch("--data", data, "runbooks", "search", "anything").code == 0
    return data


@pytest.fixture(scope="session")
def stopped_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folder of a demo that waits for its approval; copy it before changing anything. Words on stdin are no terminal."""
    data = tmp_path_factory.mktemp("demo") / "data"
    run = stanch("--data", data, "demo", "--json", stdin="y\n")
    assert run.code == 3, run.err
    (data / "shown.json").write_text(run.out)
    (data / "said.txt").write_text(run.err)
    return data
