"""A file of lines that is only ever added to, by several processes, and of which a crash may cut the last line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def append(path: Path, lines: Callable[[bytes], bytes], sync: bool) -> None:
    """Add what `lines(fragment)` gives; the fragment is what a crash left behind the last whole line, mostly nothing.
    With `sync` it is on disk when this returns. Raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go with the file; nobody else is in the middle of a line
        size = os.fstat(file).st_size
        fragment = _fragment(file, size)
        text = (b"\n" if fragment else b"") + lines(fragment)
        if os.write(file, text) != len(text):
            raise OSError("the line could only be written in part")
        if sync:
            os.fsync(file)
    finally:
        os.close(file)
    if size == 0:
        _sync_folder(path.parent)


def lines_from(path: Path, offset: int) -> Iterator[bytes]:
    """Whole lines with their ends, from a place in the file on."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield line


def state(path: Path) -> tuple[int, int]:
    """Which file stands there and how long it is; zeros for none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


def _fragment(file: int, size: int) -> bytes:
    """What stands behind the last end of a line."""
    found = b""
    while size > 0:
        length = min(size, 4096)
        block = os.pread(file, length, size - length)
        place = block.rfind(b"\n")
        found = block[place + 1 :] + found
        if place >= 0:
            break
        size -= length
    return found


def _sync_folder(folder: Path) -> None:
    """A new file's name has to last as its content does."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
