"""Every way in which the product writes a selector around a value from outside, and what it then sends.

A way takes a value and gives the queries it makes of it. Those of tools are read off what reaches the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from urllib.parse import parse_qs

import httpx

from agent.library.promql_text import OrAbsent, fill
from agent.platform.known import KnownPlatform
from tests.contexts import NOON, ListedCatalog, backend, context
from tools.alerts.active import active_alerts
from tools.alerts.expression import by_label
from tools.alerts.history import alert_history
from tools.context import Context, Service, Subject, Workload
from tools.errors import ToolError
from tools.logs.search import search_logs
from tools.prometheus.metrics import compare_metrics, find_metrics, query_metrics
from tools.prometheus.promql import parse, render, selector, selector_here
from tools.prometheus.restarts import restarts_and_versions
from tools.signals.dialects import signal_named, spoken
from tools.signals.question import Targets, questions

Way = Callable[[str], Awaitable[Sequence[str]]]
_SENT = ("query", "match[]")


def written(write: Callable[[str], str]) -> Way:
    async def way(value: str) -> Sequence[str]:
        return [write(value)]

    return way


def sent(call: Callable[[Context, str], Awaitable[object]], labels: tuple[str, ...] = ()) -> Way:
    """What a read sends; a refusal before sending sends nothing, and that is right too."""

    async def way(value: str) -> Sequence[str]:
        queries: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked = parse_qs(request.url.query.decode() or request.content.decode(), keep_blank_values=True)
            queries.extend(text for name in _SENT for text in asked.get(name, []))
            listed = request.url.path.endswith(("values", "labels"))
            data = ["up"] if listed else {"resultType": "matrix", "result": []}
            return httpx.Response(200, json={"status": "success", "data": data})

        servers = [backend(kind, app=httpx.MockTransport(answer)) for kind in ("prometheus", "loki")]
        shop = Service(
            "shop",
            match={"service": value, "tier": "web"},
            workloads=(Workload("web", "shop", "eu-1", service="shop"),),
        )
        try:
            past = NOON + timedelta(hours=1)  # not live: what fired is read off series
            await call(context(*servers, services=(shop,), labels=dict.fromkeys(labels, value), now=past), value)
        except ToolError:
            pass
        for server in servers:
            await server.http.aclose()
        return queries

    return way


def signal_query(value: str) -> str:
    """What is asked for a signal of a service that the catalog knows its series by."""
    catalog = ListedCatalog((Service("shop", match={"service": value}),))
    traffic = spoken(signal_named("traffic"), {"http_requests_total"})
    assert traffic is not None
    (asked,) = questions(traffic, [Subject("Service", "", "", "shop")], Targets(), KnownPlatform(catalog))
    return asked.promql


WRITTEN: dict[str, Way] = {
    "a label": written(lambda v: selector("up", {"service": v, "pod": "a"})),
    "a metric's name": written(lambda v: selector(v + "-", {"pod": "a"})),
    "a cluster that may be an external label": written(lambda v: selector_here("up", {"cluster": v, "pod": "a"})),
    "written back": written(lambda v: render(parse(selector("up", {"service": v})))),
    "split by a label": written(lambda v: by_label(parse(f"sum({selector('up', {'service': v})})"), "pod")),
    "a runbook's string": written(lambda v: fill('up{service="\0' + '0\0"}', [v])),
    "a runbook's single quotes": written(lambda v: fill("up{service='\0" + "0\0'}", [v])),
    "a runbook's bare value": written(lambda v: fill("up{service=\0" + "0\0}", [v])),
    "a runbook's pattern": written(lambda v: fill('up{service=~"\0' + '0\0-.+"}', [v])),
    "a runbook's cluster": written(lambda v: fill("up{cluster=~\0" + "0\0}", [OrAbsent(v)])),
}
READS: dict[str, Way] = {
    "find_metrics": sent(lambda c, v: find_metrics(c, pattern="up", labels={"service": v})),
    "query_metrics, empty": sent(lambda c, v: query_metrics(c, promql=selector("up", {"service": v, "pod": "a"}))),
    "compare_metrics": sent(lambda c, v: compare_metrics(c, promql=selector("up", {"service": v}))),
    "alert_history": sent(lambda c, v: alert_history(c, alertname=v or "A", labels={"service": v}), ("cluster",)),
    "active_alerts": sent(lambda c, v: active_alerts(c, labels={"service": v, "cluster": v})),
    "restarts_and_versions of the catalog": sent(lambda c, v: restarts_and_versions(c, service="shop")),
    "restarts_and_versions of a label": sent(lambda c, v: restarts_and_versions(c, service=v)),
    "signals of the catalog": written(lambda v: signal_query(v)),
    "search_logs": sent(lambda c, v: search_logs(c, labels={"service": v})),
}
WAYS = WRITTEN | READS
