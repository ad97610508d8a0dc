"""A Kubernetes API server over plain objects: lists in pages, objects, logs, metadata alone, and what an account may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.serving import served
from tools.context import Backend
from tools.kubernetes.client import disconnect

Document = dict[str, Any]


def thing(name: str, namespace: str = "", **more: Any) -> Document:
    """An object; `labels`, `annotations`, `owner` (`Kind/name`) go into its metadata, the rest beside that."""
    metadata: Document = {"name": name, "resourceVersion": more.pop("version", "1")}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {key: more.pop(key) for key in ("labels", "annotations") if key in more}
    if owner := more.pop("owner", None):
        kind, _, owner_name = owner.partition("/")
        metadata["ownerReferences"] = [{"kind": kind, "name": owner_name, "uid": owner_name, "controller": True}]
    return {"metadata": metadata, **more}


@dataclass
class FakeApi:
    """`objects` by plural. `only_in`: the namespaces in which a resource may be listed; one that is not in it may be
    everywhere. `logs`: (pod, container, whether of the run before) → text, or the status that answers instead. `seen` is
    every request: method, path, Accept."""

    objects: Mapping[str, Sequence[Document]]
    only_in: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)  # optional API groups → plurals
    logs: Mapping[tuple[str, str, bool], str | int] = field(default_factory=dict)
    page: int = 500
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def may(self, plural: str, namespace: str) -> bool:
        return plural not in self.only_in or namespace in self.only_in[plural]

    async def answer(self, request: Request) -> Response:
        path = request.url.path.strip("/")
        self.seen.append((request.method, path, request.headers.get("accept", "")))
        parts = path.split("/")
        if path == "version":
            return JSONResponse({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        if path == "apis":
            return JSONResponse({"groups": [{"name": name, "versions": []} for name in self.groups]})
        if path.endswith("selfsubjectaccessreviews"):
            asked = (await request.json())["spec"]["resourceAttributes"]
            allowed = self.may(asked["resource"], asked["namespace"])
            return JSONResponse({"status": {"allowed": allowed}}, 201)
        if parts[0] == "apis" and len(parts) == 3:
            return JSONResponse({"resources": [{"name": one} for one in self.groups.get(parts[1], ())]})
        inside = parts[parts.index("namespaces") + 1 :] if "namespaces" in parts else []
        if parts[-1] == "log":
            return self._log(request, inside)
        if inside and len(inside) != 2:
            return self._get("namespaces" if len(inside) == 1 else inside[1], inside)
        if not inside and len(parts) > 3 and parts[-2] in self.objects:
            return self._get(parts[-2], ["", parts[-1]])
        return self._list(request, parts[-1], inside[0] if inside else "")

    def _get(self, plural: str, inside: Sequence[str]) -> Response:
        if not self.may(plural, "" if plural == "namespaces" else inside[0]):
            return JSONResponse({"message": f"{plural} is forbidden"}, 403)
        found = [one for one in self.objects.get(plural, ()) if one["metadata"]["name"] == inside[-1]]
        return JSONResponse(found[0]) if found else JSONResponse({"message": f"{inside[-1]} not found"}, 404)

    def _log(self, request: Request, inside: Sequence[str]) -> Response:
        if not self.may("pods/log", inside[0]):
            return JSONResponse({"message": "pods/log is forbidden"}, 403)
        before = request.query_params.get("previous") == "true"
        told = self.logs.get((inside[2], request.query_params["container"], before), 404)
        return PlainTextResponse(told) if isinstance(told, str) else JSONResponse({"message": "no log"}, told)

    def _list(self, request: Request, plural: str, namespace: str) -> Response:
        if plural not in self.objects:
            return JSONResponse({"message": "the server could not find the requested resource"}, 404)
        if not self.may(plural, namespace):
            return JSONResponse({"message": f"{plural} is forbidden"}, 403)
        found = [one for one in self.objects[plural] if namespace in ("", one["metadata"].get("namespace"))]
        chosen = request.query_params.get("fieldSelector", "")
        for field_path, value in (one.split("=") for one in chosen.split(",") if one and "!" not in one):
            found = [one for one in found if _at(one, field_path) == value]
        begin = int(request.query_params.get("continue", 0))
        size = min(self.page, int(request.query_params["limit"]))
        items = found[begin : begin + size]
        if "PartialObjectMetadataList" in request.headers.get("accept", ""):
            items = [{"metadata": one["metadata"]} for one in items]
        more = {"continue": str(begin + size)} if begin + size < len(found) else {}
        return JSONResponse({"metadata": more, "items": items})


def _at(one: Document, path: str) -> Any:
    found: Any = one
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


@asynccontextmanager
async def api_server(api: FakeApi, cluster: str = "eu") -> AsyncIterator[Backend]:
    """A backend whose API server this is, signed in through the real kr8s."""
    app = Starlette(routes=[Route("/{path:path}", api.answer, methods=["GET", "POST"])])
    async with served(app) as url, httpx.AsyncClient(timeout=10) as http:
        backend = Backend(
            "kubernetes", cluster or "kubernetes", url, http, match={"cluster": cluster} if cluster else {}
        )
        yield backend
        await disconnect(backend)
