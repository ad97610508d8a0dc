"""Tools: what a reasoner may look at, and what may be done once it is approved. `TOOLS` lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.listing import TOOLS as TOOLS


def __getattr__(name: str) -> object:
    """TOOLS is made when it is first asked for: importing `tools.errors` must not load every client."""
    if name == "TOOLS":
        from tools.listing import TOOLS

        return TOOLS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
