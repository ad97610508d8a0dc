"""Alerts of one cause become one incident, with a reason in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent.domain.alert import Alert, AlertStatus
from agent.domain.catalog import Catalog, CatalogFile, from_file
from agent.service.correlate import assign, joined, opened_by

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CATALOG = from_file(
    CatalogFile.model_validate(
        {
            "services": {
                "web": {"depends_on": ["forecast"]},
                "forecast": {"serves_model": "demand"},
                "billing": {},
            },
            "models": {"demand": {"served_by": "forecast"}},
        }
    )
)


def alert(name: str, minutes: int = 0, severity: str = "warning", **labels: str) -> Alert:
    labels = {"alertname": name, "severity": severity, **labels}
    return Alert(
        "alertmanager",
        f"{name}-{sorted(labels.items())}",
        AlertStatus.FIRING,
        labels,
        {},
        START + timedelta(minutes=minutes),
    )


def test_the_same_alert_finds_its_incident() -> None:
    first = alert("High", service="web")
    assert assign(first, [(opened_by(first), [first])], Catalog()).why == "the same alert"


def test_an_alert_of_a_dependency_joins() -> None:
    first = alert("WebSlow", service="web")
    found = assign(alert("ForecastSlow", 3, service="forecast"), [(opened_by(first), [first])], CATALOG)
    assert (found.incident, found.why) == (opened_by(first).id, "web depends on forecast")


def test_a_model_alert_joins_the_service_that_serves_it() -> None:
    first = alert("ForecastSlow", service="forecast")
    found = assign(alert("ModelErrorHigh", 5, model="demand"), [(opened_by(first), [first])], CATALOG)
    assert found.why == "forecast serves the model demand"


def test_a_pod_of_a_catalogued_workload_stands_where_its_service_stands() -> None:
    entries = {
        "web": {"depends_on": ["forecast"], "match": {"app": "front"}},
        "forecast": {"workloads": [{"name": "fc-serving", "namespace": "ml", "cluster": "eu-1"}]},
    }
    catalog = from_file(CatalogFile.model_validate({"services": entries}))
    first = alert("WebSlow", app="front")
    pod = alert("Looping", 2, namespace="ml", pod="fc-serving-6d4c8b7f9-2xkqz", job="kube-state-metrics")
    assert assign(pod, [(opened_by(first), [first])], catalog).why == "web depends on forecast"
    elsewhere = alert("Looping", 2, namespace="test", pod="fc-serving-6d4c8b7f9-2xkqz", job="kube-state-metrics")
    assert assign(elsewhere, [(opened_by(first), [first])], catalog).incident is None


def test_unrelated_services_stay_apart_and_time_matters() -> None:
    first = alert("WebSlow", service="web")
    around = [(opened_by(first), [first])]
    assert assign(alert("BillingDown", 1, service="billing"), around, CATALOG).incident is None
    assert assign(alert("ForecastSlow", 45, service="forecast"), around, CATALOG).incident is None


def test_the_same_name_in_two_clusters_is_two_things() -> None:
    first = alert("Slow", service="other", cluster="eu-1")
    assert (
        assign(alert("Slow", service="other", cluster="us-1"), [(opened_by(first), [first])], Catalog()).incident
        is None
    )


def test_a_joined_incident_keeps_the_earliest_start_the_worst_severity_and_shared_labels() -> None:
    first, second = alert("A", 5, service="web", pod="x"), alert("B", 0, severity="critical", service="web", pod="y")
    incident = joined(opened_by(first), second)
    assert incident.since == START
    assert incident.severity == "critical"
    assert dict(incident.labels) == {"service": "web"}
    assert incident.alerts == (first.fingerprint, second.fingerprint)


def test_alerts_about_stanch_join_each_other_and_nobody_elses_incident() -> None:
    """Nothing is done in an incident about Stanch: whoever may send alerts must not disarm another one by a name."""
    ill, ours = alert("WebSlow", service="web"), alert("StanchSlow", service="web")
    assert assign(ours, [(opened_by(ill), [ill])], CATALOG).incident is None
    assert assign(ill, [(opened_by(ours), [ours])], CATALOG).incident is None
    labelled = alert("Behind", 1, service="web", source="stanch")
    assert assign(labelled, [(opened_by(ours), [ours])], CATALOG).incident == opened_by(ours).id
    assert assign(alert("StanchionBent", 1, service="web"), [(opened_by(ill), [ill])], CATALOG).incident is not None
