"""Kubernetes as tools see it: one connection per backend, and every way it can fail as an error that says what to do.

kr8s finds the server and signs us in (kubeconfig, client certificates, exec plug-ins, service account); we speak plain REST
through it, because it knows no dry run and no precondition. It takes 1.4 s to import, so that happens on first use.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import httpx
import yaml

from tools.context import Backend, Context, Json, Workload
from tools.errors import NotConfigured, Refused, TargetUnclear, ToolFailed, Unreachable
from tools.formatting import clean

PLURALS: Mapping[str, str] = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
KEY = "stanch.dev/key"  # annotation: the key of the execution that last changed this object
MOST_ITEMS, PAGE = 2000, 500

_JSON_PATCH = {"content-type": "application/json-patch+json"}
_METADATA_ONLY = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=1"}
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_FACTORS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "u": 1e-6, "n": 1e-9}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([KMGTPE]i|[numkMGTPE]?)$")
# Of what type the API says is what stands under the names we read; anything else is refused at the door.
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("metadata", "spec", "template", "annotations", "labels"), dict),
    **dict.fromkeys(("items", "containers", "conditions", "ownerReferences", "containerStatuses"), list),
    **dict.fromkeys(("replicas", "generation"), int),
    **dict.fromkeys(("name", "namespace", "uid", "resourceVersion"), str),
}


class _Api(Protocol):
    """What we use of kr8s' Api."""

    timeout: Any
    auth: Any
    namespace: str  # of the context that is used

    def call_api(self, method: str, **how: Any) -> Any: ...
    async def reauthenticate(self) -> None: ...


class NotSent(Unreachable):
    """No connection came about: the request certainly did not arrive."""


