"""The lab's platform as a catalog file and a kubeconfig, for the product's own readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from agent.lab.scenario import Scenario
from agent.lab.world.learning import BATCH_HOUR
from agent.lab.world.platform import ALIAS, MODEL, SERVICES, ServiceSpec
from agent.lab.world.simulation import SECOND_CLUSTER

# Kind of backend → where the lab shows it. Kubernetes has one place a cluster, `kubernetes/NAME`.
FACES = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "mlflow": "mlflow",
    "loki": "loki",
    "drift": "reports",
}
PEOPLE = {"ann": ["ml-platform", "data"], "mira": ["web", "shop"], "tom": ["payments", "storage", "supply"]}


def text(scenario: Scenario, url: str, os_user: str, person: str = "ann") -> str:
    """catalog.yaml: services, the model, and people. `os_user` is mapped to `person`, who is on call."""
    people: dict[str, dict[str, str]] = {name: {} for name in sorted({*PEOPLE, person})}
    people[person] = {"os_user": os_user}
    groups: dict[str, list[str]] = {"on-call": [person]}
    for name, teams in PEOPLE.items():
        for team in teams:
            groups.setdefault(team, []).append(name)
    data = {
        "services": {spec.name: _service(spec, scenario.clusters) for spec in SERVICES},
        "models": {MODEL: _model(url)},
        "people": people,
        "groups": groups,
    }
    return f"# The lab's platform. Batch features are written at {BATCH_HOUR:02}:00 UTC.\n" + yaml.safe_dump(
        data, sort_keys=False
    )


def _service(spec: ServiceSpec, clusters: Sequence[str]) -> dict[str, Any]:
    here = [c for place, c in enumerate(clusters) if place == 0 or spec.name in SECOND_CLUSTER]
    found: dict[str, Any] = {
        "match": {"service": spec.name},
        "workloads": [
            {"name": spec.deployment, "namespace": spec.namespace, "cluster": c, "kind": "Deployment"} for c in here
        ],
        "environment": "production",
        "owner": spec.owner,
        "traffic": f'sum(rate(http_requests_total{{service="{spec.name}"}}[5m]))',
    }
    if spec.depends_on:
        found["depends_on"] = list(spec.depends_on)
    if spec.name == MODEL:
        found["serves_model"] = MODEL
    return found


def _model(url: str) -> dict[str, Any]:
    return {
        "registry_name": MODEL,
        "alias": ALIAS,
        "served_by": MODEL,
        "features_from": ["feature-pipeline"],
        "owner": "ml-platform",
        "served_version": f'count by (version) (model_served_version_info{{model="{MODEL}"}})',
        "quality": f'model_prediction_error_ratio{{model="{MODEL}",metric="wape"}}',
        "labels_complete_until": f'model_labels_complete_until_seconds{{model="{MODEL}"}}',
        "freshness": f'feature_last_updated_seconds{{model="{MODEL}"}}',
        "freshness_limit": "PT26H",
        "drift_source": f"{url}/reports/",
    }


def kubeconfig(clusters: Sequence[str], url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": clusters[0],
        "preferences": {},
        "clusters": [{"name": c, "cluster": {"server": f"{url}/kubernetes/{c}"}} for c in clusters],
        "users": [{"name": "lab", "user": {"token": "lab"}}],
        "contexts": [{"name": c, "context": {"cluster": c, "user": "lab", "namespace": "default"}} for c in clusters],
    }


def configuration(clusters: Sequence[str], url: str) -> dict[str, str]:
    """stanch.yaml and policy.yaml of an application that works on this platform."""
    backends: dict[str, Any] = {kind: [{"name": kind, "url": f"{url}/{path}"}] for kind, path in FACES.items()}
    backends["kubernetes"] = [
        {"name": c, "url": f"{url}/kubernetes/{c}", "match": {"cluster": c}, "kubeconfig": "kubeconfig", "context": c}
        for c in clusters
    ]
    head = "# The lab's platform: everything here is simulated.\n"
    policy = {"approvers": ["on-call"], "rules": [{"name": "ask for everything", "action": "*", "verdict": "ask"}]}
    stanch = {
        "catalog": "catalog.yaml",
        "policy": "policy.yaml",
        "backends": backends,
        "retraining_url": f"{url}/retraining",
    }
    return {
        name: head + yaml.safe_dump(data, sort_keys=False)
        for name, data in (("stanch.yaml", stanch), ("policy.yaml", policy))
    }
