from __future__ import annotations

from datetime import timedelta

import pytest

from agent.domain.duration import duration
from agent.errors import UnusableInput


@pytest.mark.parametrize(
    ("text", "seconds"), [("2m", 120), ("90s", 90), ("1h30m", 5400), ("7d", 604800), ("1d2h3m4s", 93784)]
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "2 m", "1m1h", "-5s", "0s", "1.5h", "2m\n", "2M", "٣m", "1e5s", "5m5m"])
def test_anything_else_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(UnusableInput, match=r"Write (whole numbers|one over zero)"):
        duration(text)
