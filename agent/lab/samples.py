"""Samples held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from agent.lab.ports import Series


class Recorded:
    """Series by metric name, up to a moment that may be moved. An implementation of `agent.lab.ports.Samples`."""

    def __init__(
        self, series: Iterable[Series], now_ms: int, metadata: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._now_ms = now_ms
        self._metadata = dict(metadata or {})
        self._by_name: dict[str, list[Series]] = {}
        for one in series:
            self._by_name.setdefault(one.labels["__name__"], []).append(one)
        self._shown: dict[str, list[Series]] = {}

    def now_ms(self) -> int:
        return self._now_ms

    def move_to(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._shown.clear()

    def names(self) -> Sequence[str]:
        return sorted(self._by_name)

    def series(self, name: str | None = None) -> Sequence[Series]:
        names = self.names() if name is None else [name]
        return [series for one in names for series in self._up_to_now(one)]

    def metadata(self) -> Mapping[str, tuple[str, str]]:
        return self._metadata

    def _up_to_now(self, name: str) -> list[Series]:
        if name not in self._shown:
            self._shown[name] = [cut for one in self._by_name.get(name, ()) if (cut := self._cut(one)).times.size]
        return self._shown[name]

    def _cut(self, series: Series) -> Series:
        if not series.times.size or series.times[-1] <= self._now_ms:
            return series
        end = int(np.searchsorted(series.times, self._now_ms, side="right"))
        return Series(series.labels, series.times[:end], series.values[:end])
