"""Chain heads kept outside the database, so that a cut-off tail of a timeline shows. One JSON line a commit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.case.timeline import canonical

FILE = "anchors.log"


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a timeline: its number and its hash."""

    n: int
    hash: str


def append(folder: Path, heads: Mapping[str, Head]) -> None:
    """Note the heads that a transaction has just committed. One write, so that lines of two processes never mix."""
    lines = b"".join(
        canonical({"incident": incident, "n": head.n, "hash": head.hash}) + b"\n" for incident, head in heads.items()
    )
    if not lines:
        return
    file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, lines)
    finally:
        os.close(file)


def read(folder: Path) -> dict[str, tuple[Head, ...]]:
    """All anchored heads by incident, in the order of their numbers. A line cut by a crash is passed over."""
    found: dict[str, dict[int, Head]] = {}
    path = folder / FILE
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            found.setdefault(str(entry["incident"]), {})[int(entry["n"])] = Head(int(entry["n"]), str(entry["hash"]))
        except (ValueError, KeyError, TypeError):
            continue
    return {incident: tuple(heads[n] for n in sorted(heads)) for incident, heads in found.items()}
