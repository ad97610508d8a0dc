"""The runner's lock: in one data folder one process runs incidents; others commit and leave."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

FILE = "worker.lock"


class RunnerLock:
    """Held until released or until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take it; False when another process (or another lock object) has it. Taking it twice is no error."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> int | None:
        """The process that holds it, or last held it, for a message to people."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return None
