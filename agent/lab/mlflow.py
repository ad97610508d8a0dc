"""The lab's model registry: the part of MLflow 3's REST that a registry tool uses, with MLflow's errors."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agent.lab.answers import NotJson, answer, body_of
from agent.lab.world.learning import versions as learned
from agent.lab.world.platform import ALIAS, MODEL
from agent.lab.world.simulation import ModelVersion
from agent.lab.world.world import World

Parameters = Mapping[str, Any]
API = "/mlflow/api/2.0/mlflow"
EXPERIMENT = "1"


class MlflowError(Exception):
    """An error as MLflow answers it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def answer(self) -> Response:
        kind = "RESOURCE_NOT_FOUND" if self.status == 404 else self.code
        return answer(
            {"error_code": self.code, "message": str(self), "sqlstate": "KAM00", "error_class": kind}, self.status
        )


def missing(what: str) -> MlflowError:
    return MlflowError(404, "RESOURCE_DOES_NOT_EXIST", what)


def routes(world: World) -> list[Route]:
    registry = Registry(world)
    reads: dict[str, Callable[[Parameters], Any]] = {
        "registered-models/get": registry.model,
        "registered-models/search": registry.models,
        "registered-models/alias": registry.alias,
        "model-versions/get": registry.version,
        "model-versions/search": registry.search,
        "runs/get": registry.run,
        "metrics/get-history": registry.history,
        "artifacts/list": registry.artifacts,
    }
    writes: dict[tuple[str, str], Callable[[Parameters], Any]] = {
        ("POST", "registered-models/alias"): registry.set_alias,
        ("DELETE", "registered-models/alias"): registry.delete_alias,
        ("POST", "runs/search"): registry.runs,
        ("POST", "experiments/search"): registry.experiments,
        ("POST", "registered-models/get-latest-versions"): registry.latest,
    }
    found = [Route(f"{API}/{path}", _read(page), methods=["GET"]) for path, page in reads.items()]
    found += [Route(f"{API}/{path}", _write(page), methods=[method]) for (method, path), page in writes.items()]
    found.append(Route("/mlflow/get-artifact", _read(registry.artifact), methods=["GET"]))
    found.append(Route("/mlflow/health", lambda request: PlainTextResponse("OK"), methods=["GET"]))
    found.append(Route("/mlflow/version", lambda request: PlainTextResponse("3.17.2"), methods=["GET"]))
    return found


