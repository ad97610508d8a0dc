"""The lab's log store: Loki's query API for log queries, `{label="value"} |= "text"`. Metric queries are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agent.clock import parse_time
from agent.lab.answers import answer
from agent.lab.world.load import Flow
from agent.lab.world.logs import pod_lines
from agent.lab.world.pods import Life
from agent.lab.world.world import World

API = "/loki/loki/api/v1"
HOUR_MS = 3_600_000
LINES_PER_POD = 2000
LEVELS = ("info", "warn", "error", "fatal")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*(,|$)')
_FILTER = re.compile(r'\s*(\|=|\|~|!=|!~)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')


class BadQuery(ValueError):
    """What Loki would answer 400 to."""


@dataclass(frozen=True, slots=True)
class Query:
    matchers: tuple[tuple[str, str, str], ...]
    filters: tuple[tuple[str, str], ...]

    def picks(self, labels: dict[str, str]) -> bool:
        return all(_holds(op, value, labels.get(name, "")) for name, op, value in self.matchers)

    def keeps(self, line: str) -> bool:
        return all(_contains(op, text, line) for op, text in self.filters)


def parse(text: str) -> Query:
    """A log query; BadQuery says what is wrong in Loki's manner."""
    stripped = text.strip()
    end = _closing(stripped)
    matchers, at, inner = [], 0, stripped[1:end]
    while at < len(inner) and inner[at:].strip():
        found = _MATCHER.match(inner, at)
        if found is None:
            raise BadQuery(f"parse error at line 1, col {at + 2}: syntax error: unexpected {inner[at:].strip()[:20]!r}")
        matchers.append((found[1], found[2], _unquoted(found[3])))
        at = found.end()
    if not any(op in ("=", "=~") and value for _, op, value in matchers):
        raise BadQuery(
            "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value"
        )
    filters, at, rest = [], 0, stripped[end + 1 :]
    while rest[at:].strip():
        found = _FILTER.match(rest, at)
        if found is None:
            raise BadQuery(
                f"parse error at line 1, col {end + at + 2}: the lab reads label matchers and line filters only"
            )
        filters.append((found[1], _unquoted(found[2])))
        at = found.end()
    for pattern in [v for _, op, v in matchers if "~" in op] + [v for op, v in filters if "~" in op]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise BadQuery(f"parse error: error parsing regexp: {error}") from None
    return Query(tuple(matchers), tuple(filters))


def _closing(text: str) -> int:
    """Where the selector's brace ends, minding quotes."""
    if not text.startswith("{"):
        raise BadQuery("parse error at line 1, col 1: syntax error: unexpected IDENTIFIER, expecting {")
    quoted = ""
    for place, letter in enumerate(text):
        if quoted:
            if letter == quoted and (quoted == "`" or text[place - 1] != "\\"):
                quoted = ""
        elif letter in '"`':
            quoted = letter
        elif letter == "}":
            return place
    raise BadQuery("parse error: syntax error: unexpected $end, expecting }")


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        raise BadQuery(f"parse error: invalid string {text[:40]}") from None


def _holds(op: str, value: str, actual: str) -> bool:
    equal = bool(re.fullmatch(value, actual)) if "~" in op else value == actual
    return not equal if op.startswith("!") else equal


def _contains(op: str, text: str, line: str) -> bool:
    inside = bool(re.search(text, line)) if "~" in op else text in line
    return not inside if op.startswith("!") else inside


Stream = tuple[dict[str, str], str, Flow, Life]


def streams(world: World) -> Iterator[Stream]:
    """Every pod's log with its labels."""
    for cluster, flows in world.sim.flows.items():
        for flow in flows.values():
            for life in flow.rollouts.lives:
                if life.start_ms <= world.now_ms():
                    labels = {
                        "cluster": cluster,
                        "namespace": flow.spec.namespace,
                        "service": flow.spec.name,
                        "app": flow.spec.deployment,
                        "pod": life.name,
                        "container": flow.spec.deployment,
                        "node": life.node,
                    }
                    yield labels, cluster, flow, life


def routes(world: World) -> list[Route]:
    def guarded(page: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                return page(request)
            except BadQuery as error:
                return PlainTextResponse(str(error), 400)

        return endpoint

    def query_range(request: Request) -> Response:
        asked = request.query_params
        query = parse(asked.get("query", ""))
        end = min(_time_ms(asked.get("end"), world.now_ms()), world.now_ms())
        start = _time_ms(asked.get("start"), end - HOUR_MS)
        limit = int(asked.get("limit") or 100)
        forward = asked.get("direction", "backward") == "forward"
        result = _lines(world, query, start, end, limit, forward)
        return answer({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}})

    def labels(request: Request) -> Response:
        return answer({"status": "success", "data": sorted({name for found, *_ in streams(world) for name in found})})

    def values(request: Request) -> Response:
        name = request.path_params["name"]
        return answer(
            {"status": "success", "data": sorted({found[name] for found, *_ in streams(world) if name in found})}
        )

    def ready(request: Request) -> Response:
        return PlainTextResponse("ready\n")

    return [
        Route(f"{API}/query_range", guarded(query_range), methods=["GET"]),
        Route(f"{API}/labels", labels, methods=["GET"]),
        Route(f"{API}/label/{{name}}/values", values, methods=["GET"]),
        Route("/loki/ready", ready, methods=["GET"]),
    ]


def _lines(world: World, query: Query, start: int, end: int, limit: int, forward: bool) -> list[dict[str, object]]:
    found: list[tuple[int, str, dict[str, str]]] = []
    for labels, cluster, flow, life in streams(world):
        if not any(query.picks({**labels, "level": level}) for level in LEVELS):
            continue
        for at, line in pod_lines(world.sim, cluster, flow, life, start, end, LINES_PER_POD):
            level = line.partition("level=")[2].partition(" ")[0]
            own = {**labels, "level": level}
            if query.picks(own) and query.keeps(line):
                found.append((at, line, own))
    found.sort(key=lambda one: one[0], reverse=not forward)
    return _grouped(found[:limit])


def _grouped(lines: Sequence[tuple[int, str, dict[str, str]]]) -> list[dict[str, object]]:
    groups: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
    for at, line, labels in lines:
        groups.setdefault(tuple(sorted(labels.items())), []).append([str(at * 1_000_000), line])
    return [{"stream": dict(labels), "values": values} for labels, values in groups.items()]


def _time_ms(text: str | None, otherwise: int) -> int:
    """Loki takes nanoseconds, seconds with a fraction, or RFC 3339."""
    if not text:
        return otherwise
    try:
        number = float(text)
    except ValueError:
        try:
            return int(parse_time(text).timestamp() * 1000)
        except ValueError:
            raise BadQuery(f"could not parse {text!r} as a time") from None
    return int(number / 1_000_000) if number > 1e14 else int(number * 1000)
