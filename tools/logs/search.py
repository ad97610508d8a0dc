"""The read of logs: what Loki's lines tell of a trouble, then lines counted by pattern. Lines are not dumped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from tools.context import Backend, Context, Json, Labels, Subject
from tools.errors import BadArguments, ToolFailed
from tools.fetch import Params, fetch_json
from tools.formatting import at, clean, clock_time, labels_text, number, span
from tools.formatting import window as interval
from tools.logs.accusations import symptoms_of_lines
from tools.logs.lines import is_error, labelled_quiet
from tools.logs.naming import WORKLOADS, finder, subject_of_labels, workload_named
from tools.logs.told import Timed, counted, pattern_facts, pattern_json, summary
from tools.prometheus import promql as pql
from tools.prometheus.client import explore
from tools.spec import Answer, Emptiness, Fact, read
from tools.symptoms import Symptom, symptom_facts

MOST_LINES = 2000
BEFORE = timedelta(minutes=15)  # an alert tells of a trouble some time after it began
_NAMESPACES = ("namespace", "k8s_namespace_name", "kubernetes_namespace_name", "kubernetes_namespace")
_PODS = ("pod", "k8s_pod_name", "kubernetes_pod_name", "pod_name")
_NAMES = ("app", "app_kubernetes_io_name", "k8s_deployment_name", "service_name", "service", "container")


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
    """Log lines of the last minutes: what they tell of a trouble (facts s1 …), then counted by pattern (numbers, ids and
    addresses masked), errors first: lines.count, errors.count, p1.count … Without a service it reads the incident's own
    workload. Lines beyond the newest 2,000 are not read, and the window says so."""
    named = bool(query or labels or service)
    meant = None if query or labels else _meant(context, service)
    if not named and meant is None:
        raise BadArguments("search_logs needs a service, labels, or a query.")
    asked = [_logql(context, service, labels, contains, query)] if named else []
    backend = context.backends.pick("loki", {**context.labels, **labels})
    start = context.as_of - timedelta(minutes=minutes)
    logql, streams = await _first_with_lines(backend, asked, start, context.as_of)
    if not streams.lines and meant:
        asked += await _by_subject(context, backend, meant, contains, start)
        logql, streams = await _first_with_lines(backend, asked, start, context.as_of)
    link, lines = _link(context, backend, logql, start), streams.lines
    if not lines:
        text = f"No lines for {clean(logql)} in the {minutes} min to {clock_time(context.as_of)}."
        text += " Check the labels: this may mean that no such stream exists."
        none = Fact("lines.count", "lines", 0, "count", {}, interval(start, context.as_of))
        return Answer(text, (none,), {"query": logql, "patterns": []}, link, Emptiness.NO_SERIES)
    cut = len(lines) >= MOST_LINES
    since = at(lines[0][0] / 1000) if cut else start
    found = _symptoms(context, meant or subject_of_labels(context, {**streams.common, **labels}, service), streams)
    return _answer(_Asked(logql, link), lines, since, context.as_of, cut, found)


@dataclass(frozen=True, slots=True)
class _Asked:
    logql: str
    link: str


def _meant(context: Context, service: str) -> Subject | None:
    """The incident's workload that a call means which names none, or one that the catalog does not have."""
    if service:
        return None if context.catalog.service(service) else workload_named(context, service)
    return next((one for one in context.subjects if one.kind in WORKLOADS), None)


async def _by_subject(
    context: Context, backend: Backend, subject: Subject, contains: str, start: datetime
) -> list[str]:
    """Selections of a workload's lines, by whichever labels this Loki has; one by its pods comes first."""
    asked: Params = {"start": str(_nanoseconds(start)), "end": str(_nanoseconds(context.as_of))}
    status, body = await fetch_json(backend, "/loki/api/v1/labels", asked, what="the names of Loki's labels")
    if status != 200 or not isinstance(body, dict):
        said = clean(str(body.get("message") or body if isinstance(body, dict) else body), 400)
        raise ToolFailed(f"Loki answered HTTP {status} to the names of its labels: {said}. Name labels yourself.")
    names = body.get("data")
    has = {str(name) for name in names} if isinstance(names, list) else set()
    where = next((name for name in _NAMESPACES if name in has), "")
    place = {where: subject.namespace} if where and subject.namespace else {}
    pods = (context.platform.names(subject, "Pod") if context.platform else "") or (
        re.escape(subject.name) if subject.kind == "Pod" else f"{re.escape(subject.name)}-[a-z0-9-]+"
    )
    inside = pql.selector("", place).strip("{}")
    by_pods = [
        "{" + ", ".join(part for part in (inside, f"{name}=~{pql.quote(pods)}") if part) + "}"
        for name in _PODS
        if name in has
    ]
    found = by_pods + [pql.selector("", {**place, name: subject.name}) for name in _NAMES if name in has]
    found = found or [pql.selector("", {"service_name": subject.name})]
    return [one + (f" |= {pql.quote(contains)}" if contains else "") for one in found]


