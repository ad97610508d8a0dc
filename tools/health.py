"""Whether a backend answers, and as what: one request each, for `stanch doctor`."""

from __future__ import annotations

from tools.context import Backend, Json
from tools.errors import ToolFailed
from tools.fetch import fetch_json

_PATHS = {
    "prometheus": "/api/v1/status/buildinfo",
    "alertmanager": "/api/v2/status",
    "mlflow": "/api/2.0/mlflow/registered-models/search",
    "loki": "/loki/api/v1/labels",
    "drift": "",
}


async def health(backend: Backend) -> str:
    """One line about a backend that works; ToolFailed says what is wrong with one that does not."""
    if backend.kind == "kubernetes":
        from tools.kubernetes import connect

        version = await (await connect(backend)).get("/version")
        return f"Kubernetes {version.get('gitVersion', '')} at {backend.url or backend.kubeconfig}"
    status, body = await fetch_json(backend, _PATHS[backend.kind], what="a first question")
    if status >= 400:
        raise ToolFailed(f"{backend.kind} at {backend.url} answers HTTP {status}. Is this the right address?")
    return f"{_says(backend.kind, body)} at {backend.url}"


def _says(kind: str, body: Json) -> str:
    if kind == "prometheus":
        return f"Prometheus {body.get('data', {}).get('version', '')}"
    if kind == "alertmanager":
        return f"Alertmanager {body.get('versionInfo', {}).get('version', '')}"
    if kind == "mlflow":
        return f"MLflow with {len(body.get('registered_models', []))} registered models (first page)"
    return {"loki": "Loki", "drift": "a list of drift reports"}[kind]