class Forbidden(ToolFailed):
    """The server knows who asks, and that it may not."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster we are connected to. Paths are as in the API's own documentation, from `/api` or `/apis` on."""

    backend: Backend
    api: _Api

    async def get(self, path: str, **params: str) -> Json:
        """The object at a path, None where there is none. Raises Unreachable, ToolFailed."""
        response = await self._ask("GET", path, params=params)
        if response.status_code == 404:
            return None
        return _json(_expect_success(response, self.backend, f"GET {path}"), self.backend, path)

    async def text(self, path: str, **params: str) -> tuple[str | None, str]:
        """A text such as a log and ""; or None and what the server says why there is none. Raises Unreachable."""
        response = await self._ask("GET", path, params=params)
        return (response.text, "") if response.is_success else (None, _why(response, self.backend, f"GET {path}"))

    async def pages(
        self, path: str, params: Mapping[str, str], *, metadata_only: bool = False
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The items of a list, PAGE at a time; nothing where the server does not know the kind. `metadata_only` asks for
        names, labels and owners and for nothing that an object holds."""
        found = await self.page(path, params, metadata_only=metadata_only)
        while found is not None:
            yield found[0]
            found = await self.page(path, params, found[1], metadata_only=metadata_only) if found[1] else None

    async def page(
        self, path: str, params: Mapping[str, str], after: str = "", *, metadata_only: bool = False
    ) -> tuple[list[dict[str, Any]], str] | None:
        """One page of a list and what to ask the next one `after` ("" for the last); None where the server does not know
        the kind."""
        asked = {"limit": str(PAGE), **params, **({"continue": after} if after else {})}
        response = await self._ask("GET", path, params=asked, headers=_METADATA_ONLY if metadata_only else {})
        if response.status_code == 404:
            return None
        page = _json(_expect_success(response, self.backend, f"GET {path}"), self.backend, path)
        found = page.get("items") if isinstance(page, dict) else None
        if not isinstance(found, list):
            raise ToolFailed(f"{self._at} answered GET {path} with something that is no list of objects.")
        return [one for one in found if isinstance(one, dict)], str((page.get("metadata") or {}).get("continue") or "")

    async def list(self, path: str, **params: str) -> list[dict[str, Any]]:
        """The items of a list, at most MOST_ITEMS; [] where the server does not know the kind."""
        items: list[dict[str, Any]] = []
        async for page in self.pages(path, params):
            items += page
            if len(items) >= MOST_ITEMS:
                break
        return items

    async def may_list(self, group: str, resource: str, namespace: str = "") -> bool | None:
        """Whether the account may list a resource in a namespace, or in all of them (""); None where the server does not
        say. It is a question: nothing is changed by it."""
        wanted = {"verb": "list", "group": group, "resource": resource, "namespace": namespace}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        body = json.dumps({**review, "spec": {"resourceAttributes": wanted}})
        response = await self._ask("POST", _ACCESS_REVIEWS, content=body, headers={"content-type": "application/json"})
        if not response.is_success:
            return None
        answer = _json(response, self.backend, _ACCESS_REVIEWS)
        status = answer.get("status") if isinstance(answer, dict) else None
        return bool(status.get("allowed")) if isinstance(status, dict) else None

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context."""
        return self.api.namespace or "default"

    async def patch(self, path: str, operations: Sequence[Mapping[str, Json]], *, dry_run: bool = False) -> Json:
        """One JSON patch, all or nothing. Refused = it certainly was not done; any other error: it may have been."""
        how: dict[str, Any] = {"content": json.dumps(list(operations)), "headers": _JSON_PATCH}
        if dry_run:
            how["params"] = {"dryRun": "All"}
        try:
            response = await self._ask("PATCH", path, **how)
        except NotSent as error:
            raise Refused(str(error)) from None
        status = response.status_code
        if 400 <= status < 500 and status != 408:
            raise Refused(_why(response, self.backend, f"PATCH {path}"))
        return _json(_expect_success(response, self.backend, f"PATCH {path}"), self.backend, path)

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        response = await self._call(method, path, **how)
        if response.status_code == 401:  # a token may have run out
            await self._sign_in_again()
            response = await self._call(method, path, **how)
        return response

    async def _call(self, method: str, path: str, **how: Any) -> httpx.Response:
        from kr8s import APITimeoutError

        base, _, url = path.lstrip("/").partition("/")
        headers = dict(how.pop("headers", {}))
        if self.api.auth.token:  # kr8s' session keeps the token of its first sign-in
            headers["authorization"] = f"Bearer {self.api.auth.token}"
        where = {"version": "", "base": f"/{base}", "url": url, "raise_for_status": False, "headers": headers}
        where["follow_redirects"] = False  # another server's answer would not be about what was sent
        try:
            async with self.api.call_api(method, **where, **how) as response:
                answered: httpx.Response = response
                return answered
        except (APITimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise _no_answer(error, f"{self._at} did not answer {method} {path}") from None

    async def _sign_in_again(self) -> None:
        """Fresh credentials. Left to itself kr8s closes its session for that, and with it what others have under way."""
        try:
            await self.api.reauthenticate()
        except _SIGN_IN_ERRORS as error:
            raise _no_sign_in(self.backend, error) from None

    @property
    def _at(self) -> str:
        return _name(self.backend)


# What kr8s lets through from reading a kubeconfig, running an exec plug-in and loading certificates.
# Its AttributeError is a /version that is not what a server answers.
_SIGN_IN_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError, yaml.YAMLError)


@dataclass(slots=True)
class _Connected:
    loop: asyncio.AbstractEventLoop
    by_place: dict[tuple[str, str, str], _Api] = field(default_factory=dict)


# Kept as long as the backend's own client is: a backend is a plain value that cannot be closed.
_CONNECTED: WeakKeyDictionary[httpx.AsyncClient, _Connected] = WeakKeyDictionary()


def backend_of(context: Context, workload: Workload) -> Backend:
    """The one Kubernetes that runs this workload. TargetUnclear where the catalog names no cluster or none fits."""
    if not workload.cluster:
        raise TargetUnclear(f"The catalog names no cluster for {workload.name}. Add `cluster:` to its workload.")
    backend = context.backends.pick("kubernetes", {**context.labels, "cluster": workload.cluster})
    if backend.match.get("cluster", workload.cluster) != workload.cluster:
        raise NotConfigured(
            f"No Kubernetes is configured for cluster {workload.cluster!r}; {backend.name} is "
            f"{backend.match['cluster']!r}. Add it to backends.kubernetes in stanch.yaml."
        )
    return backend


async def cluster_of(context: Context, workload: Workload) -> Cluster:
    """The cluster a workload runs in, connected."""
    return await connect(backend_of(context, workload))


async def connect(backend: Backend) -> Cluster:
    """The backend's cluster: signed in on first use, the same connection afterwards."""
    loop = asyncio.get_running_loop()
    connected = _CONNECTED.get(backend.http)
    if connected is None or connected.loop is not loop:
        connected = _CONNECTED[backend.http] = _Connected(loop)
    place = (str(backend.kubeconfig or ""), backend.kube_context or "", backend.url)
    if place not in connected.by_place:
        connected.by_place[place] = await _sign_in(backend)
    return Cluster(backend, connected.by_place[place])


async def disconnect(backend: Backend) -> None:
    """Close what connect opened for a backend; the next connect signs in anew. To be called before its client is closed."""
    connected = _CONNECTED.pop(backend.http, None)
    for api in connected.by_place.values() if connected else ():
        if (session := getattr(api, "_session", None)) is not None:  # kr8s offers no way to close it
            await session.aclose()


async def _sign_in(backend: Backend) -> _Api:
    from kr8s import APITimeoutError, ServerError
    from kr8s.asyncio import api

    where: Any = str(backend.kubeconfig) if backend.kubeconfig else _kubeconfig_for(backend) if backend.url else None
    patience = backend.http.timeout.read
    try:
        async with asyncio.timeout(patience):  # kr8s itself asks for the version without a limit
            connection = cast(_Api, await api(kubeconfig=where, context=backend.kube_context))
    except TimeoutError:
        raise _no_answer(
            httpx.ReadTimeout(f"not signed in within {patience} s"), f"{_name(backend)} did not answer"
        ) from None
    except ServerError as error:
        if error.response is None:
            raise ToolFailed(f"{_name(backend)}: {clean(str(error))}") from None
        raise ToolFailed(_why(error.response, backend, "GET /version")) from None
    except (APITimeoutError, httpx.HTTPError) as error:
        raise _no_answer(error, f"{_name(backend)} did not answer") from None
    except (httpx.InvalidURL, *_SIGN_IN_ERRORS) as error:
        raise _no_sign_in(backend, error) from None
    connection.timeout = backend.http.timeout
    return connection


def _no_sign_in(backend: Backend, error: Exception) -> ToolFailed:
    where = backend.kubeconfig or backend.url or "the default kubeconfig"
    named = f", context {backend.kube_context}" if backend.kube_context else ""
    return ToolFailed(
        f"{_name(backend)}: cannot sign in with {where}{named}: {clean(str(error))}. "
        "Try `kubectl version` with the same kubeconfig and context."
    )


def _kubeconfig_for(backend: Backend) -> dict[str, Any]:
    """A kubeconfig for a bare address, so that kr8s does not add another cluster's credentials from the person's own."""
    header = backend.http.headers.get("authorization", "")
    user = {"token": header.removeprefix("Bearer ")} if header.startswith("Bearer ") else {}
    name = backend.kube_context or backend.name
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": backend.url.rstrip("/")}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def _no_answer(error: BaseException, what: str) -> Unreachable:
    root = error.__cause__ if isinstance(error.__cause__, httpx.HTTPError) else error  # kr8s hides which timeout it was
    certainly_not = isinstance(root, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.InvalidURL)
    text = f"{what}: {type(root).__name__} {clean(str(root))}".rstrip()
    advice = "Check that the API server is up and its address in the kubeconfig; `stanch doctor` tries each backend."
    return (NotSent if certainly_not else Unreachable)(f"{text}. {advice}")


def _expect_success(response: httpx.Response, backend: Backend, what: str) -> httpx.Response:
    if response.is_success:
        return response
    raise (Forbidden if response.status_code == 403 else ToolFailed)(_why(response, backend, what))


def _why(response: httpx.Response, backend: Backend, what: str) -> str:
    """The server's own words, and what to do about them."""
    status, words = response.status_code, clean(_message(response), 400)
    advice = {
        401: "The credentials are missing or have run out: sign in again, or renew the token in the kubeconfig.",
        403: f"The account lacks a permission: {_permission(words) or 'see the message'}. Grant it by a Role.",
        404: "It is gone, or the catalog names another namespace or cluster: check `workloads` in catalog.yaml.",
        409: "It was changed meanwhile: look again.",
        422: "The server does not accept this change, or what it was decided on has changed meanwhile: look again.",
        429: "The API server is overloaded: wait and try again.",
    }.get(status, "See the API server's log." if status >= 500 else "")
    return f"{_name(backend)} answered {what} with HTTP {status}: {words}. {advice}".rstrip()


def _permission(words: str) -> str:
    """`patch deployments.apps in namespace ml` out of the server's sentence."""
    found = re.search(
        r'cannot (\w+) resource "([\w./-]+)" in API group "([\w.-]*)"(?: in the namespace "([\w.-]+)")?', words
    )
    if not found:
        return ""
    verb, resource, group, namespace = found.groups()
    return f"{verb} {resource}{f'.{group}' if group else ''}{f' in namespace {namespace}' if namespace else ''}"


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:400]
    return str(body.get("message", body)) if isinstance(body, dict) else str(body)


