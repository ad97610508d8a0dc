"""Signals of real servers behind their exporters, equal to what a person would write by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.tools.signals.by_hand import Row, asking, compare, rows_of
from tests.web_servers import web_servers
from tools.context import Subject
from tools.signals.dialects import signal_named
from tools.signals.signal import read_signals, server_of
from tools.spec import Emptiness


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("servers")
    with web_servers(folder) as (url, places):
        yield url, places


@rows_of("servers")
async def test_a_signal_is_what_a_person_would_have_asked(platform: tuple[str, Mapping[str, str]], row: Row) -> None:
    async with asking(platform[0]) as made:
        await compare(made, platform[1], row)


async def test_the_memory_of_an_exporter_is_not_that_of_what_it_reports_on(
    platform: tuple[str, Mapping[str, str]],
) -> None:
    async with asking(platform[0]) as made:
        subjects = [Subject("Service", "", "", name) for name in ("nginx", "mariadb")]
        found = await read_signals(await server_of(made), [signal_named("memory_use")], subjects, 20)
    assert [one.nothing for one in found] == [Emptiness.NO_SERIES, Emptiness.NO_SERIES]
