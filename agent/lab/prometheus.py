"""The lab's Prometheus: the HTTP API of a 2.x server over the world's samples and rules, errors included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.clock import iso
from agent.lab.ports import Rule, Samples
from agent.lab.prometheus_parameters import Parameters, Refusal, label_name
from agent.lab.promql import NAME, Answer, QueryError, Vector, Windows, instant, parse, ranged, series_of
from agent.lab.promql.numbers import exponent, sample
from agent.lab.promql.select import matchers_of, matching
from agent.lab.promql.values import Labels, labels_of
from agent.lab.rules import Interval, WithAlerts

RECENT_MS = 6 * 3_600_000  # how far back alerts are evaluated for calls that name no window
STATUS = {"bad_data": 400, "execution": 422, "not_found": 404}
VERSION = {
    "version": "2.42.0",
    "revision": "stanch-lab",
    "branch": "HEAD",
    "buildUser": "stanch",
    "buildDate": "20230131-13:51:21",
    "goVersion": "go1.19.5",
}
Endpoint = Callable[["Face", Parameters], object]


def routes(samples: Samples, rules: Sequence[Rule], external_url: Callable[[], str]) -> list[Route]:
    """The API under `/api/v1`, and the health pages. Nothing later than the samples' present is ever answered."""
    face = Face(samples if isinstance(samples, WithAlerts) else WithAlerts(samples, rules), external_url)

    def healthy(request: Request) -> PlainTextResponse:
        return PlainTextResponse("Prometheus Server is Healthy.\n")

    def ready(request: Request) -> PlainTextResponse:
        return PlainTextResponse("Prometheus Server is Ready.\n")

    return [
        Route("/-/healthy", healthy),
        Route("/-/ready", ready),
        *(
            Route(f"/api/v1/{path}", answering(face, endpoint), methods=methods)
            for path, endpoint, methods in ENDPOINTS
        ),
    ]


class Face:
    """What every endpoint needs."""

    def __init__(self, samples: WithAlerts, external_url: Callable[[], str]) -> None:
        self.samples = samples
        self.external_url = external_url

    def window(self, parameters: Parameters) -> tuple[int, int, bool]:
        """start and end of a discovery call, and whether anybody named a start."""
        now = self.samples.now_ms()
        start, end = parameters.time("start", None), parameters.time("end", None)
        return now - RECENT_MS if start is None else start, now if end is None else end, start is not None

    def found(self, parameters: Parameters, needed: bool = False) -> list[Labels]:
        """Label sets that fit any of `match[]` and have samples within the window, sorted."""
        selectors = parameters.all("match[]")
        if needed and not selectors:
            raise Refusal("no match[] parameter provided")
        start, end, bounded = self.window(parameters)
        matchers = [matchers_of(parameters.selector(text)) for text in selectors] or [[]]
        return sorted(
            {
                labels_of(series.labels)
                for one in matchers
                for _, series in matching(self.samples, one, (start, end))
                if series.times.size and (not bounded or series.times[-1] >= start) and series.times[0] <= end
            }
        )


def answering(face: Face, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        form = parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)
        pairs = [*form, *request.query_params.multi_items(), *request.path_params.items()]
        try:
            data = endpoint(face, Parameters(pairs))
        except QueryError as error:
            named = error.kind == "bad_data" and endpoint is not query_range  # where Prometheus does not name it
            return failed(error.kind, f'invalid parameter "query": {error}' if named else str(error))
        except Refusal as error:
            return failed("bad_data", str(error))
        return JSONResponse({"status": "success", "data": data})

    return answer


def failed(kind: str, message: str) -> JSONResponse:
    return JSONResponse({"status": "error", "errorType": kind, "error": message}, STATUS[kind])


def query(face: Face, parameters: Parameters) -> object:
    now = face.samples.now_ms()
    at = parameters.time("time", now)
    parameters.timeout()
    return shown(instant(face.samples, parameters.get("query"), now if at is None else at))


def query_range(face: Face, parameters: Parameters) -> object:
    start, end = parameters.moment("start"), parameters.moment("end")
    if end < start:
        raise Refusal('invalid parameter "end": end timestamp must not be before start time')
    step = parameters.step()
    if (end - start) // step > 11_000:
        raise Refusal(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
        )
    parameters.timeout()
    return shown(ranged(face.samples, parameters.get("query"), start, end, step), in_range=True)


def shown(answer: Answer, in_range: bool = False) -> dict[str, object]:
    value, moment = answer.value, answer.steps[0].item() / 1000
    if isinstance(value, str):
        return {"resultType": "string", "result": [moment, value]}
    if in_range or isinstance(value, Windows):
        result = [
            {
                "metric": dict(labels),
                "values": [[at / 1000, sample(v)] for at, v in zip(times.tolist(), values.tolist(), strict=True)],
            }
            for labels, times, values in series_of(answer)
        ]
        return {"resultType": "matrix", "result": result}
    if isinstance(value, Vector):
        rows = zip(value.labels, value.values[:, 0].tolist(), strict=True)
        return {
            "resultType": "vector",
            "result": [{"metric": dict(labels), "value": [moment, sample(v)]} for labels, v in rows],
        }
    return {"resultType": "scalar", "result": [moment, sample(float(value[0]))]}


