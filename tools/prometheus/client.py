"""Prometheus' HTTP API: queries that were parsed and measured first, answers as arrays, links to the same window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from tools.analysis.series import Series, parse_result
from tools.context import Backend, Context, Json, Labels
from tools.errors import ToolFailed
from tools.fetch import Params, fetch_json
from tools.formatting import clean, span
from tools.prometheus import promql as pql

TIMEOUT = "20s"  # what we let one query cost the server


@dataclass(frozen=True, slots=True)
class Result:
    """Series of one query, with the remarks (`infos`, `warnings`) Prometheus 3 may add."""

    series: tuple[Series, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, and how far apart the points are. One point when start equals end."""

    start: datetime
    end: datetime
    step: float  # seconds

    @property
    def points(self) -> int:
        return int((self.end - self.start).total_seconds() / self.step) + 1

    def earlier(self, by: timedelta) -> Window:
        return Window(self.start - by, self.end - by, self.step)


def window(as_of: datetime, minutes: float, step_s: float | None = None) -> Window:
    """The window of `minutes` that ends at `as_of`: about 240 points unless a step is given, and never under 15 s."""
    seconds = minutes * 60
    return Window(as_of - timedelta(seconds=seconds), as_of, float(step_s or max(15, -(-seconds // 240))))


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One Prometheus server. `as_of` caps what queries may look at."""

    backend: Backend
    as_of: datetime
    grafana_url: str = ""

    async def range(self, query: str, window: Window, most: int = pql.MOST_CHARACTERS) -> Result:
        """A range query of at most so many characters. BadArguments for what we do not send, ToolFailed with Prometheus' own
        words."""
        pql.guard(pql.parse(query, most), window.points, self.as_of)
        asked = {"query": query, "start": _unix(window.start), "end": _unix(window.end), "step": f"{window.step:.3f}"}
        return _result(query, await self._get("/api/v1/query_range", {**asked, "timeout": TIMEOUT}, query))

    async def instant(self, query: str, when: datetime | None = None) -> Result:
        """One value a series at `when` (default: as_of)."""
        pql.guard(pql.parse(query), 1, self.as_of)
        asked = {"query": query, "time": _unix(min(when or self.as_of, self.as_of)), "timeout": TIMEOUT}
        return _result(query, await self._get("/api/v1/query", asked, query))

    async def own_rule(self, query: str) -> Result:
        """The value at `as_of` of a rule that the server evaluates by itself, in whatever language it is written: sent as it
        stands."""
        asked = {"query": query, "time": _unix(self.as_of), "timeout": TIMEOUT}
        return _result(query, await self._get("/api/v1/query", asked, query))

    async def label_names(self, match: str, start: datetime) -> list[str]:
        """Names of the labels that series matching a selector have had since `start`."""
        return _texts(await self._get("/api/v1/labels", self._span(match, start), match))

    async def label_values(self, label: str, match: str | Sequence[str], start: datetime) -> list[str]:
        """Values that a label has had since `start`, in series that match the selector, or any of several."""
        path = f"/api/v1/label/{url_quote(label, safe='')}/values"
        return _texts(await self._get(path, self._span(match, start), str(match) or label))

    async def metadata(self, metric: str) -> tuple[str, str]:
        """(type, help) of a metric; empty texts where the server knows none."""
        data = (await self._get("/api/v1/metadata", {"metric": metric, "limit_per_metric": 1}, metric))["data"]
        entries = _objects(data, metric)
        return (str(entries[0].get("type", "")), str(entries[0].get("help", ""))) if entries else ("", "")

    async def rules(self, kind: str = "alert") -> list[Json]:
        """Rules of one kind (alert, record), each the API's object with its group's name under `group` and the seconds
        between two evaluations under `interval`."""
        data = (await self._get("/api/v1/rules", {"type": kind}, "the rules"))["data"]
        return [
            {**rule, "group": str(group.get("name", "")), "interval": group.get("interval")}
            for group in _objects(data, "groups")
            for rule in _objects(group, "rules")
        ]

    async def alerts(self) -> list[Json]:
        """What is pending or firing at present: the API has no history."""
        data = (await self._get("/api/v1/alerts", {}, "the alerts"))["data"]
        return _objects(data, "alerts")

    def link(self, query: str, window: Window) -> str:
        """Opens this query in Grafana where one is configured, else in Prometheus, at exactly this window."""
        if self.grafana_url:
            return explore(self.grafana_url, self.backend.name, query, window.start, window.end, window.step)
        seconds = max((window.end - window.start).total_seconds(), 60)
        asked = {
            "g0.expr": query,
            "g0.tab": "0",
            "g0.range_input": f"{seconds:.0f}s",
            "g0.end_input": f"{window.end:%Y-%m-%d %H:%M:%S}",
            "g0.step_input": f"{window.step:.0f}",
        }
        return f"{self.backend.link_base}/graph?{urlencode(asked)}"

    def _span(self, match: str | Sequence[str], start: datetime) -> Params:
        asked = {"start": _unix(start), "end": _unix(self.as_of)}
        return {**asked, "match[]": match} if match else asked

    async def _get(self, path: str, params: Params, what: str) -> Json:
        post = path.endswith(("query", "query_range", "labels"))
        status, body = await fetch_json(self.backend, path, params, what=clean(what), post=post)
        if not isinstance(body, dict) or body.get("status") not in ("success", "error"):
            raise ToolFailed(
                f"{self.backend.url}{path} answered HTTP {status} but not as Prometheus does: {clean(str(body))!r}. "
                "Check the address in stanch.yaml (it ends before /api/v1)."
            )
        if body["status"] == "error" or "data" not in body:
            raise ToolFailed(_rejection(what, body))
        return body


def prometheus(context: Context, labels: Labels | None = None) -> Prometheus:
    """The Prometheus that serves these labels, or, for what they leave open, the incident's."""
    backend = context.backends.pick("prometheus", {**context.labels, **(labels or {})})
    return Prometheus(backend, context.as_of, context.backends.grafana_url)


def for_query(context: Context, query: str) -> Prometheus:
    """The Prometheus that serves what a query's matchers name."""
    return prometheus(context, pql.equalities(pql.parse(query)))


def _rejection(what: str, body: Json) -> str:
    error = clean(str(body.get("error", "no reason given")), 400)
    if body.get("errorType") in ("timeout", "canceled"):
        return f"Prometheus gave up on {what!r} after {TIMEOUT}: {error}. Ask for fewer series or a shorter window."
    return f"Prometheus rejected {what!r}: {error}. Check the metric name with find_metrics."


def _result(query: str, body: Json) -> Result:
    data = body["data"]
    try:
        series = parse_result(data["resultType"], data["result"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolFailed(
            f"Prometheus answered {query!r} in a shape we do not know ({type(error).__name__}: {clean(str(error))}). "
            "Check that the address is a Prometheus."
        ) from None
    remarks: Sequence[Json] = [*(body.get("warnings") or []), *(body.get("infos") or [])]
    return Result(tuple(series), tuple(clean(str(remark), 300) for remark in remarks))


def _texts(body: Json) -> list[str]:
    return [str(value) for value in body["data"] or []] if isinstance(body["data"], list) else []


def _objects(data: Json, key: str) -> list[Json]:
    """The JSON objects listed under a key; what is not one is passed over."""
    listed = data.get(key) if isinstance(data, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _unix(when: datetime) -> str:
    return f"{when.timestamp():.3f}"


def length(window: Window) -> str:
    """`30 min`, or `at one instant`."""
    seconds = (window.end - window.start).total_seconds()
    return span(seconds) if seconds else "one instant"


def explore(grafana: str, source: str, query: str, start: datetime, end: datetime, step: float | None = None) -> str:
    """A link that opens Grafana's Explore at exactly one query and window.

    `source` is the data source's name or uid; the backend's name in our configuration should equal it.
    """
    asked: dict[str, object] = {"refId": "A", "expr": query}
    if step:
        asked["interval"] = f"{step:.0f}s"
    times = {"from": str(int(start.timestamp() * 1000)), "to": str(int(end.timestamp() * 1000))}
    panes = {"stanch": {"datasource": source, "range": times, "queries": [asked]}}
    text = json.dumps(panes, separators=(",", ":"))
    return f"{grafana.rstrip('/')}/explore?{urlencode({'schemaVersion': '1', 'panes': text})}"
