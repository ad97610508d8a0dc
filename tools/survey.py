"""What a platform says of itself: scrape targets, label values, deployments, rules and registered models.

Prometheus is asked for all it knows, Kubernetes and MLflow where they are configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.context import Backend, Context, Json
from tools.errors import ToolError, ToolFailed
from tools.fetch import fetch_json

LABELS = ("service", "app", "app_kubernetes_io_name", "job")
MOST = 500  # values of one label that are taken


async def survey(context: Context) -> dict[str, Any]:
    """`{targets, services, deployments, rules, models, cluster}`; what is not configured is empty. Unreachable is raised."""
    prometheus = context.backends.pick("prometheus")
    targets = await _data(prometheus, "/api/v1/targets", state="active")
    groups = await _data(prometheus, "/api/v1/rules", type="alert")
    deployments = await _data(prometheus, "/api/v1/query", query="kube_deployment_spec_replicas")
    values = {name: (await _data(prometheus, f"/api/v1/label/{name}/values"))[:MOST] for name in LABELS}
    return {
        "targets": [dict(t.get("labels", {})) for t in targets.get("activeTargets", [])],
        "services": values,
        "deployments": [*(dict(one["metric"]) for one in deployments.get("result", [])), *await _deployments(context)],
        "rules": [
            {"name": rule.get("name", ""), "labels": dict(rule.get("labels", {}))}
            for group in groups.get("groups", [])
            for rule in group.get("rules", [])
            if rule.get("type") == "alerting"
        ],
        "models": await _models(context),
        "cluster": await _cluster(prometheus),
    }


async def _data(backend: Backend, path: str, **params: str) -> Any:
    status, body = await fetch_json(backend, path, params, what=path)
    if status >= 400 or not isinstance(body, Mapping) or "data" not in body:
        raise ToolFailed(f"{backend.url}{path} answered HTTP {status}. Is this the address of a Prometheus?")
    return body["data"]


async def _cluster(backend: Backend) -> str:
    """The external label `cluster` or the one value of the label, if there is exactly one."""
    values = await _data(backend, "/api/v1/label/cluster/values")
    return str(values[0]) if len(values) == 1 else ""


async def _deployments(context: Context) -> list[dict[str, str]]:
    """As kube-state-metrics would name them, from each configured cluster itself, with the labels they carry."""
    found = []
    for backend in context.backends.of("kubernetes"):
        from tools.kubernetes import connect

        cluster = await connect(backend)
        for one in await cluster.list("/apis/apps/v1/deployments"):
            about = one["metadata"]
            named = {"deployment": about["name"], "namespace": about.get("namespace", "")}
            found.append({**(about.get("labels") or {}), **named, "cluster": backend.match.get("cluster", "")})
    return found


async def _models(context: Context) -> list[dict[str, Json]]:
    if not context.backends.has("mlflow"):
        return []
    try:
        _, body = await fetch_json(context.backends.of("mlflow")[0], "/api/2.0/mlflow/registered-models/search")
    except ToolError:
        return []
    return [
        {"name": m["name"], "aliases": [a["alias"] for a in m.get("aliases", [])]}
        for m in body.get("registered_models", [])
    ]
