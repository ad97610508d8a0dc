"""MLflow's REST API (2.x and 3.x speak it alike) as a registry.

Worth knowing: an unknown alias answers 400 and an unknown model 404; `model-versions/search` leaves aliases out; setting
an alias has no compare-and-set; a Host header that the server does not expect is answered 403 before anything is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from tools.context import Backend, Context, Json, Model
from tools.errors import Refused, ToolFailed, Unreachable
from tools.formatting import clean
from tools.models.registry import ModelVersion, RegisteredModel, Registry, Run

API = "/api/2.0/mlflow"
MOST_BYTES = 16 * 1024 * 1024
MOST_VERSIONS = 200
MOST_POINTS = 5_000


class MlflowAnswered(ToolFailed):
    """MLflow answered with an error; `status` is HTTP's, `code` MLflow's own (RESOURCE_DOES_NOT_EXIST …)."""

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class NotConnected(Unreachable):
    """No connection came about, so nothing can have happened there."""


@dataclass(frozen=True, slots=True)
class Mlflow:
    """One MLflow tracking server. Implements tools.models.registry.Registry."""

    backend: Backend

    @property
    def name(self) -> str:
        return self.backend.name

    async def model(self, name: str) -> RegisteredModel:
        found = _object(await self._json("GET", "/registered-models/get", {"name": name}), "registered_model")
        quoted = f'"{name}"' if "'" in name else f"'{name}'"
        asked = {"filter": f"name={quoted}", "order_by": "version_number DESC", "max_results": MOST_VERSIONS}
        versions = _objects(await self._json("GET", "/model-versions/search", asked), "model_versions")
        aliases = {str(a.get("alias")): str(a.get("version")) for a in _objects(found, "aliases")}
        return RegisteredModel(name, aliases, tuple(_version(v) for v in versions))

    async def version(self, name: str, version: str) -> ModelVersion:
        body = await self._json("GET", "/model-versions/get", {"name": name, "version": version})
        return _version(_object(body, "model_version"))

    async def alias(self, name: str, alias: str) -> ModelVersion | None:
        try:
            body = await self._json("GET", "/registered-models/alias", {"name": name, "alias": alias})
        except MlflowAnswered as answer:
            if answer.status == 400 and "alias" in str(answer).lower() and "not found" in str(answer):
                return None
            raise
        return _version(_object(body, "model_version"))

    async def point(self, name: str, alias: str, version: str) -> None:
        wanted = {"name": name, "alias": alias, "version": version}
        try:
            await self._json("POST", "/registered-models/alias", wanted)
        except NotConnected as error:
            raise Refused(str(error)) from None
        except MlflowAnswered as answer:
            if 400 <= answer.status < 500:
                raise Refused(str(answer)) from None
            raise

    async def run(self, run_id: str) -> Run | None:
        try:
            body = await self._json("GET", "/runs/get", {"run_id": run_id})
        except MlflowAnswered as answer:
            if answer.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return _run(_object(body, "run"))

    async def history(self, run_id: str, metric: str) -> Sequence[tuple[datetime, float]]:
        asked = {"run_id": run_id, "metric_key": metric, "max_results": MOST_POINTS}
        points = _objects(await self._json("GET", "/metrics/get-history", asked), "metrics")
        return sorted((at, v) for p in points if (at := _time(p.get("timestamp"))) and (v := _float(p)) is not None)

    async def artifact(self, run_id: str, path: str) -> str:
        body = await self._send(
            "GET", "/get-artifact", {"run_uuid": run_id, "path": path}, f"artifact {path} of {run_id}"
        )
        return body.decode("utf-8", errors="replace")

    def link(self, name: str, version: str = "") -> str:
        page = f"{self.backend.link_base}/#/models/{quote(name, safe='')}"
        return f"{page}/versions/{quote(version, safe='')}" if version else page

    async def _json(self, method: str, path: str, asked: Mapping[str, Any]) -> Json:
        body = await self._send(method, f"{API}{path}", asked, f"{path} {json.dumps(asked, ensure_ascii=False)}")
        try:
            return json.loads(body, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise ToolFailed(
                f"{self._who} answered {path} with something that is not JSON: "
                f"{clean(body[:300].decode(errors='replace'))!r}. Check that the address is that of an MLflow server."
            ) from None

    async def _send(self, method: str, path: str, asked: Mapping[str, Any], what: str) -> bytes:
        sent: dict[str, Any] = {"params": asked} if method == "GET" else {"json": asked}
        try:
            async with self.backend.http.stream(method, path, follow_redirects=False, **sent) as response:
                body = await self._read(response, what)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NotConnected(self._silent(what, error)) from None
        except httpx.HTTPError as error:
            raise Unreachable(self._silent(what, error)) from None
        if response.status_code != 200:
            raise self._error(response.status_code, body, what)
        return body

    async def _read(self, response: httpx.Response, what: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ToolFailed(f"{self._who} answered {clean(what)} with more than {MOST_BYTES >> 20} MB; not read.")
        return bytes(body)

    def _silent(self, what: str, error: Exception) -> str:
        return (
            f"{self._who} did not answer {clean(what)}: {type(error).__name__} {clean(str(error))}".rstrip()
            + ". Check that it runs and its address in stanch.yaml."
        )

    def _error(self, status: int, body: bytes, what: str) -> MlflowAnswered:
        """MLflow's own words, with what to do about the answers that are about us and not about the model."""
        text = body.decode(errors="replace")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        words, code = clean(str(answer.get("message") or text), 300), str(answer.get("error_code") or "")
        mend = "Check the name with model_versions."
        if status == 403 and "host" in words.lower():
            mend = (
                f"Start the server with `--allowed-hosts {_host(self.backend.url)}` (or MLFLOW_SERVER_ALLOWED_HOSTS)."
            )
        elif status in (401, 403):
            mend = "Check the token or password in stanch.yaml."
        elif status >= 500:
            mend = "Look at the server's own log."
        elif not code:
            mend = "Check that the address is that of an MLflow server, version 2.9 or newer."
        said = f"{self._who} answered {clean(what)} with HTTP {status}{f' {code}' if code else ''}: {words}. {mend}"
        return MlflowAnswered(said, status, code)

    @property
    def _who(self) -> str:
        shown = "MLflow" if self.backend.name in ("", "mlflow") else f"MLflow {self.backend.name!r}"
        return f"{shown} at {self.backend.url}"


