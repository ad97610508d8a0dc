"""Signals of applications with the instrumentation that people use, equal to what a person would write by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.applications import applications
from tests.tools.signals.by_hand import Row, asking, compare, rows_of
from tools.context import Subject
from tools.signals.dialects import signal_named
from tools.signals.signal import read_signals, server_of


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("applications")
    with applications(folder) as (url, places):
        yield url, places


@rows_of("applications")
async def test_a_signal_is_what_a_person_would_have_asked(platform: tuple[str, Mapping[str, str]], row: Row) -> None:
    async with asking(platform[0]) as made:
        await compare(made, platform[1], row)


@pytest.mark.parametrize("job", ["otel", "otel-older"])
async def test_a_peer_that_cannot_be_reached_is_told_from_one_that_answers_with_errors(
    platform: tuple[str, Mapping[str, str]], job: str
) -> None:
    async with asking(platform[0]) as made:
        subject = Subject("Service", "", "", job)
        found = await read_signals(await server_of(made), [signal_named("peer_error_ratio")], [subject], 20, fine=True)
    assert dict(found[0].members) == {"localhost": 1.0, "127.0.0.1": pytest.approx(0.2, abs=0.01)}