def _json(response: httpx.Response, backend: Backend, path: str) -> Json:
    try:
        return _shaped(response.json())
    except _Misshapen as error:
        raise ToolFailed(
            f"{_name(backend)} answered {path} with something that is no object of its API: {error}. Is it an API server?"
        ) from None
    except (ValueError, RecursionError):
        raise ToolFailed(
            f"{_name(backend)} answered {path} with {response.headers.get('content-type', 'no content type')} instead of "
            "JSON. Check that the address is that of an API server and not of a proxy or a log-in page."
        ) from None


def _name(backend: Backend) -> str:
    return f"Kubernetes {backend.name!r}" if backend.name not in ("", "kubernetes") else "Kubernetes"


def path_of(workload: Workload) -> str:
    """Where the API keeps a workload. ToolFailed for a kind that we cannot read."""
    if workload.kind not in PLURALS:
        raise ToolFailed(f"{workload} is a {workload.kind}; only {' and '.join(PLURALS)} can be read or changed.")
    return f"/apis/apps/v1/namespaces/{workload.namespace}/{PLURALS[workload.kind]}/{workload.name}"


def quantity(text: object) -> float | None:
    """`1500m` → 1.5, `2Gi` → 2147483648.0; None for what is no quantity."""
    found = _QUANTITY.match(str(text))
    if not found:
        return None
    number, suffix = found.groups()
    try:
        return float(number) * (_BINARY.get(suffix) or _FACTORS[suffix])
    except (ValueError, KeyError):
        return None


class _Misshapen(ValueError):
    """Says which field, and what it is instead."""


def _is_endpoint(value: Mapping[str, Json]) -> bool:
    """Whether it is one of an EndpointSlice: its addresses are texts. A Node has addresses too, which are objects."""
    addresses = value.get("addresses")
    return isinstance(addresses, list) and all(isinstance(one, str) for one in addresses)


def _shaped(value: Json) -> Json:
    """The answer without nulls under the names of _TYPES (the API leaves out what is not there) and without halves of
    characters; else _Misshapen."""
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for name, one in value.items():
            wanted = _TYPES.get(name)
            if name == "conditions" and _is_endpoint(value):
                wanted = dict
            if wanted is not None and one is None:
                continue
            if wanted is not None and (not isinstance(one, wanted) or isinstance(one, bool)):
                raise _Misshapen(f"{name} is of type {type(one).__name__}")
            kept[_text(name)] = _shaped(one)
        return kept
    if isinstance(value, list):
        return [_shaped(one) for one in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """JSON can spell half a surrogate pair; nothing that is written or asked for can hold one."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