@dataclass(frozen=True, slots=True)
class _Streams:
    """Lines oldest first; labels that all their streams have in common; lines whose label calls them information."""

    lines: Sequence[Timed] = ()
    common: Labels = field(default_factory=dict)
    quiet: frozenset[str] = frozenset()


async def _first_with_lines(
    backend: Backend, asked: Sequence[str], start: datetime, end: datetime
) -> tuple[str, _Streams]:
    """The first selection that has lines, else the first one without any."""
    for logql in asked:
        if (found := await _lines(backend, logql, start, end)).lines:
            return logql, found
    return (asked[0] if asked else ""), _Streams()


def _symptoms(context: Context, subject: Subject, streams: _Streams) -> list[Symptom]:
    """What the lines tell; those of well before the incident are what is compared with."""
    onset = (context.since - BEFORE).timestamp() * 1000 if context.since else 0
    told = [(ms, text) for ms, text, _ in streams.lines if text not in streams.quiet]
    before = [text for ms, text in told if ms < onset]
    after = [text for ms, text in told if ms >= onset]
    return symptoms_of_lines(after, subject, finder(context, subject), before)


def _answer(
    asked: _Asked, lines: Sequence[Timed], since: datetime, until: datetime, cut: bool, found: Sequence[Symptom]
) -> Answer:
    bad, good = counted(lines)
    when = interval(since, until)
    errors = sum(p.count for p in bad)
    facts = [
        Fact("lines.count", "lines", len(lines), "count", {}, when),
        Fact("errors.count", "lines that are errors", errors, "count", {}, when),
        *symptom_facts(found, when),
        *pattern_facts(bad, good, when),
    ]
    about = clean(asked.logql, 160)
    head = f"{number(len(lines))} lines, {number(errors)} errors in {span((until - since).total_seconds())} to {clock_time(until)}"
    head += f" (only the newest {MOST_LINES} were read). {about}" if cut else f". {about}"
    data: Json = {"query": asked.logql, "lines": len(lines), "cut": cut, "patterns": pattern_json(bad, good)}
    return Answer(summary(head, found, bad, good, until), tuple(facts), data, asked.link)


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


async def _lines(backend: Backend, logql: str, start: datetime, end: datetime) -> _Streams:
    """The newest lines."""
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


def _common(streams: Sequence[Labels]) -> Labels:
    first = dict(streams[0]) if streams else {}
    return {k: v for k, v in first.items() if all(one.get(k) == v for one in streams)}


def _parsed(streams: Sequence[Mapping[str, Json]]) -> _Streams:
    lines = [
        (int(entry[0]) // 1_000_000, str(entry[1]), is_error(str(entry[1]), stream["stream"]))
        for stream in streams
        for entry in stream["values"]
    ]
    quiet = frozenset(str(e[1]) for one in streams if labelled_quiet(one["stream"]) for e in one["values"])
    return _Streams(sorted(lines, key=lambda one: one[0]), _common([one["stream"] for one in streams]), quiet)


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000) * 1_000_000


def _link(context: Context, backend: Backend, logql: str, start: datetime) -> str:
    """Grafana's Explore at this window where Grafana is configured, else the API call itself."""
    if context.backends.grafana_url:
        return explore(context.backends.grafana_url, backend.name, logql, start, context.as_of)
    asked = {"query": logql, "start": _nanoseconds(start), "end": _nanoseconds(context.as_of), "limit": MOST_LINES}
    return f"{backend.link_base}/loki/api/v1/query_range?{urlencode(asked)}"