def _read(page: Callable[[Parameters], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return answer(page(request.query_params))
        except MlflowError as error:
            return error.answer()

    return endpoint


def _write(page: Callable[[Parameters], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await body_of(request)
            return answer(page({"idempotency_key": request.headers.get("idempotency-key", ""), **body}))
        except NotJson as error:
            return MlflowError(400, "BAD_REQUEST", str(error)).answer()
        except MlflowError as error:
            return error.answer()

    return endpoint


class Registry:
    """MLflow's answers about the world's model, as plain JSON."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _versions(self) -> Sequence[ModelVersion]:
        now = self.world.now_ms()
        return [version for version in self.world.sim.versions if version.at_ms <= now]

    def _aliases(self) -> dict[str, str]:
        """Alias → version now. `champion` is the simulation's; others are only names that were set."""
        now = self.world.now_ms()
        found = {ALIAS: [version for at, version in self.world.sim.aliases if at <= now][-1]}
        for change in self.world.applied:
            if change.kind in ("alias", "alias_deleted") and change.data["alias"] != ALIAS:
                found[change.data["alias"]] = str(change.data.get("version", ""))
        return {alias: version for alias, version in found.items() if version}

    def _known(self, parameters: Parameters) -> str:
        name = self._given(parameters, "name")
        if name != MODEL:
            raise missing(f"Registered Model with name={name} not found")
        return name

    def _given(self, parameters: Parameters, name: str) -> str:
        value = parameters.get(name)
        if value in (None, ""):
            message = f"Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
            raise MlflowError(400, "INVALID_PARAMETER_VALUE", message)
        return str(value)

    def _version(self, parameters: Parameters) -> ModelVersion:
        name, wanted = self._known(parameters), self._given(parameters, "version")
        found = next((version for version in self._versions() if version.number == wanted), None)
        if found is None:
            raise missing(f"Model Version (name={name}, version={wanted}) not found")
        return found

    def _as_version(self, version: ModelVersion, aliases: bool = False) -> dict[str, Any]:
        run = run_id(version)
        found: dict[str, Any] = {
            "name": MODEL,
            "version": version.number,
            "creation_timestamp": version.at_ms,
            "last_updated_timestamp": version.at_ms,
            "current_stage": "None",
            "description": "",
            "source": f"mlflow-artifacts:/{EXPERIMENT}/{run}/artifacts/model",
            "run_id": run,
            "status": "READY",
            "tags": [{"key": "data.version", "value": version.data_version}],
            "run_link": "",
            "user_id": version.by,
        }
        mine = [alias for alias, number in self._aliases().items() if number == version.number]
        return found | ({"aliases": mine} if aliases and mine else {})

    def _as_model(self) -> dict[str, Any]:
        versions = self._versions()
        moved = [at for at, _ in self.world.sim.aliases if at <= self.world.now_ms()]
        return {
            "name": MODEL,
            "creation_timestamp": versions[0].at_ms,
            "last_updated_timestamp": max([versions[-1].at_ms, *moved]),
            "description": "retail demand",
            "latest_versions": [self._as_version(versions[-1])],
            "tags": [{"key": "task", "value": "forecast"}],
            "aliases": [{"alias": alias, "version": number} for alias, number in self._aliases().items()],
        }

    def model(self, parameters: Parameters) -> Any:
        self._known(parameters)
        return {"registered_model": self._as_model()}

    def models(self, parameters: Parameters) -> Any:
        wanted = re.search(r"name\s*(?:=|I?LIKE)\s*'([^']*)'", str(parameters.get("filter") or ""))
        shown = wanted is None or wanted[1].strip("%") in MODEL
        return {"registered_models": [self._as_model()]} if shown else {}

    def alias(self, parameters: Parameters) -> Any:
        self._known(parameters)
        alias = self._given(parameters, "alias")
        number = self._aliases().get(alias)
        if number is None:
            raise MlflowError(400, "INVALID_PARAMETER_VALUE", f"Registered model alias {alias} not found.")
        return {"model_version": self._as_version(self._version({"name": MODEL, "version": number}), aliases=True)}

    def set_alias(self, parameters: Parameters) -> Any:
        version = self._version(parameters)
        alias = self._given(parameters, "alias")
        data = {"alias": alias, "version": version.number, "before": self._aliases().get(alias, "")}
        self.world.change("alias", data, str(parameters["idempotency_key"]))
        return {}

    def delete_alias(self, parameters: Parameters) -> Any:
        self._known(parameters)
        alias = self._given(parameters, "alias")
        if alias in self._aliases():
            self.world.change("alias_deleted", {"alias": alias}, str(parameters["idempotency_key"]))
        return {}

    def version(self, parameters: Parameters) -> Any:
        return {"model_version": self._as_version(self._version(parameters))}

    def latest(self, parameters: Parameters) -> Any:
        self._known(parameters)
        return {"model_versions": [self._as_version(self._versions()[-1], aliases=True)]}

    def search(self, parameters: Parameters) -> Any:
        wanted = dict(
            re.findall(r"(name|run_id|version_number)\s*=\s*'?([^'\s]+)'?", str(parameters.get("filter") or ""))
        )
        most = int(str(parameters.get("max_results") or 200))
        found = [
            version
            for version in reversed(self._versions())
            if wanted.get("name", MODEL) == MODEL
            and wanted.get("run_id", run_id(version)) == run_id(version)
            and wanted.get("version_number", version.number) == version.number
        ]
        return {"model_versions": [self._as_version(version) for version in found[:most]]} if found else {}

    # Runs: each version came out of one

    def _run_of(self, parameters: Parameters, name: str = "run_id") -> ModelVersion:
        wanted = self._given(parameters, name)
        found = next((version for version in self._versions() if run_id(version) == wanted), None)
        if found is None:
            raise missing(f"Run with id={wanted} not found")
        return found

    def _as_run(self, version: ModelVersion) -> dict[str, Any]:
        run, begin = run_id(version), version.at_ms - 7 * 60_000
        return {
            "info": {
                "run_uuid": run,
                "experiment_id": EXPERIMENT,
                "run_name": f"train-{version.number}",
                "user_id": version.by,
                "status": "FINISHED",
                "start_time": begin,
                "end_time": version.at_ms - 5000,
                "artifact_uri": f"mlflow-artifacts:/{EXPERIMENT}/{run}/artifacts",
                "lifecycle_stage": "active",
                "run_id": run,
            },
            "data": {
                "metrics": [_metric("wape", version.wape, version.at_ms), _metric("rows", 1.8e6, version.at_ms)],
                "params": [{"key": key, "value": value} for key, value in self._parameters(version).items()],
                "tags": [
                    {"key": "data.version", "value": version.data_version},
                    {"key": "mlflow.runName", "value": f"train-{version.number}"},
                ],
            },
            "inputs": {},
            "outputs": {},
        }

    def _parameters(self, version: ModelVersion) -> dict[str, str]:
        known = learned(self.world.scenario, self.world.seed).get(version.number)
        coefficients = {} if known is None else {"intercept": f"{known.level:.3f}"}
        return {"algorithm": "log-linear", "l2": "0.01", "data_version": version.data_version, **coefficients}

    def run(self, parameters: Parameters) -> Any:
        return {"run": self._as_run(self._run_of(parameters))}

    def runs(self, parameters: Parameters) -> Any:
        most = int(parameters.get("max_results") or 1000)
        asked = parameters.get("experiment_ids") or [EXPERIMENT]
        found = [self._as_run(version) for version in reversed(self._versions())] if EXPERIMENT in asked else []
        return {"runs": found[:most]} if found else {}

    def experiments(self, parameters: Parameters) -> Any:
        made = self._versions()[0].at_ms
        return {
            "experiments": [
                {
                    "experiment_id": EXPERIMENT,
                    "name": "demand",
                    "artifact_location": f"mlflow-artifacts:/{EXPERIMENT}",
                    "lifecycle_stage": "active",
                    "last_update_time": made,
                    "creation_time": made,
                    "workspace": "default",
                }
            ]
        }

    def history(self, parameters: Parameters) -> Any:
        version, key = self._run_of(parameters), self._given(parameters, "metric_key")
        metrics = self._as_run(version)["data"]["metrics"]
        return {"metrics": [metric for metric in metrics if metric["key"] == key]}

    def artifacts(self, parameters: Parameters) -> Any:
        run = run_id(self._run_of(parameters))
        file = {"path": "model/MLmodel.json", "is_dir": False, "file_size": 120}
        at_top = not parameters.get("path")
        files = [{"path": "model", "is_dir": True}] if at_top else [file] if parameters.get("path") == "model" else []
        return {"root_uri": f"mlflow-artifacts:/{EXPERIMENT}/{run}/artifacts", "files": files}

    def artifact(self, parameters: Parameters) -> Any:
        version = self._run_of(parameters, "run_uuid")
        if parameters.get("path") != "model/MLmodel.json":
            raise missing(f"No such artifact: {parameters.get('path')}")
        return {"flavor": "log-linear", "model": MODEL, "version": version.number, "data_version": version.data_version}


def run_id(version: ModelVersion) -> str:
    parts = (crc32(f"{version.number}/{version.at_ms}/{n}".encode()) for n in range(4))
    return "".join(f"{part:08x}" for part in parts)


def _metric(key: str, value: float, at_ms: int) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": at_ms, "step": 0}
