"""The lab's Kubernetes API: enough of the real one's REST for kr8s, kubectl and our own client, over a ClusterWorld.

Prefix `/kubernetes/<cluster>`. Deployments can be read and patched (merge, strategic, JSON; `/scale`; `?dryRun=All`), the
rest is read: ReplicaSets, Pods and their logs, Services, Nodes, Events, HorizontalPodAutoscalers, Namespaces. Lists come as
metadata alone where that is asked for; whether one may list something is always answered with yes. Errors are Status objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.lab import kubernetes_objects as objects
from agent.lab.kubernetes_changes import Failure, changed, changes, replicas_of
from agent.lab.ports import ClusterWorld, Deployment

Document = dict[str, Any]

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64"}
# group/version → plural → (kind, short names, namespaced, verbs)
KINDS: Mapping[str, Mapping[str, tuple[str, list[str], bool, list[str]]]] = {
    "v1": {
        "namespaces": ("Namespace", ["ns"], False, ["get", "list"]),
        "pods": ("Pod", ["po"], True, ["get", "list"]),
        "services": ("Service", ["svc"], True, ["get", "list"]),
        "nodes": ("Node", ["no"], False, ["get", "list"]),
        "events": ("Event", ["ev"], True, ["get", "list"]),
    },
    "apps/v1": {
        "deployments": ("Deployment", ["deploy"], True, ["get", "list", "patch", "update"]),
        "replicasets": ("ReplicaSet", ["rs"], True, ["get", "list"]),
        "statefulsets": ("StatefulSet", ["sts"], True, ["get", "list"]),
        "controllerrevisions": ("ControllerRevision", [], True, ["get", "list"]),
    },
    "autoscaling/v2": {"horizontalpodautoscalers": ("HorizontalPodAutoscaler", ["hpa"], True, ["get", "list"])},
}


def routes(worlds: Mapping[str, ClusterWorld]) -> list[Route]:
    """The API of every cluster by name. A cluster that is not in `worlds` answers 404."""
    p = "/kubernetes/{cluster}"
    apps, ns = f"{p}/apis/apps/v1", "namespaces/{namespace}"
    pages: list[tuple[str, list[str], Callable[[ClusterWorld, Request, Any], Response]]] = [
        (f"{p}/version", ["GET"], lambda world, request, body: JSONResponse(VERSION)),
        (f"{p}/api", ["GET"], lambda world, request, body: JSONResponse({"kind": "APIVersions", "versions": ["v1"]})),
        (f"{p}/api/v1", ["GET"], _resources),
        (f"{p}/apis", ["GET"], _groups),
        (f"{p}/apis/{{group}}/{{version}}", ["GET"], _resources),
        (f"{apps}/{ns}/deployments/{{name}}/scale", ["GET"], _get_scale),
        (f"{apps}/{ns}/deployments/{{name}}/scale", ["PATCH", "PUT"], _change_scale),
        (f"{apps}/{ns}/deployments/{{name}}", ["PATCH", "PUT"], _change_deployment),
        (f"{p}/api/v1/{ns}/pods/{{name}}/log", ["GET"], _log),
        (f"{p}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", ["POST"], _may),
    ]
    pages += [(f"{path}/", methods, page) for path, methods, page in pages[:5]]  # kr8s asks for /version/ and /apis/
    for base in (f"{p}/api/{{version}}", f"{p}/apis/{{group}}/{{version}}"):
        pages += [
            (f"{base}/{ns}/{{plural}}/{{name}}", ["GET"], _get),
            (f"{base}/{ns}/{{plural}}", ["GET"], _list),
            (f"{base}/{{plural}}/{{name}}", ["GET"], _get),
            (f"{base}/{{plural}}", ["GET"], _list),
        ]
    pages.append((f"{p}/{{rest:path}}", ["GET", "POST", "PUT", "PATCH", "DELETE"], _nothing_here))
    return [Route(path, _endpoint(worlds, page), methods=methods) for path, methods, page in pages]


def _endpoint(worlds: Mapping[str, ClusterWorld], page: Callable[[ClusterWorld, Request, Any], Response]) -> Any:
    async def answer(request: Request) -> Response:
        try:
            world = worlds.get(request.path_params["cluster"])
            if world is None:
                raise Failure(404, "NotFound", f"the lab has no cluster {request.path_params['cluster']!r}")
            return page(world, request, await _body(request))
        except Failure as failure:
            return JSONResponse(failure.body, failure.code)

    return answer


async def _body(request: Request) -> Any:
    raw = await request.body()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Failure(400, "BadRequest", f"the body is not JSON: {error}") from None


def _nothing_here(world: ClusterWorld, request: Request, body: Any) -> Response:
    if request.method == "GET":
        raise Failure(404, "NotFound", "the server could not find the requested resource")
    raise Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


# discovery


def _groups(world: ClusterWorld, request: Request, body: Any) -> Response:
    named = [version.split("/") for version in KINDS if "/" in version]
    groups = [
        {"name": group, "versions": [both], "preferredVersion": both}
        for group, version in named
        for both in ({"groupVersion": f"{group}/{version}", "version": version},)
    ]
    return JSONResponse({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})


def _resources(world: ClusterWorld, request: Request, body: Any) -> Response:
    found = [
        {
            "name": plural,
            "singularName": kind.lower(),
            "namespaced": namespaced,
            "kind": kind,
            "verbs": verbs,
            "shortNames": short,
        }
        for plural, (kind, short, namespaced, verbs) in KINDS.get(_group(request), {}).items()
    ]
    if not found:
        return _nothing_here(world, request, body)
    if _group(request) == "apps/v1":
        found.append(
            {
                "name": "deployments/scale",
                "singularName": "",
                "namespaced": True,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }
        )
    return JSONResponse(
        {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": _group(request), "resources": found}
    )


def _group(request: Request) -> str:
    group, version = request.path_params.get("group", ""), request.path_params.get("version", "v1")
    return f"{group}/{version}" if group else str(version)


# reading


def _kind(request: Request) -> str:
    known = KINDS.get(_group(request), {}).get(request.path_params["plural"])
    if known is None:
        raise Failure(404, "NotFound", "the server could not find the requested resource")
    return known[0]


def _list(world: ClusterWorld, request: Request, body: Any) -> Response:
    kind, plural = _kind(request), request.path_params["plural"]
    wanted = request.path_params.get("namespace")
    by_label = _selector(request.query_params.get("labelSelector", ""))
    by_field = _selector(request.query_params.get("fieldSelector", ""))
    items = [
        one
        for one in objects.listed(world, plural)
        if (wanted is None or one["metadata"].get("namespace") == wanted)
        and by_label(lambda name, one=one: one["metadata"].get("labels", {}).get(name))  # type: ignore[misc]
        and by_field(lambda name, one=one: _field(one, name))  # type: ignore[misc]
    ]
    version = max((int(one["metadata"]["resourceVersion"]) for one in items), default=1)
    shown = {"kind": f"{kind}List", "apiVersion": _group(request), "metadata": {"resourceVersion": str(version)}}
    if "as=PartialObjectMetadataList" in request.headers.get("accept", ""):
        shown |= {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        items = [{"metadata": one["metadata"]} for one in items]
    return JSONResponse({**shown, "items": items})


def _may(world: ClusterWorld, request: Request, body: Any) -> Response:
    return JSONResponse({**(body or {}), "status": {"allowed": True}}, 201)


def _get(world: ClusterWorld, request: Request, body: Any) -> Response:
    _kind(request)
    params = request.path_params
    for one in objects.listed(world, params["plural"]):
        meta = one["metadata"]
        if meta["name"] == params["name"] and meta.get("namespace") == params.get("namespace"):
            return JSONResponse(one)
    raise _not_found(_group(request), params["plural"], params["name"])


def _not_found(group: str, plural: str, name: str) -> Failure:
    qualified = f"{plural}.{group.split('/')[0]}" if "/" in group else plural
    details = {"name": name, "kind": plural, **({"group": group.split("/")[0]} if "/" in group else {})}
    return Failure(404, "NotFound", f'{qualified} "{name}" not found', details)


def _field(one: Document, name: str) -> str | None:
    value: Any = one
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value if value is None else str(value)


_TERM = re.compile(r"^(!?)([\w./-]+)\s*(?:(==|=|!=)\s*([^,]*)|\s(in|notin)\s*\(([^)]*)\))?$")


def _selector(text: str) -> Callable[[Callable[[str], str | None]], bool]:
    """`a=b,c!=d,e in (x,y),f,!g` as a test over a look-up; Failure 400 for anything else."""
    terms = [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    parsed = [_TERM.match(term) for term in terms]
    if wrong := next((term for term, match in zip(terms, parsed, strict=True) if match is None), None):
        raise Failure(400, "BadRequest", f"unable to parse requirement: {wrong}")
    matches = [match.groups() for match in parsed if match]
    return lambda look: all(_term_holds(groups, look) for groups in matches)


def _term_holds(groups: Sequence[str | None], look: Callable[[str], str | None]) -> bool:
    absent, name, operator, value, among, values = groups
    found = look(name or "")
    if operator:
        return (found == value) is (operator != "!=")
    if among:
        return (found in [v.strip() for v in (values or "").split(",")]) is (among == "in")
    return (found is None) is bool(absent)


def _log(world: ClusterWorld, request: Request, body: Any) -> Response:
    params, query = request.path_params, request.query_params
    known = {(d.namespace, pod.name): d for d in world.deployments() for pod in d.pods}
    d = known.get((params["namespace"], params["name"]))
    if d is None:
        raise _not_found("v1", "pods", params["name"])
    if (container := query.get("container")) not in (None, "", d.name):
        raise Failure(400, "BadRequest", f"container {container} is not valid for pod {params['name']}")
    if query.get("previous") == "true":
        raise Failure(
            400, "BadRequest", f'previous terminated container "{d.name}" in pod "{params["name"]}" not found'
        )
    limit = _whole(query.get("tailLines"), "tailLines") if query.get("tailLines") else 10_000
    lines = world.logs(d.namespace, params["name"], _since(world, query), limit)
    stamped = query.get("timestamps") == "true"
    text = "".join(f"{_nanos(at)} {line}\n" if stamped else f"{line}\n" for at, line in lines[-limit:] if limit)
    if size := query.get("limitBytes"):
        text = text.encode()[: _whole(size, "limitBytes")].decode(errors="ignore")
    return PlainTextResponse(text)


def _since(world: ClusterWorld, query: Mapping[str, str]) -> int:
    if seconds := query.get("sinceSeconds"):
        return world.now_ms() - 1000 * _whole(seconds, "sinceSeconds")
    if text := query.get("sinceTime"):
        try:
            return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
        except ValueError:
            raise Failure(400, "BadRequest", f"sinceTime {text!r} is not RFC 3339") from None
    return 0


def _nanos(ms: int) -> str:
    return objects.stamp(ms).replace("Z", f".{ms % 1000:03d}000000Z")


def _whole(text: str | None, name: str) -> int:
    if text is None or not text.isdigit():
        raise Failure(400, "BadRequest", f"{name} {text!r} is not a number of at least 0")
    return int(text)


# changing


def _deployment(world: ClusterWorld, request: Request) -> Deployment:
    params = request.path_params
    for d in world.deployments():
        if (d.namespace, d.name) == (params["namespace"], params["name"]):
            return d
    raise _not_found("apps/v1", "deployments", params["name"])


def _get_scale(world: ClusterWorld, request: Request, body: Any) -> Response:
    return JSONResponse(objects.scale(_deployment(world, request)))


def _change_scale(world: ClusterWorld, request: Request, body: Any) -> Response:
    d = _deployment(world, request)
    after = changed(request.method, _content_type(request), objects.scale(d), body, d)
    replicas = replicas_of(after, d)
    if not _dry(request) and replicas != d.replicas:
        d = world.change_deployment(d.namespace, d.name, {"replicas": replicas})
    return JSONResponse({**objects.scale(d), "spec": {"replicas": replicas}})


def _change_deployment(world: ClusterWorld, request: Request, body: Any) -> Response:
    d = _deployment(world, request)
    before = objects.deployment(d)
    after = changed(request.method, _content_type(request), before, body, d)
    wanted = changes(before, after, d)
    if wanted and not _dry(request):
        return JSONResponse(objects.deployment(world.change_deployment(d.namespace, d.name, wanted)))
    if wanted.keys() & {"replicas", "template"}:
        after["metadata"]["generation"] = d.generation + 1
    return JSONResponse({**after, "status": before["status"]})


def _dry(request: Request) -> bool:
    wanted = request.query_params.getlist("dryRun")
    if wanted not in ([], ["All"]):
        raise Failure(422, "Invalid", f"dryRun: Unsupported value: {wanted}: supported values: All")
    return bool(wanted)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip()
