"""Rows of by_hand.yaml, and the comparison of a shipped dialect with one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import yaml

from agent.platform.known import KnownPlatform
from tests.contexts import context
from tools.context import Backend, Context, Subject
from tools.prometheus.client import prometheus
from tools.signals.dialects import signal_named
from tools.signals.signal import read_signals, server_of

BY_NAME = ("Service", "Queue", "Database", "Job")  # kinds whose place is their name


class Row(NamedTuple):
    """A signal of a subject, the dialect that has to speak, and the query of somebody who knows."""

    signal: str
    dialect: str
    kind: str
    place: str
    by_hand: str
    truth: float | None

    @property
    def title(self) -> str:
        return f"{self.signal}-{self.dialect.replace(' ', '_')}-{self.place}"


def _rows(entry: Mapping[str, object]) -> list[Row]:
    kind, place = str(entry["subject"]).split("/")
    signals = entry["signals"]
    assert isinstance(signals, dict)
    told = {name: said if isinstance(said, dict) else {"query": said} for name, said in signals.items()}
    return [Row(name, str(entry["dialect"]), kind, place, one["query"], one.get("truth")) for name, one in told.items()]


GROUPS: Mapping[str, tuple[Row, ...]] = {
    name: tuple(row for entry in entries for row in _rows(entry))
    for name, entries in yaml.safe_load((Path(__file__).parent / "by_hand.yaml").read_text()).items()
}


def rows_of(group: str) -> pytest.MarkDecorator:
    """A test for each row of a group."""
    return pytest.mark.parametrize("row", GROUPS[group], ids=[row.title for row in GROUPS[group]])


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Context]:
    """A context whose present is two seconds ago, so that what is asked twice is the same twice."""
    async with httpx.AsyncClient(base_url=url) as http:
        made = context(Backend("prometheus", "main", url, http), as_of=datetime.now(UTC) - timedelta(seconds=2))
        yield replace(made, platform=KnownPlatform())


async def compare(made: Context, places: Mapping[str, str], row: Row) -> None:
    """Hold what the shipped dialect says against the query by hand, and against what was done."""
    subject = Subject(row.kind, "", "", row.place if row.kind in BY_NAME else places[row.place])
    found = await read_signals(await server_of(made), [signal_named(row.signal)], [subject], 20, fine=True)
    expected = (await prometheus(made).instant(row.by_hand)).series[0].last
    assert [one.dialect for one in found] == [row.dialect], found
    assert found[0].now == pytest.approx(expected, rel=1e-6), found
    if row.truth is not None:
        assert found[0].now == pytest.approx(row.truth, abs=0.01)
    assert [one.proved for one in signal_named(row.signal).dialects if one.name == row.dialect] == [True]
