"""Where the shared development data lies, if it lies here at all. It is read, never copied."""

from __future__ import annotations

from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent


def shared_data(*parts: str) -> Path:
    """A path in the shared data; the test is skipped where the folder is absent."""
    for place in (TOP.parent / "shared" / "data", TOP.parent.parent / "shared" / "data"):
        if place.is_dir():
            return place.joinpath(*parts)
    pytest.skip("the shared development data is not on this machine")
