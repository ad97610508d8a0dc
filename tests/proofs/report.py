"""The figures of the proofs: each proof adds its own, and `make prove` writes them to proof.json.

    report.add(injections={"tried": 300, "unauthorised": 0})    of no one database
    report.add("sqlite", kills=460, violations=0)               of one

Figures of one name are added up. proof.json is that of the last whole run; a run of some proofs leaves it as it is.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
FILE = TOP / "proof.json"
ALL = frozenset(
    {
        "kills",
        "mutants",
        "examples",
        "injections",
        "chaos",
        "at_once",
        "whole_graph",
        "fuzz",
        "hostile_labels",
        "queries_of_death",
        "forbidden_addresses",
        "tampered_checkpoints",
    }
)
DATABASES = ("sqlite", "postgresql")
EMPTY: Mapping[str, Any] = {
    "kills": 0,
    "mutants": {"seeded": 0, "killed": 0},
    "examples": 0,
    "injections": {"tried": 0, "unauthorised": 0, "clean_done": 0},
    "unknown": 0,
    "violations": 0,
}


class Report:
    """`long` is true under `make prove`: then a proof runs everything, otherwise a share that fits into CI."""

    def __init__(self, long: bool = False) -> None:
        self.long = long
        self._began = time.monotonic()
        self._commit = _commit()  # now: the list of mutants is written on the way
        self.figures: dict[str, dict[str, Any]] = {"": {}, **{name: {} for name in DATABASES}}

    def add(self, database: str = "", **figures: float | Mapping[str, float]) -> None:
        """Count figures for one database, or with "" for both. A mapping is counted name by name."""
        mine = self.figures[database]
        for name, value in figures.items():
            mine[name] = _sum(mine.get(name), value)
        shown = ", ".join(f"{name} {value}" for name, value in figures.items())
        print(f"\nproof{f' on {database}' if database else ''}: {shown}")

    @property
    def turn(self) -> int:
        """A number that is another one with each commit: for what has to be tried by turns."""
        return int(self._commit[:6], 16) if self._commit != "unknown" else 0

    @property
    def whole(self) -> bool:
        """Whether every proof has added its figures."""
        return {name for figures in self.figures.values() for name in figures} >= ALL

    def to_json(self) -> list[dict[str, Any]]:
        """One object a database, as DESIGN.md has it; figures that nobody added are zero."""
        found = []
        for database in DATABASES:
            figures: dict[str, Any] = dict(EMPTY)
            for source in ("", database):
                for name, value in self.figures[source].items():
                    figures[name] = _sum(figures.get(name), value)
            seconds = round(time.monotonic() - self._began, 1)
            found.append({"commit": self._commit, "database": database, **figures, "seconds": seconds})
        return found

    def write(self, path: Path = FILE) -> None:
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")


def _sum(old: Any, new: Any) -> Any:
    if isinstance(new, Mapping):
        return {**(old or {}), **{name: _sum((old or {}).get(name), value) for name, value in new.items()}}
    return (old or 0) + new


def _commit() -> str:
    """The commit that was proved; `-dirty` when the tree was not exactly it."""
    asked = ["git", "-C", str(TOP), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