def registry_of(context: Context, model: Model) -> Registry:
    """The registry a model lives in: the one its catalog entry names, else the only one that fits the labels."""
    return Mlflow(context.backends.pick("mlflow", context.labels, model.registry))


def _host(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def _version(found: Mapping[str, Json]) -> ModelVersion:
    return ModelVersion(
        version=str(found.get("version", "")),
        status=str(found.get("status") or "UNKNOWN"),
        created=_time(found.get("creation_timestamp")),
        updated=_time(found.get("last_updated_timestamp")),
        run_id=str(found.get("run_id") or ""),
        source=str(found.get("source") or ""),
        description=str(found.get("description") or ""),
        tags=_pairs(found, "tags"),
    )


def _run(found: Mapping[str, Json]) -> Run:
    info, logged = _object(found, "info"), _part(found, "data")
    inputs = [_part(one, "dataset") for one in _objects(_part(found, "inputs"), "dataset_inputs")]
    return Run(
        run_id=str(info.get("run_id") or ""),
        experiment=str(info.get("experiment_id") or ""),
        name=str(info.get("run_name") or ""),
        status=str(info.get("status") or ""),
        started=_time(info.get("start_time")),
        ended=_time(info.get("end_time")),
        parameters=_pairs(logged, "params"),
        metrics={str(m["key"]): v for m in _objects(logged, "metrics") if "key" in m and (v := _float(m)) is not None},
        tags=_pairs(logged, "tags"),
        datasets=tuple(f"{one.get('name')}@{one.get('digest')}" for one in inputs if one.get("name")),
    )


def _float(metric: Mapping[str, Json]) -> float | None:
    value = metric.get("value")
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None


def _time(millis: Json) -> datetime | None:
    """Milliseconds since 1970, as number or text (protobuf's JSON writes int64 as text)."""
    text = str(millis)
    return datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() and 0 < int(text) < 10**14 else None


def _pairs(found: Mapping[str, Json], key: str) -> dict[str, str]:
    return {str(one["key"]): str(one.get("value", "")) for one in _objects(found, key) if "key" in one}


def _part(found: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    part = found.get(key)
    return part if isinstance(part, dict) else {}


def _object(body: Json, key: str) -> Mapping[str, Json]:
    """The object under a key that MLflow always sends; ToolFailed where it is not there."""
    part = body.get(key) if isinstance(body, dict) else None
    if not isinstance(part, dict):
        raise ToolFailed(
            f"MLflow's answer has no {key!r}: {clean(str(body))}. Check that the address is an MLflow server."
        )
    return part


def _objects(body: Json, key: str) -> list[Mapping[str, Json]]:
    listed = body.get(key) if isinstance(body, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
