"""What a lab keeps on disk, so that another process goes on from it and a test can count effects.

`lab.json` holds scenario, seed, start and the clock's position, replaced as a whole. `lab-changes.jsonl` holds one applied
change a line; a line is durable before its effect is answered for. A kill half-way through a line leaves a line without
its end, which never was answered for and is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.errors import UnusableInput
from agent.lab.world.simulation import Applied

STATE, CHANGES = "lab.json", "lab-changes.jsonl"


class LabState:
    """The state of one lab folder."""

    def __init__(self, folder: Path, about: Mapping[str, Any], applied: list[Applied]) -> None:
        self.folder = folder
        self.about = dict(about)  # schema, scenario (drawn, whole), seed, start_ms, now_ms
        self.applied = applied

    @classmethod
    def create(cls, folder: Path, scenario: Mapping[str, Any], seed: int, start_ms: int) -> LabState:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = {"schema": 1, "scenario": scenario, "seed": seed, "start_ms": start_ms, "now_ms": start_ms}
        (folder / CHANGES).unlink(missing_ok=True)
        state = cls(folder, about, [])
        state._write()
        return state

    @classmethod
    def load(cls, folder: Path) -> LabState | None:
        """What lies in a folder; None where nothing does. UnusableInput where it cannot be read."""
        path = folder / STATE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            return cls(folder, about, _read_changes(folder / CHANGES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnusableInput(
                f"{folder}: the lab's state cannot be read: {error!r}. Remove the folder to begin anew."
            ) from None

    @property
    def now_ms(self) -> int:
        return int(self.about["now_ms"])

    def keep_clock(self, now_ms: int) -> None:
        self.about["now_ms"] = now_ms
        self._write()

    def append(self, change: Applied) -> None:
        """Durable when it returns."""
        line = json.dumps({"key": change.key, "at_ms": change.at_ms, "kind": change.kind, "data": dict(change.data)})
        with (self.folder / CHANGES).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.applied.append(change)

    def _write(self) -> None:
        fresh = self.folder / f"{STATE}.new"
        fresh.write_text(json.dumps(self.about), encoding="utf-8")
        fresh.replace(self.folder / STATE)


def _read_changes(path: Path) -> list[Applied]:
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [Applied(**json.loads(line)) for line in whole.decode().splitlines()]
