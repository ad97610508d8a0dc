"""The read of logs: Loki's lines counted by pattern, errors first. Lines are not dumped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from tools.context import Backend, Context, Json, Labels
from tools.errors import BadArguments, ToolFailed
from tools.fetch import Params, fetch_json
from tools.formatting import at, clean, clock_time, labels_text, number, shorten, span
from tools.formatting import window as interval
from tools.logs.patterns import Pattern, patterns
from tools.prometheus import promql as pql
from tools.prometheus.client import explore
from tools.spec import Answer, Emptiness, Fact, read

MOST_LINES = 2000
_LEVEL_LABELS = ("level", "detected_level", "severity", "lvl")
_ERROR = re.compile(
    r"\b(error|err|fatal|critical|crit|panic|severe|alert|emerg(ency)?|exception|traceback|oomkilled)\b"
    r"|(Error|Exception)\b|\blevel=(error|fatal|crit)",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(r"\b(0|no|without) (errors?|exceptions?)\b", re.IGNORECASE)
_BAD_LEVELS = {"error", "err", "fatal", "critical", "crit", "panic", "emerg", "emergency", "alert", "severe"}


@read(needs="loki")
async def search_logs(
    context: Context,
    service: Annotated[
        str, Field(max_length=200, description="a service of the catalog, or a value of the label service")
    ] = "",
    contains: Annotated[str, Field(max_length=300, description="text that a line must hold")] = "",
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30,
    labels: Annotated[dict[str, str], Field(max_length=20, description="label values that must be met")] = {},  # noqa: B006
    query: Annotated[str, Field(max_length=2000, description='LogQL of lines instead, such as {app="x"} |= "y"')] = "",
) -> Answer:
    """Log lines of the last minutes counted by pattern (numbers, ids and addresses masked), errors first. Facts:
    lines.count, errors.count, p1.count …; lines beyond the newest 2,000 are not read, and the window says so."""
    logql = _logql(context, service, labels, contains, query)
    backend = context.backends.pick("loki", {**context.labels, **labels})
    start = context.as_of - timedelta(minutes=minutes)
    lines = await _lines(backend, logql, start, context.as_of)
    link = _link(context, backend, logql, start)
    if not lines:
        text = f"No lines for {clean(logql)} in the {minutes} min to {clock_time(context.as_of)}."
        text += " Check the labels: this may mean that no such stream exists."
        none = Fact("lines.count", "lines", 0, "count", {}, interval(start, context.as_of))
        return Answer(text, (none,), {"query": logql, "patterns": []}, link, Emptiness.NO_SERIES)
    cut = len(lines) >= MOST_LINES
    since = at(lines[0][0] / 1000) if cut else start
    return _answer(logql, lines, since, context.as_of, cut, link)


def _answer(
    logql: str, lines: Sequence[tuple[int, str, bool]], since: datetime, until: datetime, cut: bool, link: str
) -> Answer:
    bad = patterns([(ms, text) for ms, text, error in lines if error])
    good = patterns([(ms, text) for ms, text, error in lines if not error])
    when = interval(since, until)
    errors = sum(p.count for p in bad)
    facts = [
        Fact("lines.count", "lines", len(lines), "count", {}, when),
        Fact("errors.count", "lines that are errors", errors, "count", {}, when),
        Fact("patterns.count", "patterns", len(bad) + len(good), "count", {}, when),
    ]
    ordered = [*bad, *good]
    facts += [
        Fact(f"p{n}.count", f"lines of pattern {n}", p.count, "count", {}, when) for n, p in enumerate(ordered[:20], 1)
    ]
    head = f"{number(len(lines))} lines, {number(errors)} errors in {span((until - since).total_seconds())} to {clock_time(until)}"
    head += f" (only the newest {MOST_LINES} were read). {clean(logql, 160)}" if cut else f". {clean(logql, 160)}"
    shown = [_pattern_line(n, p, n <= len(bad), until) for n, p in enumerate(ordered[:8], 1)]
    more = [f"and {len(ordered) - 8} more patterns"] if len(ordered) > 8 else []
    data: Json = {
        "query": logql,
        "lines": len(lines),
        "cut": cut,
        "patterns": [_pattern_json(p, n < len(bad)) for n, p in enumerate(ordered[:200])],
    }
    return Answer(shorten("\n".join([head, *shown, *more])), tuple(facts), data, link)


def _pattern_line(n: int, pattern: Pattern, error: bool, near: datetime) -> str:
    first, last = (clock_time(at(ms / 1000), near) for ms in (pattern.first_ms, pattern.last_ms))
    times = f"at {first}" if pattern.count == 1 else f"{first} to {last}"
    return f"p{n}{' error' if error else ''} ×{pattern.count}, {times}: {clean(pattern.text, 140)}"


def _pattern_json(pattern: Pattern, error: bool) -> Json:
    return {
        "pattern": pattern.text,
        "count": pattern.count,
        "error": error,
        "example": pattern.example,
        "first_ms": pattern.first_ms,
        "last_ms": pattern.last_ms,
    }


def is_error(line: str, labels: Labels) -> bool:
    """By the stream's level label where it has one, else by words in the line."""
    level = next((labels[name].lower() for name in _LEVEL_LABELS if labels.get(name)), "")
    if level and level != "unknown":
        return level in _BAD_LEVELS
    return bool(_ERROR.search(line[:1000])) and not _NO_ERROR.search(line[:1000])