def series(face: Face, parameters: Parameters) -> object:
    return [dict(labels) for labels in face.found(parameters, needed=True)]


def labels(face: Face, parameters: Parameters) -> object:
    return sorted({name for its_labels in face.found(parameters) for name, _ in its_labels})


def label_values(face: Face, parameters: Parameters) -> object:
    name = label_name(parameters.get("name"))
    return sorted({value for its_labels in face.found(parameters) for label, value in its_labels if label == name})


def metadata(face: Face, parameters: Parameters) -> object:
    wanted, limit = parameters.get("metric"), parameters.limit()
    entries = {
        name: [{"type": kind, "help": text, "unit": ""}]
        for name, (kind, text) in sorted(face.samples.metadata().items())
        if wanted in ("", name)
    }
    return dict(list(entries.items())[: None if limit < 0 else limit])


def rules(face: Face, parameters: Parameters) -> object:
    kind = parameters.get("type").lower()
    if kind not in ("", "alert", "record"):
        raise Refusal(f'invalid parameter "type": not supported value "{kind}"')
    groups: dict[str, list[object]] = {}
    active = face.samples.active() if kind != "record" else []
    for rule in face.samples.rules if kind != "record" else ():
        groups.setdefault(rule.group, []).append(rule_shown(face, rule, [one for one in active if one.rule is rule]))
    last = iso(datetime.fromtimestamp(face.samples.now_ms() / 1000, UTC))
    return {
        "groups": [
            {"name": name, "file": "rules.yml", "rules": its_rules, "interval": 30, "limit": 0}
            | {"evaluationTime": 0.001, "lastEvaluation": last}
            for name, its_rules in sorted(groups.items())
        ]
    }


def rule_shown(face: Face, rule: Rule, active: Sequence[Interval]) -> dict[str, object]:
    states = {one.state for one in active}
    return {
        "state": "firing" if "firing" in states else "pending" if states else "inactive",
        "name": rule.name,
        "query": parse(rule.expr).prettify() if "\n" not in rule.expr else rule.expr,
        "duration": rule.for_s,
        "keepFiringFor": 0,
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
        "alerts": [alert_shown(one) for one in active],
        "health": "ok",
        "evaluationTime": 0.001,
        "lastEvaluation": iso(datetime.fromtimestamp(face.samples.now_ms() / 1000, UTC)),
        "type": "alerting",
    }


def alert_shown(one: Interval) -> dict[str, object]:
    return {
        "labels": dict(sorted(one.labels.items())),
        "annotations": one.annotations(),
        "state": one.state,
        "activeAt": iso(datetime.fromtimestamp(one.active_ms / 1000, UTC)),
        "value": exponent(one.value),
    }


def alerts(face: Face, parameters: Parameters) -> object:
    return {"alerts": [alert_shown(one) for one in face.samples.active()]}


def targets(face: Face, parameters: Parameters) -> object:
    """A target for each series of `up` that still has samples."""
    state = parameters.get("state").lower()
    now = face.samples.now_ms()
    found = matching(face.samples, matchers_of(parameters.selector("up")))
    active = [
        target_shown(dict(its_labels), one.values[-1].item() == 1, int(one.times[-1]))
        for its_labels, one in found
        if one.times.size and one.times[-1] >= now - 300_000 and state in ("", "any", "active")
    ]
    return {"activeTargets": active, "droppedTargets": []}


def target_shown(its_labels: dict[str, str], up: bool, last_ms: int) -> dict[str, object]:
    its_labels.pop(NAME, None)
    instance, job = its_labels.get("instance", ""), its_labels.get("job", "")
    own = {"__address__": instance, "__metrics_path__": "/metrics", "__scheme__": "http"}
    url = f"http://{instance}/metrics"
    return {
        "discoveredLabels": {**own, "__scrape_interval__": "30s", "__scrape_timeout__": "10s", "job": job},
        "labels": its_labels,
        "scrapePool": job,
        "scrapeUrl": url,
        "globalUrl": url,
        "lastError": "" if up else f'Get "{url}": context deadline exceeded',
        "lastScrape": iso(datetime.fromtimestamp(last_ms / 1000, UTC)),
        "lastScrapeDuration": 0.002 if up else 10.0,
        "health": "up" if up else "down",
        "scrapeInterval": "30s",
        "scrapeTimeout": "10s",
    }


def exemplars(face: Face, parameters: Parameters) -> object:
    parse(parameters.get("query"))
    return []


ENDPOINTS: Sequence[tuple[str, Endpoint, Sequence[str]]] = (
    ("query", query, ("GET", "POST")),
    ("query_range", query_range, ("GET", "POST")),
    ("query_exemplars", exemplars, ("GET", "POST")),
    ("series", series, ("GET", "POST")),
    ("labels", labels, ("GET", "POST")),
    ("label/{name}/values", label_values, ("GET",)),
    ("metadata", metadata, ("GET",)),
    ("rules", rules, ("GET",)),
    ("alerts", alerts, ("GET",)),
    ("targets", targets, ("GET",)),
    ("status/buildinfo", lambda face, parameters: VERSION, ("GET",)),
)
