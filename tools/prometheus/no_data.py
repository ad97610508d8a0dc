"""Why a query brought nothing: no such metric, no series with these labels, no samples in the window, or a filter."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tools.errors import ToolError
from tools.formatting import clean
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Window
from tools.spec import Emptiness

LOOK_BACK = timedelta(days=31)  # how far we ask whether a series ever existed


async def why_empty(server: Prometheus, query: str, window: Window) -> tuple[Emptiness, str]:
    """Which of the three it is, with the part of the query that is to blame. Costs a few label look-ups."""
    nodes = {pql.render(node): node for node in pql.selectors(pql.parse(query))}
    try:
        for node in list(nodes.values())[:4]:
            if (reason := await _why_nothing(server, node, window)) is not None:
                return reason
    except ToolError as error:
        return Emptiness.NOTHING, f"why could not be found out: {clean(str(error))}"
    if not nodes:
        return Emptiness.NOTHING, "the expression gives no value"
    return Emptiness.NOTHING, (
        "every series it names has samples in the window, so a comparison or a join leaves nothing. "
        "Ask for the left side of the comparison, or check on(…)/ignoring(…)."
    )


async def _why_nothing(server: Prometheus, node: pql.Node, window: Window) -> tuple[Emptiness, str] | None:
    """None when this selector has samples in the window."""
    metric, matchers = pql.metric_of(node), pql.matchers_of(node)
    full = _written(metric, matchers)
    if await _has_samples(server, node, full, window):
        return None
    since = window.start - LOOK_BACK - (node.offset or timedelta())
    if await server.label_names(full, since):
        return Emptiness.NO_SAMPLES, f"{full} existed within the {LOOK_BACK.days} days before but not in the window"
    if metric and not await server.label_names(pql.selector(metric, {}), since):
        return Emptiness.NO_METRIC, f"there is no metric {metric}; find_metrics looks for names"
    return Emptiness.NO_SERIES, await _culprit(server, metric, matchers, since)


async def _has_samples(server: Prometheus, node: pql.Node, full: str, window: Window) -> bool:
    end = window.end - (node.offset or timedelta())
    seconds = max(int((window.end - window.start).total_seconds()), 0) + 300  # Prometheus looks back 5 minutes
    if end > server.as_of:
        return True
    return bool((await server.instant(f"count(count_over_time({full}[{seconds}s]))", end)).series)


async def _culprit(server: Prometheus, metric: str, matchers: list[tuple[str, str, str]], since: datetime) -> str:
    """Name the one matcher that no series of the metric meets, with the values there are."""
    base = pql.selector(metric, {}) if metric else ""
    alone = await asyncio.gather(*(server.label_names(_written(metric, [m]), since) for m in matchers[:8]))
    dead = [m for m, names in zip(matchers, alone, strict=False) if not names]
    if not dead:
        return f"{metric or 'the series'} exists, but no series meets all of {_written('', matchers)} at once"
    label, op, value = dead[0]
    known = await server.label_values(label, base, since) if base else []
    shown = ", ".join(clean(v, 60) for v in known[:8]) or "this label does not occur"
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f"{metric} exists, but none has {label}{op}{clean(value, 80)!r}; known for {label}: {shown}{more}"


def _written(metric: str, matchers: list[tuple[str, str, str]]) -> str:
    inner = ", ".join(f"{name}{op}{pql.quote(value)}" for name, op, value in matchers)
    head = pql.selector(metric, {}) if metric else ""
    if not inner:
        return head
    return f"{head[:-1]}, {inner}}}" if head.endswith("}") else f"{head}{{{inner}}}"
