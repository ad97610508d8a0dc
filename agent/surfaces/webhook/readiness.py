"""Whether the service takes notifications: not before it has started, and not while it stops."""

from __future__ import annotations


class Readiness:
    """`why` says why not; it is empty while notifications are taken."""

    def __init__(self, why: str = "it is starting") -> None:
        self.why = why

    def __bool__(self) -> bool:
        return not self.why

    def open(self) -> None:
        self.why = ""

    def drain(self, why: str = "it is stopping") -> None:
        """Take nothing more; what was taken is finished."""
        self.why = why
