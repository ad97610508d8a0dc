"""Whether the service takes in work now; whoever runs it says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Readiness:
    """`ready` once everything is started; `draining` from the moment it is to stop."""

    ready: bool = False
    draining: bool = False

    @property
    def refusal(self) -> str | None:
        """Why nothing is taken in now; None when it is."""
        if self.draining:
            return "Stanch is stopping. Send it again in a few seconds."
        return None if self.ready else "Stanch is starting. Send it again in a few seconds."
