"""The policy that stands: the file as it is now. Who changes it need not restart anything, and a mistake in it denies all."""

from __future__ import annotations

from pathlib import Path

from agent.errors import BadConfiguration
from agent.gate.policy import Policy, load


class StandingPolicy:
    """Call it for what holds at this moment. The file is read again when its size or its time has changed.

    Raises BadConfiguration for a file that is wrong from the start; one that becomes wrong later denies everything, and
    each verdict says where the mistake stands.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()
        self._policy = load(path) if path else Policy.none()

    def __call__(self) -> Policy:
        if self._path is not None and (stamp := self._stamp()) != self._seen:
            self._seen = stamp
            try:
                self._policy = load(self._path)
            except BadConfiguration as error:
                self._policy = Policy.none(f"policy.yaml has a mistake, so nothing may run: {error}")
        return self._policy

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)