def _logql(context: Context, service: str, labels: Labels, contains: str, query: str) -> str:
    if query:
        if not query.lstrip().startswith("{"):
            raise BadArguments('query must select lines: {app="x"} |= "text". Metric queries over logs are not read.')
        return query + (f" |= {pql.quote(contains)}" if contains else "")
    entry = context.catalog.service(service) if service else None
    match = dict(entry.match) if entry and entry.match else ({"service": service} if service else {})
    wanted = {**match, **labels}
    if not wanted:
        raise BadArguments("search_logs needs a service, labels, or a query.")
    return pql.selector("", wanted) + (f" |= {pql.quote(contains)}" if contains else "")


async def _lines(backend: Backend, logql: str, start: datetime, end: datetime) -> list[tuple[int, str, bool]]:
    """(milliseconds, line, is an error) of the newest lines, oldest first."""
    asked: Params = {
        "query": logql,
        "start": str(_nanoseconds(start)),
        "end": str(_nanoseconds(end)),
        "limit": MOST_LINES,
        "direction": "backward",
    }
    status, body = await fetch_json(backend, "/loki/api/v1/query_range", asked, what=clean(logql))
    data = body.get("data") if isinstance(body, dict) else None
    if status != 200 or not isinstance(data, dict):
        said = body.get("error") or body.get("message") or body if isinstance(body, dict) else body
        raise ToolFailed(
            f"Loki answered HTTP {status} to {clean(logql)!r}: {clean(str(said), 400)}. "
            f"Check labels and quoting; Loki's own labels may be app, pod or service_name ({labels_text(backend.match)})."
        )
    if data.get("resultType") != "streams":
        raise ToolFailed(f'Loki answered with a {data.get("resultType")}, not with lines. Ask for lines: {{app="x"}}.')
    try:
        return _parsed(data["result"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolFailed(
            f"Loki answered in a shape we do not know ({type(error).__name__}). Check that the address is a Loki."
        ) from None


def _parsed(streams: Sequence[Mapping[str, Json]]) -> list[tuple[int, str, bool]]:
    lines = [
        (int(entry[0]) // 1_000_000, str(entry[1]), is_error(str(entry[1]), stream["stream"]))
        for stream in streams
        for entry in stream["values"]
    ]
    return sorted(lines, key=lambda one: one[0])


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000) * 1_000_000


def _link(context: Context, backend: Backend, logql: str, start: datetime) -> str:
    """Grafana's Explore at this window where Grafana is configured, else the API call itself."""
    if context.backends.grafana_url:
        return explore(context.backends.grafana_url, backend.name, logql, start, context.as_of)
    asked = {"query": logql, "start": _nanoseconds(start), "end": _nanoseconds(context.as_of), "limit": MOST_LINES}
    return f"{backend.link_base}/loki/api/v1/query_range?{urlencode(asked)}"
