"""A process that has imported everything and opened nothing: each call forks, so that starting one costs milliseconds.

`python -m tests.warm` reads orders, one JSON a line, and answers each with `{"pid"}` and, when it ended, `{"code"}`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.command_line import TOP, Run, encoded, surroundings

HEAVY = (
    "agent.app",
    "agent.lab.server",
    "agent.reasoner.rules.runbook_reasoner",
    "agent.surfaces.cli.approvals",
    "agent.surfaces.cli.incidents",
    "agent.surfaces.cli.demo_env",
    "aiosqlite",
    "alembic.command",
    "kr8s.asyncio",
    "langgraph.checkpoint.sqlite.aio",
    "langgraph.graph",
    "rich.table",
)


def serve() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(order)
        print(json.dumps({"pid": pid}), flush=True)
        print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)


def become(order: Mapping[str, Any]) -> None:
    """Be `stanch` with the order's arguments from here on, with streams in files: no terminal."""
    from agent.__main__ import main

    made = os.O_WRONLY | os.O_CREAT
    for number, (name, flags) in enumerate([("in", os.O_RDONLY), ("out", made), ("err", made)]):
        os.dup2(os.open(order[name], flags, 0o600), number)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = ["stanch", *order["argv"]]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter would, which never comes back here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Warm:
    """The other end: runs calls one after the other, and tells the pid of each while it runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def stanch(
        self,
        *args: str | Path,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path = TOP,
        meanwhile: Callable[[int], None] | None = None,
    ) -> Run:
        """As `tests.command_line.stanch`; `meanwhile(pid)` runs beside it, and may kill it."""
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").write_bytes(encoded(stdin))
            for stream in ("out", "err"):  # a child that is killed at once leaves nothing in them
                (folder / stream).touch()
            order = {"argv": [str(arg) for arg in args], "env": surroundings(env), "cwd": str(cwd)}
            order |= {stream: str(folder / stream) for stream in ("in", "out", "err")}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            pid = self._answer("pid")
            if meanwhile is not None:
                meanwhile(pid)
            return Run(self._answer("code"), (folder / "out").read_text(), (folder / "err").read_text())

    def _answer(self, what: str) -> int:
        assert self._process.stdout is not None
        return int(json.loads(self._process.stdout.readline())[what])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    serve()
