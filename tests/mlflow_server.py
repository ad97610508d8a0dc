"""A real MLflow server for tests, one for the whole session: starting it takes half a minute.

`from tests.mlflow_server import mlflow_server  # noqa: F401` gives a test module the fixture. MLflow lives in an
environment of its own, which `make mlflow` makes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAM = Path(__file__).parents[1] / ".venv-mlflow" / "bin" / "mlflow"
API = "/api/2.0/mlflow"
MODEL = "demand-forecast"
DAY = 86_400_000
QUALITY = ((0.12, 0.11), (0.11, 0.12, 0.11), (0.11, 0.13, 0.31))  # mape of versions 1 to 3, one value a day


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """A running server with MODEL seeded: versions 1 to 3, alias champion on 3, one run each. `runs` by version."""

    url: str
    runs: Mapping[str, str]
    port: int

    def call(self, method: str, path: str, asked: Mapping[str, Any]) -> Any:
        return _call(self.url, method, path, asked)

    def champion(self) -> str:
        found = self.call("GET", "/registered-models/alias", {"name": MODEL, "alias": "champion"})
        return str(found["model_version"]["version"])

    def point_champion(self, version: str) -> None:
        self.call("POST", "/registered-models/alias", {"name": MODEL, "alias": "champion", "version": version})


_running: list[MlflowServer] = []


@pytest.fixture(scope="session")
def mlflow_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MlflowServer:
    """The session's server. Skips and says what to run, or fails under STANCH_REQUIRE_SERVERS=1, where MLflow is absent."""
    if not PROGRAM.exists():
        message = "MLflow is missing: run `make mlflow`"
        if os.environ.get("STANCH_REQUIRE_SERVERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    if not _running:
        port = _free_port()
        process = _start(tmp_path_factory.mktemp("mlflow"), port)
        request.config.add_cleanup(lambda: _stop(process))
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        _running.append(MlflowServer(url, _seed(url), port))
    return _running[0]


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command: Sequence[str] = [
        str(PROGRAM),
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    log = (folder / "log").open("wb")
    return subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def _wait(url: str, process: subprocess.Popen[bytes], seconds: float = 150) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"MLflow ended with {process.returncode} while starting")
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    pytest.fail(f"MLflow did not answer within {seconds} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The server runs a child of its own: the whole process group, which we made, goes."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                continue


def _seed(url: str) -> dict[str, str]:
    now = int(time.time() * 1000)
    experiment = _call(url, "POST", "/experiments/create", {"name": "demand"})["experiment_id"]
    _call(url, "POST", "/registered-models/create", {"name": MODEL, "description": "retail demand"})
    runs = {}
    for number, values in enumerate(QUALITY, start=1):
        made = _call(
            url,
            "POST",
            "/runs/create",
            {
                "experiment_id": experiment,
                "run_name": f"train-{number}",
                "start_time": now,
                "tags": [{"key": "data.version", "value": f"2026-11-0{number}"}],
            },
        )["run"]["info"]
        run = runs[str(number)] = made["run_id"]
        points = [
            {"key": "mape", "value": v, "timestamp": now - (len(values) - 1 - day) * DAY, "step": day}
            for day, v in enumerate(values)
        ]
        _call(
            url,
            "POST",
            "/runs/log-batch",
            {
                "run_id": run,
                "metrics": [*points, {"key": "rmse", "value": values[-1] * 100, "timestamp": now, "step": 0}],
                "params": [{"key": "depth", "value": str(4 + number // 3)}, {"key": "rate", "value": "0.1"}],
            },
        )
        _call(url, "POST", "/runs/update", {"run_id": run, "status": "FINISHED", "end_time": now})
        _call(
            url,
            "POST",
            "/model-versions/create",
            {"name": MODEL, "source": f"{made['artifact_uri']}/model", "run_id": run},
        )
    _call(url, "POST", "/registered-models/alias", {"name": MODEL, "alias": "champion", "version": "3"})
    return runs


def _call(url: str, method: str, path: str, asked: Mapping[str, Any]) -> Any:
    sent: dict[str, Any] = {"params": asked} if method == "GET" else {"json": asked}
    answer = httpx.request(method, f"{url}{API}{path}", timeout=30, **sent)
    answer.raise_for_status()
    return answer.json()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
