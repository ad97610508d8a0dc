"""A process that has imported everything and opened nothing: each call forks, so that starting one costs milliseconds.

`python -m tests.warm` reads orders, one JSON a line, and answers each with `{"pid"}` and, when it ended, `{"code"}`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.command_line import TOP, Run

HEAVY = (
    "agent.app", "agent.lab.server", "agent.reasoner.runbook_reasoner", "agent.surfaces.cli.incidents", "aiosqlite",
    "alembic.command", "kr8s.asyncio", "langgraph.checkpoint.sqlite.aio", "langgraph.graph", "rich.table",
)  # fmt: skip


def serve() -> None:
    import_everything()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(order["argv"], order["out"], order["err"])
        print(json.dumps({"pid": pid}), flush=True)
        print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)


def import_everything() -> None:
    for name in HEAVY:
        importlib.import_module(name)


def become(argv: Sequence[str], out: str, err: str) -> None:
    """Be `stanch argv` from here on, with the streams in files and no terminal."""
    from agent.__main__ import main

    for number, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (out, os.O_WRONLY | os.O_CREAT), (err, os.O_WRONLY | os.O_CREAT)]
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    sys.argv = ["stanch", *argv]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Warm:
    """The other end: runs calls one after the other, and tells the pid of each while it runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    def stanch(self, folder: Path, *argv: str | Path, meanwhile: Callable[[int], None] | None = None) -> Run:
        """`stanch argv`, streams kept in the folder; `meanwhile(pid)` runs while it does, and may kill it."""
        assert self._process.stdin is not None
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.out")))
        out, err = folder / f"{number}.out", folder / f"{number}.err"
        order = {"argv": [str(arg) for arg in argv], "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = self._answer("pid")
        if meanwhile is not None:
            meanwhile(pid)
        return Run(self._answer("code"), out.read_text(), err.read_text())

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
