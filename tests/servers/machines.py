"""Real servers and the real program as processes of their own: started, waited for, ended by the one who started them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

TOP = Path(__file__).parents[2]
STANCH = Path(sys.executable).with_name("stanch")


@dataclass(frozen=True, slots=True)
class Ran:
    """One call of the program as a person makes it."""

    code: int
    out: str
    err: str
    seconds: float

    def json(self) -> Any:
        return json.loads(self.out)


def stanch(folder: Path, *arguments: str, stdin: bytes = b"", **env: str) -> Ran:
    """Run the program in `folder` with its data there; `env` are its STANCH_* variables without the prefix."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STANCH_", "OPENAI_", "DATABASE_"))}
    named = {f"STANCH_{name}": value for name, value in env.items()}
    began = time.monotonic()
    done = subprocess.run(
        [str(STANCH), "--data", str(folder / "data"), *arguments],
        cwd=folder,
        env={**kept, **named, "COLUMNS": "160"},
        input=stdin,
        capture_output=True,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - began)


@contextmanager
def running(
    command: Sequence[str], log: Path, ready: str, env: Mapping[str, str] | None = None, seconds: float = 30
) -> Iterator[None]:
    """A server while it is needed; it is there once `ready` answers 200."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **(env or {})})
    try:
        until(lambda: answers(ready) or ended(process, log), f"{ready} answers", seconds)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def ended(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"{process.args!r} ended with {process.returncode}: {log.read_text()[-800:]}")
    return False


def until(holds: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """What `holds` gives once it is true; fails with `what` when it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def prometheus_command(prometheus: str, folder: Path, port: int) -> list[str]:
    """Over `folder`, which holds prometheus.yml and, back-filled or not, data."""
    return [
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=100y",
    ]


def alertmanager_command(alertmanager: str, folder: Path, port: int) -> list[str]:
    """Over `folder`, which holds alertmanager.yml."""
    return [
        alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
