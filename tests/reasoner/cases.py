"""Views for reasoner tests: a small platform, a runbook, and a book of answers to reads. No network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.domain.alert import Alert, AlertStatus
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.incident import Incident, Kind, State
from agent.domain.notes import MoveMade
from agent.domain.timeline import Event, EventKind, events_of
from agent.graph.steps.think import Checked, move_made
from agent.library.parse import parse
from agent.library.runbook import Match
from agent.reasoner.protocol import Call, Look, Move, Reasoner, Thought, View
from tests.contexts import ListedCatalog
from tools.context import Service, Workload
from tools.listing import TOOLS
from tools.spec import Fact

NOW = datetime(2026, 11, 24, 3, 20, tzinfo=UTC)
T = NOW.timestamp()
BEGAN = T - 900
RULE = 'p99_seconds{service="web"} > 1'
BOOK = """---
name: slow
description: Slow answers. Use when Slow fires.
metadata:
  stanch.alerts: "Slow"
  stanch.kind: infra
---
# Slow
## Diagnosis
Is it starved of CPU?
~~~yaml check
read: query_metrics
args: {promql: 'throttled{service={{ service }}}', minutes: 30}
expect: "> 0.25"
suggests: cpu_contention
~~~
Do calls to a dependency fail?
~~~yaml check
read: query_metrics
args: {promql: 'max(sum by (peer) (failing{service={{ service }}}))', minutes: 30}
expect: "> 0.05"
suggests: dependency_down
~~~
Was a version rolled out?
~~~yaml check
read: recent_changes
args: {service: "{{ service }}", hours: 3}
fact: deployments.count
expect: ">= 1"
suggests: bad_deploy
~~~
## Mitigation
### cpu_contention
~~~yaml action
action: scale_workload
args: {workload: "{{ workload }}", replicas: "{{ before.replicas + 2 }}"}
success: {promql: 'p99_seconds{service={{ service }}}', expect: "< 1", hold: 2m, within: 10m}
~~~
### bad_deploy
~~~yaml action
action: roll_back_workload
args: {workload: "{{ workload }}", revision: "{{ before.previous_revision }}"}
success: {promql: 'p99_seconds{service={{ service }}}', expect: "< 1", hold: 2m, within: 10m}
~~~
"""


def service(name: str, *depends_on: str) -> Service:
    load = Workload(name, "shop", "eu-1", service=name)
    return Service(name, {"service": name}, depends_on, workloads=(load,), owner=f"{name}-team")


CATALOG = ListedCatalog((service("web", "checkout"), service("checkout", "payments"), service("payments")))
Answers = Mapping[str, Sequence[Fact] | str]  # pattern over `read arguments` → facts, or why the read failed


def series(value: float | None, unit: str = "ratio", **labels: str) -> tuple[Fact, ...]:
    return (Fact("value.last", "last", value, unit, labels),)


def compared(now: float, yesterday: float, last_week: float) -> tuple[Fact, ...]:
    labels = {"service": "web"}
    return (
        Fact("now.mean", "mean", now, "s", labels),
        Fact("before.mean", "mean", yesterday, "s", labels),
        Fact("yesterday.mean", "mean", yesterday, "s", labels),
        Fact("last_week.mean", "mean", last_week, "s", labels),
        Fact("ratio.yesterday", "now over yesterday", now / yesterday, "ratio", labels),
        Fact("ratio.last_week", "now over last week", now / last_week, "ratio", labels),
    )


def deployed(who: str, at: float, count: int = 1) -> tuple[Fact, ...]:
    window = "2026-11-24T00:20:00Z/2026-11-24T03:20:00Z"
    facts = [
        Fact("changes.count", "changes", count, "count", {}, window),
        Fact("deployments.count", "rollouts", count, "count", {}, window),
    ]
    if count:
        facts.append(Fact("c1.at", "time of a rollout", at, "unix", {"kind": "deployment", "service": who}, window))
    return tuple(facts)


USUAL: dict[str, Sequence[Fact] | str] = {
    "alert_rule": (
        Fact("value.last", "last", 1.9, "s", {"service": "web"}),
        Fact("limit", "limit", 1.0, "s"),
        Fact("breaching.count", "in breach", 1, "count"),
        Fact("began", "start", BEGAN, "unix"),
    ),
    "compare_metrics": compared(1.9, 0.3, 0.3),
    "alert_history": (
        Fact("count", "times", 1, "count"),
        Fact("earlier.count", "times before", 0, "count", {}, "2026-11-10T00:00:00Z/2026-11-24T03:20:00Z"),
    ),
    "began_around": (Fact("count", "others", 0, "count"),),
    "recent_changes": deployed("web", 0, 0),
    "restarts_and_versions": (
        Fact("restarts.count", "restarts", 0, "count", {}, "2026-11-23T21:20:00Z/2026-11-24T03:20:00Z"),
    ),
    "describe_service": (),
    "rollout_history": (Fact("previous.revision", "previous", 6, ""), Fact("current.revision", "current", 7, "")),
    "describe_workload": (Fact("replicas.wanted", "replicas wanted", 3, "count", {"workload": "web"}),),
    "throttled": series(0.0, service="web"),
    "failing": series(0.0),
}


@dataclass
class Case:
    """One incident on `web`. `answers` are looked up by the longest pattern that occurs in `read arguments`."""

    answers: dict[str, Sequence[Fact] | str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    catalog: ListedCatalog = CATALOG
    with_book: bool = True
    book: str = BOOK
    beside: tuple[Alert, ...] = ()  # what fires with it

    def view(self, **more: Any) -> View:
        labels = {"alertname": "Slow", "service": "web", "cluster": "eu-1", "namespace": "shop", "severity": "critical"}
        url = "http://prometheus/graph?g0.expr=" + RULE.replace(" ", "%20").replace('"', "%22").replace(">", "%3E")
        began = NOW - timedelta(minutes=15)
        alert = Alert(
            "alertmanager", "f1", AlertStatus.FIRING, labels, {"summary": "web is slow"}, began, generator_url=url
        )
        incident = Incident("i1", State.INVESTIGATING, Kind.UNKNOWN, "Slow", began, alerts=("f1",), labels=labels)
        book = parse(self.book, "slow")
        return View(
            incident=incident,
            alerts=(alert, *self.beside),
            events=tuple(self.events),
            evidence=dict(self.evidence),
            runbooks=(Match("slow", 1.0, "", "alert name"),) if self.with_book else (),
            bodies={"slow": book},
            catalog=self.catalog,
            service=self.catalog.service("web"),
            model=None,
            reads=TOOLS.reads,
            actions=TOOLS.actions,
            now=NOW,
            **more,
        )

    def note(self, kind: EventKind, data: Mapping[str, Any], actor: str = "stanch") -> None:
        self.events.append(Event(len(self.events) + 1, "i1", 1, NOW, kind, actor, data, "", ""))

    def made(self, thought: Thought) -> None:
        """The move goes on the timeline, as the graph writes it."""
        number = 1 + len(events_of(self.events, MoveMade))
        for extra in thought.notes:
            self.note(EventKind.NOTE, extra.to_json(), thought.by)
        made = move_made(thought, Checked(thought.move), number)
        self.note(EventKind.NOTE, made.to_json(), thought.by)
        if isinstance(thought.move, Look):
            for place, call in enumerate(thought.move.calls):
                self._record(call, f"{number}:{place}")

    def _record(self, call: Call, place: str) -> None:
        asked = f"{call.read} {dict(call.args)}"
        known = {**USUAL, **self.answers}
        fitting = max((p for p in known if re.search(p, asked)), key=lambda p: (p in self.answers, len(p)), default="")
        answer = known.get(fitting, "NotConfigured: not here")
        outcome = ReadOutcome.FAILED if isinstance(answer, str) else ReadOutcome.OK if answer else ReadOutcome.EMPTY
        facts = () if isinstance(answer, str) else tuple(answer)
        summary = answer if isinstance(answer, str) else f"{call.read}: {len(facts)} facts"
        one = Evidence(
            f"E{len(self.evidence) + 1}",
            call.read,
            dict(call.args),
            "test",
            NOW,
            NOW,
            outcome,
            summary,
            facts,
            why=call.why,
        )
        self.evidence[one.id] = one
        self.note(EventKind.EVIDENCE, {**one.to_json(), "extra": {"call": place}})

    async def end(self, reasoner: Reasoner, **more: Any) -> Move:
        """Moves until one is no look; at most twelve."""
        for _ in range(12):
            thought = await reasoner.next_move(self.view(**more))
            self.made(thought)
            if not isinstance(thought.move, Look):
                return thought.move
        raise AssertionError("the reasoner looks for ever")
