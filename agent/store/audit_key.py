"""The audit key: where the key of the audit chain and the anchors lie, and who can read the key."""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from agent.errors import BadConfiguration
from agent.store.anchors import FILE, Anchors

KEY_FILE = "audit.key"
_HEX = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class AuditKeyPlace:
    """By default both lie in the data folder. `key` is 64 hexadecimal digits; `anchors` are places beside the folder's own,
    files or folders that exist."""

    key: str = ""
    key_file: Path | None = None
    anchors: tuple[Path, ...] = ()
    to_log: bool = False

    def audit_key(self, folder: Path) -> bytes:
        """32 bytes. BadConfiguration where they are not to be had, or anybody may read them."""
        if self.key:
            key = _from_hex(self.key)
        elif self.key_file is not None:
            key = _read(self.key_file)
        else:
            return _own(folder)
        own = folder / KEY_FILE
        if own.exists() and own.read_bytes() != key:
            raise BadConfiguration(
                f"{own} is another key than the one configured, and what stands in this folder was written with it. Move that "
                f"one to where the configuration points (STANCH_AUDIT_KEY=$(xxd -p -c 64 {own})), then delete {own}."
            )
        return key

    def open(self, folder: Path) -> tuple[bytes, Anchors]:
        """The key, and the anchors of all places. BadConfiguration where a place cannot be used."""
        key = self.audit_key(folder)
        paths = [folder / FILE, *(place / FILE if place.is_dir() else place for place in self.anchors)]
        for path in paths[1:]:
            if not path.parent.is_dir() or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
                raise BadConfiguration(
                    f"The anchors cannot be kept in {path}. STANCH_ANCHORS names files or folders that exist and may be read "
                    "and added to (or log)."
                )
        return key, Anchors(key, paths, self.to_log)

    def where(self, folder: Path) -> tuple[str, str, str]:
        """Where the key lies, where the anchors do, and who else can read the key, for people."""
        path = self.key_file or folder / KEY_FILE
        anchors = ", ".join([str(folder / FILE), *map(str, self.anchors), *(["the log"] if self.to_log else [])])
        if self.key:
            return "the environment", anchors, ""
        return str(path), anchors, " (its group can read it)" if path.stat().st_mode & stat.S_IRGRP else ""


def _from_hex(text: str) -> bytes:
    if not _HEX.fullmatch(text.strip()):
        raise BadConfiguration(
            "STANCH_AUDIT_KEY is not 64 hexadecimal digits. Make one with `openssl rand -hex 32`, and keep it."
        )
    return bytes.fromhex(text.strip())


def _read(path: Path) -> bytes:
    """The key in a file: 32 bytes as they are, or 64 hexadecimal digits. Who else may read it could write every timeline anew."""
    try:
        found, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise BadConfiguration(f"The audit key {path} cannot be read: {error.strerror}. See audit.key_file.") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise BadConfiguration(
            f"The audit key {path} is open to others ({stat.filemode(mode)}): whoever reads it can write every timeline anew. "
            f"chmod o-rwx,g-w {path}"
        )
    if len(found) == 32:
        return found
    try:
        return _from_hex(found.decode("ascii"))
    except (UnicodeDecodeError, BadConfiguration):
        raise BadConfiguration(
            f"{path} holds {len(found)} bytes instead of 32. Put the right key back from a backup."
        ) from None


def _own(folder: Path) -> bytes:
    """32 random bytes, made once. Made under another name and linked, so that two processes agree on one."""
    path = folder / KEY_FILE
    if not path.exists():
        fresh = folder / f"{KEY_FILE}.{os.getpid()}"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, secrets.token_bytes(32))
        os.fsync(file)
        os.close(file)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return _read(path)
