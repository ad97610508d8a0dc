"""Every kind of backend, listed once. Settings, `doctor`, "not checked", `init` and the README's table follow from it.

A package may bring a kind of its own: a BackendKind under the entry-point group `stanch.backends`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

from tools.errors import ToolError, ToolFailed

if TYPE_CHECKING:  # the settings read this list, also where nothing goes over a network
    from tools.context import Backend, Context, Json

SERVICE_LABELS = ("service", "app", "app_kubernetes_io_name", "job")  # what a series may call its service by
MOST_VALUES = 500  # of one label
MODELS = "/api/2.0/mlflow/registered-models/search"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a platform says of itself, for a first catalog. `deployments` as kube-state-metrics labels them."""

    targets: Sequence[Mapping[str, str]] = ()  # label sets of scrape targets
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)  # label name → values
    deployments: Sequence[Mapping[str, str]] = ()
    rules: Sequence[Mapping[str, Any]] = ()  # alerting rules: name, labels
    models: Sequence[Mapping[str, Any]] = ()  # registered models: name, aliases
    cluster: str = ""  # external label or configured; "" = unknown

    def plus(self, more: Seen) -> Seen:
        """Both together; of two clusters the first."""
        services = {
            name: sorted({*self.services.get(name, ()), *more.services.get(name, ())})
            for name in {**self.services, **more.services}
        }
        lists = {
            one.name: [*getattr(self, one.name), *getattr(more, one.name)]
            for one in fields(self)
            if one.name not in ("services", "cluster")
        }
        return Seen(services=services, cluster=self.cluster or more.cluster, **lists)


@dataclass(frozen=True, slots=True)
class BackendKind:
    """One kind of server. `kind` is its name in settings, in `needs` of a tool and in messages: `[a-z][a-z0-9_]*`."""

    kind: str
    title: str  # the product, for people
    health: Callable[[Backend], Awaitable[str]]  # what answers there, in a few words; ToolFailed when it does not work
    shows: str = ""  # what is not checked where none is configured; "" = another kind shows it too
    about_models: bool = False  # matters only where a model is concerned
    address: Literal["url", "kubeconfig"] = "url"  # the setting that says where it is
    folders: bool = False  # a folder of files may stand in the place of an address
    discover: Callable[[Context], Awaitable[Seen]] | None = None  # what it tells `init`; asked only where configured

    @property
    def url_variable(self) -> str:
        return f"STANCH_{self.kind.upper()}_URL"

    @property
    def token_variable(self) -> str:
        return f"STANCH_{self.kind.upper()}_TOKEN"

    @property
    def variable(self) -> str:
        """The environment variable by which one is configured."""
        return self.url_variable if self.address == "url" else f"STANCH_{self.address.upper()}"


def installed() -> tuple[BackendKind, ...]:
    """The shipped kinds and those that other packages bring; a shipped kind is replaced by none of the same name."""
    return _installed(tuple(sys.path))


@lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> tuple[BackendKind, ...]:
    """By the path on which packages lie: reading what all of them bring takes 20 ms."""
    brought = [entry.load() for entry in entry_points(group="stanch.backends")]
    return tuple({one.kind: one for one in (*BACKENDS, *brought, *BACKENDS)}.values())


async def health(backend: Backend) -> str:
    """One line about a backend that works; ToolFailed says what is wrong with one that does not."""
    (kind,) = (one for one in installed() if one.kind == backend.kind)
    return f"{await kind.health(backend)} at {backend.url or backend.kubeconfig}"


async def survey(context: Context) -> Seen:
    """What all configured backends say of the platform. Unreachable and ToolFailed are raised."""
    found = Seen()
    for kind in installed():
        if kind.discover and context.backends.has(kind.kind):
            found = found.plus(await kind.discover(context))
    return found


# -- health -----------------------------------------------------------------------------------------------------------


def answering(path: str, words: Callable[[Json], str]) -> Callable[[Backend], Awaitable[str]]:
    """A health check by one GET of JSON."""

    async def health(backend: Backend) -> str:
        from tools.fetch import fetch_json

        status, body = await fetch_json(backend, path, what="a first question")
        if status >= 400:
            raise ToolFailed(f"{backend.kind} at {backend.url} answers HTTP {status}. Is this the right address?")
        return words(body)

    return health


