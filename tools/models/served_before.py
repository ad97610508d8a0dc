"""Which version of a model served before the present one: what was seen or told, never the next lower number."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tools.context import Change, Context, Model
from tools.errors import ToolError
from tools.formatting import clean, iso
from tools.models.registry import ModelVersion, RegisteredModel, promotion
from tools.prometheus.client import for_query, window

# how far back serving's own history is read (minutes), and how finely (seconds)
LOOKS = ((7 * 1440, 600), (30 * 1440, 3600))
_VERDICT_TAG = re.compile(r"validat|approv|quality[._-]?gate|^gate$|test[._-]?status", re.IGNORECASE)
_FAILED = frozenset(
    {"failed", "fail", "failure", "rejected", "reject", "invalid", "false", "no", "error", "blocked", "denied"}
)


@dataclass(frozen=True, slots=True)
class Before:
    """The version that served before, and how that is known; None with the reason where it cannot be told."""

    version: str | None
    how: str


async def served_before(
    context: Context, entry: Model, found: RegisteredModel, current: str, posted: Sequence[Change]
) -> Before:
    """What served before `current`, by serving's own history, else posted promotions, else tags. A version whose validation
    failed, or that is not READY any more, is passed over and named."""
    passed: list[str] = []
    async for version, how in _told(context, entry, found, current, posted):
        known = found.version(version)
        bad = "the registry has it no longer" if known is None else unfit(known)
        if not bad:
            return Before(version, f"{how}{'; ' + '; '.join(passed) if passed else ''}")
        passed.append(f"version {version} ({how}) is passed over: {bad}")
    if passed:
        return Before(None, "; ".join(passed))
    return Before(
        None,
        "neither serving's history (served_version in the catalog), nor a posted promotion, nor a promoted_at tag tells it",
    )


def unfit(version: ModelVersion) -> str:
    """Why a version may not be served, in words; "" where nothing speaks against it."""
    if version.status != "READY":
        return f"it is {clean(version.status)}, not READY"
    for tag, value in version.tags.items():
        if _VERDICT_TAG.search(tag) and value.strip().lower() in _FAILED:
            return f"its validation failed (tag {clean(tag, 60)}: {clean(value, 40)})"
    return ""


async def _told(
    context: Context, entry: Model, found: RegisteredModel, current: str, posted: Sequence[Change]
) -> AsyncIterator[tuple[str, str]]:
    """(version, how it is known), the one that served last first. The first source that knows anything is the only one."""
    for minutes, step in LOOKS if entry.served_version else ():
        seen = await _seen(context, entry.served_version or "", current, minutes, step)
        for version, at in seen:
            yield version, f"serving ran it until {iso(at)}"
        if seen:
            return
    mine = [c for c in posted if c.detail.get("alias") in (None, "", entry.alias) and c.detail.get("version")]
    told = [str(c.detail["version"]) for c in mine]
    if current in told:
        last = len(told) - 1 - told[::-1].index(current)
        earlier = [(told[n], mine[n].at) for n in range(last - 1, -1, -1) if told[n] != current]
        for version, when in earlier:
            yield version, f"its promotion was posted, at {iso(when)}"
        if earlier:
            return
    now = found.version(current)
    since: datetime | None = promotion(now, ()).at if now else None
    tagged = [(on, v.version) for v in found.versions if v.version != current and (on := promotion(v, ()).at)]
    for promoted, version in sorted(tagged, reverse=True) if since else ():
        if since and promoted < since:
            yield version, f"its tag says it was promoted at {iso(promoted)}"


async def _seen(context: Context, promql: str, current: str, minutes: int, step: int) -> list[tuple[str, datetime]]:
    """Versions that serving ran before the present one took over, the last one first, each with when it was last seen."""
    try:
        series = (await for_query(context, promql).range(promql, window(context.as_of, minutes, step))).series
    except ToolError:
        return []
    runs: dict[str, np.ndarray] = {}
    for one in series:
        version = one.labels.get("version")
        if version:
            times = one.times[np.isfinite(one.values) & (one.values != 0)]
            runs[version] = np.union1d(runs.get(version, np.empty(0)), times)
    began = _began(runs.get(current, np.empty(0)), step, context.as_of.timestamp())
    last = {v: float(t[t < began][-1]) for v, t in runs.items() if v != current and (t < began).any()}
    ordered = sorted(last.items(), key=lambda item: (-item[1], item[0]))
    return [(version, datetime.fromtimestamp(at, context.as_of.tzinfo)) for version, at in ordered]


def _began(times: np.ndarray, step: float, now: float) -> float:
    """When a version's present run began; now where it does not run. A gap of several steps ends a run."""
    if not times.size:
        return now
    gaps = np.flatnonzero(np.diff(times) > 3 * step)
    return float(times[gaps[-1] + 1] if gaps.size else times[0])
