"""Discovering the platform: every Kubernetes and every Prometheus that is configured is asked at once and within limits, and
what they tell is joined with the catalog. A backend that does not answer makes the map smaller and is named in it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

from agent.domain.moves import NotChecked
from agent.errors import ToolError
from agent.platform.edges import CATALOG, Edge, EdgeKind, Part, title_of
from agent.platform.map_of_kubernetes import map_of_kubernetes
from agent.platform.map_of_metrics import map_of_metrics
from agent.platform.platform_map import PlatformMap, joined
from tools.context import Backend, Catalog, Context, Service, Subject

PATIENCE_S = 60.0  # with one backend


async def discover(context: Context, patience_s: float = PATIENCE_S) -> PlatformMap:
    """The platform as of the context's time. It raises nothing: who could not be asked stands under `unseen`."""
    asked: list[tuple[Backend, Coroutine[Any, Any, Part]]] = []
    parts = [map_of_catalog(context.catalog)]
    for backend in context.backends.of("kubernetes"):
        if context.live:
            asked.append((backend, map_of_kubernetes(backend)))
        else:
            why = "Kubernetes tells of the present only, and the map is of an earlier time"
            parts.append(Part(unseen=(NotChecked(title_of(backend), why),)))
    for backend in context.backends.of("prometheus"):
        asked.append((backend, map_of_metrics(backend, context.as_of, context.catalog)))
    for kind in ("kubernetes", "prometheus"):
        if not context.backends.has(kind):
            parts.append(Part(unseen=(NotChecked(kind.capitalize(), "none is configured; `stanch init` says how"),)))
    parts += await asyncio.gather(*(_within(patience_s, backend, part) for backend, part in asked))
    return await asyncio.to_thread(joined, parts, context.as_of)


async def _within(patience_s: float, backend: Backend, part: Coroutine[Any, Any, Part]) -> Part:
    what = title_of(backend)
    try:
        async with asyncio.timeout(patience_s):
            return await part
    except TimeoutError:
        return Part(unseen=(NotChecked(what, f"it did not tell all within {patience_s:g} s"),))
    except ToolError as error:
        return Part(unseen=(NotChecked(what, str(error)),))


def map_of_catalog(catalog: Catalog) -> Part:
    """What people say: services, what they run as, what they need, and the models they serve."""
    nodes: dict[Subject, str] = {}
    edges: list[Edge] = []
    placed = {service.name: _placed(service) for service in catalog.services()}
    for service in catalog.services():
        for subject in placed[service.name]:
            nodes[subject] = CATALOG
            for load in service.workloads:
                if load.cluster == subject.cluster:
                    workload = Subject(load.kind, load.cluster, load.namespace, load.name)
                    nodes[workload] = CATALOG
                    edges.append(Edge(subject, workload, EdgeKind.SELECTS, CATALOG))
            for needed in service.depends_on:
                callees = placed.get(needed, ())
                here = [one for one in callees if one.cluster == subject.cluster]
                edges += [Edge(subject, one, EdgeKind.CALLS, CATALOG) for one in here or callees]
            if service.serves_model:
                edges.append(Edge(subject, _model(service.serves_model), EdgeKind.SERVES, CATALOG))
    for model in catalog.models():
        nodes[_model(model.name)] = CATALOG
        edges += [Edge(one, _model(model.name), EdgeKind.SERVES, CATALOG) for one in placed.get(model.served_by, ())]
        for source in model.features_from:
            edges += [Edge(_model(model.name), one, EdgeKind.READS, CATALOG) for one in placed.get(source, ())]
    return Part(nodes, tuple(dict.fromkeys(edges)))


def _placed(service: Service) -> tuple[Subject, ...]:
    """A catalog's service in each cluster that it runs in; without a place where it names no workload."""
    spaces: dict[str, set[str]] = defaultdict(set)
    for load in service.workloads:
        spaces[load.cluster].add(load.namespace)
    return tuple(
        Subject("Service", cluster, next(iter(found)) if len(found) == 1 else "", service.name)
        for cluster, found in (spaces or {"": set[str]()}).items()
    )


def _model(name: str) -> Subject:
    return Subject("Model", "", "", name)
