"""The first minute of every incident: what the alert measures, since when, how often before, and what changed."""

from __future__ import annotations

from agent.domain.alert import Alert, severity_rank, standing
from agent.reasoner.protocol import Call, View
from agent.reasoner.rules.evidence_index import EvidenceIndex, ask, labels_of, number, present
from tools.alerts.expression import sides_of
from tools.context import Service
from tools.errors import ToolError

PLACE = ("cluster", "namespace", "service", "model", "queue", "node", "deployment")  # labels that say where, not what
CHANGES_HOURS = 24


def alert_of(view: View) -> Alert | None:
    """The alert the incident is read by: of those that fire the most severe, of these the earliest."""
    stand = standing(view.alerts)
    firing = [a for a in stand if a.status == "firing"] or stand
    return min(firing, key=lambda a: (severity_rank(a.severity), a.starts_at), default=None)


def measured(alert: Alert | None) -> str | None:
    """The left side of the alert's rule: what it measures, without the limit. None where it fires by several conditions,
    since nothing says yet which of them does."""
    if alert is None or not alert.expression:
        return None
    try:
        sides = sides_of(alert.expression)
    except ToolError:
        return None
    return sides[0].text if len(sides) == 1 else None


def rule_call(view: View) -> Call | None:
    alert = alert_of(view)
    if alert is None:
        return None
    return ask(
        view,
        "alert_rule",
        f"the rule of {alert.name}, its value and which labels carry it",
        alertname=alert.name,
        expr=alert.expression,
    )


def compare_call(view: View) -> Call | None:
    promql = measured(alert_of(view))
    return ask(
        view, "compare_metrics", "what the alert measures, against before, yesterday and last week", promql=promql
    )


def history_call(view: View) -> Call | None:
    alert = alert_of(view)
    if alert is None:
        return None
    place = {name: alert.labels[name] for name in PLACE if alert.labels.get(name)}
    return ask(view, "alert_history", f"how often {alert.name} fired before", alertname=alert.name, labels=place)


def signals_call(view: View) -> Call | None:
    """What the platform measures of the incident's subjects, whatever it is called there."""
    return ask(view, "signal", "what is measured of it, and what of that is out of line")


def first_minute(view: View) -> tuple[Call, ...]:
    """The reads of the first minute that are offered here."""
    labels = labels_of(view)
    name = view.service.name if view.service else labels.get("service", "")
    place = {key: labels[key] for key in ("cluster", "namespace") if labels.get(key)}
    return present(
        [
            rule_call(view),
            compare_call(view),
            history_call(view),
            signals_call(view),
            ask(view, "survey", "what Kubernetes says is not as it should be with it"),
            ask(view, "began_around", "which other alerts began at the same time"),
            ask(view, "recent_changes", "what was changed lately", service=name, hours=CHANGES_HOURS),
            ask(view, "restarts_and_versions", "what restarted or runs a new version", service=name, labels=place),
            ask(view, "describe_service", "what it depends on and who owns it", name=name),
            *workload_calls(view, view.service, labels),
            *model_calls(view),
        ]
    )


def workload_calls(view: View, service: Service | None, labels: dict[str, str]) -> list[Call | None]:
    """The one workload meant: with several, the labels must choose, else none is described."""
    loads = (
        [
            w
            for w in service.workloads
            if labels.get("cluster", w.cluster) == w.cluster and labels.get("namespace", w.namespace) == w.namespace
        ]
        if service
        else []
    )
    if len(loads) != 1:
        return []
    return [
        ask(view, "describe_workload", f"the state of {loads[0].name}", workload=str(loads[0])),
        ask(view, "rollout_history", f"the rollouts of {loads[0].name}", workload=str(loads[0])),
    ]


def model_calls(view: View) -> list[Call | None]:
    if view.model is None:
        return []
    name = view.model.name
    return [
        ask(view, "served_version", f"which version of {name} is really served", model=name),
        ask(view, "model_versions", f"which versions of {name} there are", model=name),
        ask(view, "model_quality", f"the error of {name}, as far as outcomes are known", model=name),
        ask(view, "feature_freshness", f"how old the features of {name} are", model=name),
        ask(view, "inspect_drift", f"whether the features of {name} drifted", model=name),
    ]


def onset(view: View) -> float:
    """Unix seconds at which the breach began: as the rule shows it, else when the earliest alert says."""
    began = number(EvidenceIndex(view).of(rule_call(view)), "began")
    stated = view.incident.since.timestamp()
    return min(began, stated) if began is not None else stated
