"""Whether the signs of a cause are still there in the last minute, or only in the averages that rates are taken over."""

from __future__ import annotations

import re
from dataclasses import replace

from agent.case.cause import Cause, Fault
from agent.case.check import expectation
from agent.case.incident import Kind
from agent.reasoner.calls import Shelf, ask, present
from agent.reasoner.checks import Tried
from agent.reasoner.diagnosis import Picture
from agent.reasoner.moves import Call, View

_AVERAGED = re.compile(r"\[(?:[3-9]|1\d|2\d|30)m\]")
FAR = 0.5  # of the runbook's limit: below that in the last minute a sign is gone, not merely noisy


def last_minute(view: View, picture: Picture) -> tuple[Call, ...]:
    """For the signs of the likeliest cause that are averaged over minutes: the same over the last one."""
    signs = picture.candidates[0].signs if picture.candidates else ()
    return present(_fresh(view, one) for one in signs)


def _fresh(view: View, one: Tried) -> Call | None:
    promql = str(one.check.args.get("promql", "")) if one.check and one.check.read == "query_metrics" else ""
    if not one.check or not _AVERAGED.search(promql) or expectation(one.check.expect).op not in (">", ">="):
        return None
    return ask(
        view,
        "query_metrics",
        "whether it is still so in the last minute",
        promql=_AVERAGED.sub("[1m]", promql),
        minutes=5,
    )


def faded(view: View, picture: Picture) -> bool:
    """Every sign that can be taken over the last minute is under its limit, and one of them far under. No data is no fading."""
    shelf = Shelf(view)
    signs = picture.candidates[0].signs if picture.candidates else ()
    shares = [s for one in signs if (call := _fresh(view, one)) and (s := _share(shelf, one, call)) is not None]
    return bool(shares) and max(shares) < 1 and min(shares) < FAR


def _share(shelf: Shelf, one: Tried, call: Call) -> float | None:
    """The worst value of the last minute as a share of the check's limit."""
    evidence = shelf.of(call)
    if one.check is None or evidence is None:
        return None
    limit = expectation(one.check.expect).value
    values = [
        float(f.value)
        for f in one.check.select(evidence.facts)
        if isinstance(f.value, int | float) and f.value == f.value
    ]
    return max(values) / limit if values and isinstance(limit, float) and limit > 0 else None


def over(picture: Picture) -> Picture:
    """A burst that has ended by itself: no fault that is still there to mend."""
    return replace(picture, cause=Cause(picture.cause.component, Fault.NONE, 0.6), kind=Kind.NONE, quiet=True)
