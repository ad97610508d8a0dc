"""What counts as recovered: the test that is sealed with a proposal, decided from what was asked for and what was seen.

Beside what a runbook or a reasoner asks for stands the alert's own rule, wherever it can be read. The whole must not hold
when it is sealed, it has to hold for a while, and it is given time until all it measures can have forgotten the trouble.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from agent.domain.check import Check, SuccessTest
from agent.errors import Refused, ToolError
from tools.prometheus import promql as pql

SHORTEST_HOLD = timedelta(minutes=1)
SCRAPES = 2  # it has to hold for as many at least
USUAL_INTERVAL = timedelta(minutes=1)  # between two scrapes, where nobody says
# what a platform says of its own objects: that the action happened, never that it helped
_OF_OBJECTS = frozenset(
    {
        "describe_workload",
        "workload_events",
        "rollout_history",
        "model_versions",
        "model_lineage",
        "served_version",
        "recent_changes",
        "describe_service",
        "search_runbooks",
        "open_evidence",
    }
)
_OBJECT_METRIC = re.compile(
    r"kube_[a-z]+_(spec_\w+|metadata_generation|created|labels|annotations|info|status_observed_generation"
    r"|status_replicas(_available|_ready|_updated|_current)?)"
)


@dataclass(frozen=True, slots=True)
class Blur:
    """How long trouble shows on after it has ended: the longest range of the expressions, the rule's `for`, the delay of
    the labels a model is measured by; and how often values come."""

    looks_back: timedelta = timedelta()
    waits: timedelta = timedelta()
    label_delay: timedelta = timedelta()
    interval: timedelta | None = None


def timed(test: SuccessTest, blur: Blur) -> SuccessTest:
    """The test with a hold of two scrapes and a minute at least, and a window that is not over before the blur is."""
    hold = max(test.hold, SHORTEST_HOLD, SCRAPES * (blur.interval or USUAL_INTERVAL))
    return replace(test, hold=hold, within=max(test.within, blur.looks_back + blur.waits + hold + blur.label_delay))


def settled(test: SuccessTest, now: Sequence[bool | None], served: frozenset[str] = frozenset()) -> SuccessTest:
    """The test as it is sealed, from what its checks say now. Refused where it holds already, with the reason.

    `served` are metrics that say which version a model's serving runs.
    """
    rules = [place for place, check in enumerate(test.checks) if check.is_rule]
    if rules and all(now[place] is True for place in rules):
        raise Refused(
            "nothing has to be mended: the alert's own rule gives nothing for it any more, with data. It has ended by itself; "
            "look again before anything is proposed."
        )
    if all(held is True for held in now):
        raise Refused(
            "its success test holds already, before anything is done, so it could not show that the action helped. Give one "
            "that fails now: the alert's own measure against its limit."
        )
    off = [place for place, held in enumerate(now) if held is False and place not in rules]
    tells = tuple(place for place in off if shows_effect(test.checks[place], served))
    test = replace(test, already=tuple(place for place, held in enumerate(now) if held is True), tells=tells)
    return test if rules or tells else replace(test, by_person=True)


def shows_effect(check: Check, served: frozenset[str] = frozenset()) -> bool:
    """Whether a check measures how things are, and not only that something was done or that one is one."""
    if check.is_rule:
        return True
    if check.read in _OF_OBJECTS:
        return False
    promql = check.args.get("promql")
    if not isinstance(promql, str):
        return True
    try:
        metrics = [pql.metric_of(node) for node in pql.selectors(pql.parse(promql))]
    except ToolError:
        return False
    return any(not (metric in served or _OBJECT_METRIC.fullmatch(metric)) for metric in metrics)