async def _kubernetes_health(backend: Backend) -> str:
    from tools.kubernetes.client import connect

    version = await (await connect(backend)).get("/version")
    return f"Kubernetes {version.get('gitVersion', '')}"


# -- what they say of the platform ------------------------------------------------------------------------------------


async def _by_prometheus(context: Context) -> Seen:
    prometheus = context.backends.pick("prometheus")
    targets = await _data(prometheus, "/api/v1/targets", state="active")
    groups = await _data(prometheus, "/api/v1/rules", type="alert")
    deployments = await _data(prometheus, "/api/v1/query", query="kube_deployment_spec_replicas")
    values = {name: (await _data(prometheus, f"/api/v1/label/{name}/values"))[:MOST_VALUES] for name in SERVICE_LABELS}
    clusters = await _data(prometheus, "/api/v1/label/cluster/values")
    return Seen(
        targets=[dict(t.get("labels", {})) for t in targets.get("activeTargets", [])],
        services=values,
        deployments=[dict(one["metric"]) for one in deployments.get("result", [])],
        rules=[
            {"name": rule.get("name", ""), "labels": dict(rule.get("labels", {}))}
            for group in groups.get("groups", [])
            for rule in group.get("rules", [])
            if rule.get("type") == "alerting"
        ],
        cluster=str(clusters[0]) if len(clusters) == 1 else "",
    )


async def _data(backend: Backend, path: str, **params: str) -> Any:
    from tools.fetch import fetch_json

    status, body = await fetch_json(backend, path, params, what=path)
    if status >= 400 or not isinstance(body, Mapping) or "data" not in body:
        raise ToolFailed(f"{backend.url}{path} answered HTTP {status}. Is this the address of a Prometheus?")
    return body["data"]


async def _by_kubernetes(context: Context) -> Seen:
    """As kube-state-metrics would name them, from each configured cluster itself, with the labels they carry."""
    from tools.kubernetes.client import connect

    found = []
    for backend in context.backends.of("kubernetes"):
        for one in await (await connect(backend)).list("/apis/apps/v1/deployments"):
            about = one["metadata"]
            named = {"deployment": about["name"], "namespace": about.get("namespace", "")}
            found.append({**(about.get("labels") or {}), **named, "cluster": backend.match.get("cluster", "")})
    return Seen(deployments=found)


async def _by_mlflow(context: Context) -> Seen:
    from tools.fetch import fetch_json

    try:
        _, body = await fetch_json(context.backends.of("mlflow")[0], MODELS)
    except ToolError:  # a catalog without models is better than none
        return Seen()
    models = body.get("registered_models", [])
    return Seen(models=[{"name": m["name"], "aliases": [a["alias"] for a in m.get("aliases", [])]} for m in models])


BACKENDS = (
    BackendKind(
        "prometheus",
        "Prometheus",
        answering("/api/v1/status/buildinfo", lambda body: f"Prometheus {body.get('data', {}).get('version', '')}"),
        shows="metrics",
        discover=_by_prometheus,
    ),
    BackendKind(
        "alertmanager",
        "Alertmanager",
        answering("/api/v2/status", lambda body: f"Alertmanager {body.get('versionInfo', {}).get('version', '')}"),
    ),
    BackendKind(
        "mlflow",
        "MLflow",
        answering(
            MODELS, lambda body: f"MLflow with {len(body.get('registered_models', []))} registered models (first page)"
        ),
        shows="the model registry",
        about_models=True,
        discover=_by_mlflow,
    ),
    BackendKind("loki", "Loki", answering("/loki/api/v1/labels", lambda _: "Loki"), shows="logs"),
    BackendKind(
        "drift",
        "drift reports",
        answering("", lambda _: "a list of drift reports"),
        shows="drift reports",
        about_models=True,
        folders=True,
    ),
    BackendKind(
        "kubernetes",
        "Kubernetes",
        _kubernetes_health,
        shows="workloads and their events",
        address="kubeconfig",
        discover=_by_kubernetes,
    ),
)
