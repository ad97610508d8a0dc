"""The MLflow client against recorded answers, and against what servers and networks may do instead of answering."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contexts import backend
from tools.errors import Refused, ToolFailed, Unreachable
from tools.models.mlflow import Mlflow, NotConnected

CALLS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "fixtures" / "mlflow" / "rest.json").read_text())
NAMES = ("name", "alias", "version", "run_id", "metric_key", "path")
MODEL = "demand-forecast"
RUN = "8c3ff436fb8242ae84cd66249fb8a76c"


def recorded(request: httpx.Request) -> httpx.Response:
    """The first recorded answer to the same method, path and names."""
    asked = dict(request.url.params) or (json.loads(request.content) if request.content else {})
    for call in CALLS:
        known = call.get("params") or call.get("json") or {}
        same = all(str(known.get(n)) == str(asked.get(n)) for n in NAMES)
        if (call["method"], call["path"]) == (request.method, request.url.path) and same:
            body = call["response"]
            return httpx.Response(call["status"], text=body if isinstance(body, str) else json.dumps(body))
    if request.url.path.endswith("/runs/get"):  # of the three runs one was asked for while recording
        return recorded(httpx.Request("GET", request.url.copy_with(params={"run_id": "nosuch"})))
    raise AssertionError(f"{request.method} {request.url} was not recorded")


def client(answer: Any = recorded) -> Mlflow:
    return Mlflow(backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(answer)))


async def test_a_registered_model_has_its_aliases_and_versions_newest_first() -> None:
    found = await client().model(MODEL)
    assert found.aliases == {"champion": "3"}
    assert [v.version for v in found.versions] == ["3", "2", "1"]
    assert found.versions[0].created == datetime.fromtimestamp(1795416612.727, UTC)
    assert found.versions[0].tags == {"data.version": "v2"}
    before = found.older("3")
    assert before is not None
    assert before.version == "2"
    assert found.older("1") is None


async def test_a_run_has_its_parameters_metrics_and_history() -> None:
    run = await client().run(RUN)
    assert run is not None
    assert (run.name, run.status, run.parameters) == ("train-2", "FINISHED", {"lr": "0.1"})
    assert run.metrics == {"mape": 0.31, "rmse": 31.0}
    assert [value for _, value in await client().history(RUN, "mape")] == [0.31]


async def test_a_run_that_was_deleted_is_none() -> None:
    assert await client().run("nosuch") is None


async def test_an_unknown_alias_is_none_and_an_unknown_model_an_error() -> None:
    assert await client().alias(MODEL, "nosuch") is None
    with pytest.raises(
        ToolFailed, match=r"HTTP 404 RESOURCE_DOES_NOT_EXIST: Registered Model with name=nosuch not found"
    ):
        await client().alias("nosuch", "champion")


async def test_pointing_at_an_unknown_version_is_refused() -> None:
    await client().point(MODEL, "champion", "3")
    with pytest.raises(Refused, match="version=9"):
        await client().point(MODEL, "champion", "9")


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            httpx.Response(403, text="Invalid Host header - possible DNS rebinding attack detected"),
            "--allowed-hosts mlflow.test",
        ),
        (httpx.Response(403, json={"error_code": "PERMISSION_DENIED", "message": "no"}), "Check the token"),
        (httpx.Response(401, text="You are not authenticated"), "Check the token"),
        (httpx.Response(500, text="boom"), "server's own log"),
        (httpx.Response(404, text="<html>nginx</html>"), "address is that of an MLflow server"),
        (httpx.Response(200, text="<html>log in</html>"), "not JSON"),
        (httpx.Response(200, json=[1]), "has no 'model_version'"),
        (httpx.Response(200, json={"model_version": None}), "has no 'model_version'"),
        (httpx.Response(200, content=b"[" * 200_000), "not JSON"),
    ],
    ids=["host", "denied", "anonymous", "broken", "elsewhere", "log-in page", "list", "null", "deep"],
)
async def test_whatever_is_answered_is_a_failure_that_says_what_to_do(response: httpx.Response, said: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        await client(lambda _: response).alias(MODEL, "champion")
    assert said in str(failed.value)
    assert "http://mlflow.test" in str(failed.value) or "MLflow" in str(failed.value)


async def test_oddly_shaped_parts_are_passed_over() -> None:
    odd = {
        "registered_model": {"aliases": [3, {"alias": "a", "version": 7}, None], "tags": "x"},
        "model_versions": [{"version": 7, "creation_timestamp": "1795416612727", "tags": [{"nokey": 1}]}, "x"],
    }
    found = await client(lambda _: httpx.Response(200, json=odd)).model(MODEL)
    assert found.aliases == {"a": "7"}
    assert [(v.version, v.status) for v in found.versions] == [("7", "UNKNOWN")]
    assert found.versions[0].created == datetime.fromtimestamp(1795416612.727, UTC)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (httpx.ConnectError("refused"), NotConnected),
        (httpx.ReadTimeout("slow"), Unreachable),
        (httpx.RemoteProtocolError("x"), Unreachable),
    ],
)
async def test_no_answer_is_unreachable(error: Exception, raised: type[Exception]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(raised, match="did not answer"):
        await client(fail).model(MODEL)


async def test_only_a_connection_that_never_was_means_that_nothing_happened() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def hang(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(Refused):
        await client(refuse).point(MODEL, "champion", "2")
    with pytest.raises(Unreachable):
        await client(hang).point(MODEL, "champion", "2")
    with pytest.raises(ToolFailed):
        await client(lambda _: httpx.Response(503, text="busy")).point(MODEL, "champion", "2")
