"""The command line as a person or a script meets it: a process with arguments, streams and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("stanch")
PATIENCE_S = 240  # generous: nothing here is about speed


@dataclass(frozen=True)
class Run:
    """What came of one call."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        """A traceback is never an answer, whatever was asked."""
        assert "Traceback" not in self.out + self.err, self.err
        assert self.code != 1, self.err

    @property
    def json(self) -> Any:
        """The one JSON value on stdout; anything else there is an error."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def said(self) -> str:
        """What a person reads on stderr, with the wrapping undone."""
        return " ".join(self.err.split())


def stanch(
    *args: str | Path, stdin: str | bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Run:
    """Run `stanch` without a terminal, as a process that starts cold."""
    done = subprocess.run(
        [PROGRAM, *map(str, args)],
        input=encoded(stdin),
        capture_output=True,
        cwd=cwd,
        env=surroundings(env),
        timeout=PATIENCE_S,
        check=False,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


def encoded(stdin: str | bytes) -> bytes:
    return stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin


def surroundings(env: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a call: this one's, a wide screen, and what a test adds."""
    return {**os.environ, "COLUMNS": "200", **(env or {})}
