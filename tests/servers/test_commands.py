"""The command to copy is what `suggest` offers: each one is run as printed, in a shell, and has the effect; so has its undo."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent.api import App
from agent.app import open_app
from agent.clock import RealClock
from agent.lab.server import Lab
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tests.conftest import need
from tests.contexts import backend, context
from tests.mlflow_server import MODEL, MlflowServer, mlflow_server
from tests.serving import served
from tests.tools.alerts.test_actions import alertmanager
from tools.context import Context, Model
from tools.http_action.action import HttpActionSpec, declare
from tools.listing import TOOLS
from tools.models.actions import PointModelAlias
from tools.spec import Action

__all__ = ["alertmanager", "mlflow_server"]  # fixtures
pytestmark = pytest.mark.server
KUBECTL = ("kubectl", "kubernetes-client")
ODD = 'Bob\'s "job" $(touch oops) `id` \\ ; # ü'


async def shell(command: str, folder: Path, **environment: str) -> str:
    """What a command prints, run as it stands by a shell, in a folder of its own; it has to succeed."""
    needed = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        cwd=folder,
        env={**needed, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, f"{command}\n{said.decode()}"
    assert not (folder / "oops").exists(), f"{command} ran what one of its values says"
    return said.decode()


async def typed(action: Action, where: Context, folder: Path, **environment: str) -> tuple[Mapping[str, Any], ...]:
    """The fields before, after the action's command, and after its undo's, all as printed on the card."""
    full = action.resolved(where)
    before = await full.observe(where)
    undo = full.undo(before)
    await shell(full.command(where), folder, **environment)
    after = await full.observe(where)
    if undo is None:
        return before.fields, after.fields
    await shell(undo.command(where), folder, **environment)
    return before.fields, after.fields, (await full.observe(where)).fields


@asynccontextmanager
async def lab(tmp_path: Path, scenario: str) -> AsyncIterator[tuple[App, Context, dict[str, str], Lab]]:
    session = Session(functools.partial(open_app), {"data": str(tmp_path)})
    async with demo_env.begun(session, [], scenario, 1) as (app, _, world):
        where = app.api.context()
        kubeconfig = next(b.kubeconfig for b in where.backends.of("kubernetes"))
        yield app, where, {"KUBECONFIG": str(kubeconfig)}, world


@pytest.mark.parametrize(
    ("action", "arguments", "field"),
    [
        ("scale_workload", {"replicas": 7}, "replicas"),
        ("roll_back_workload", {"revision": "the previous one"}, "template"),
        ("restart_workload", {}, "restartedAt"),
    ],
)
async def test_what_is_typed_with_kubectl_changes_the_workload_and_takes_it_back(
    action: str, arguments: dict[str, Any], field: str, tmp_path: Path
) -> None:
    need(*KUBECTL)
    async with lab(tmp_path, "bad-deploy") as (app, where, environment, _):
        if "revision" in arguments:
            history = await app.tools.read("rollout_history")(where, workload="checkout")
            arguments = {"revision": next(f.value for f in history.facts if f.id == "previous.revision")}
        wanted = app.tools.action(action).parse({"workload": "checkout", **arguments})
        seen = [one[field] for one in await typed(wanted, where, tmp_path, **environment)]
    assert seen[0] != seen[1]
    assert seen[2:] == ([] if action == "restart_workload" else seen[:1])
    assert action != "scale_workload" or seen[1] == 7


async def test_what_is_typed_at_the_labs_registry_moves_the_alias_and_takes_it_back(tmp_path: Path) -> None:
    async with lab(tmp_path, "bad-model-version") as (app, where, _, _):
        (model,) = where.catalog.models()
        wanted = app.tools.action("point_model_alias").parse({"model": model.name, "version": "1"})
        before, after, undone = await typed(wanted, where, tmp_path)
    assert (after["version"], undone) == ("1", before)
    assert before["version"] != "1"


async def test_what_is_typed_asks_for_a_retraining_in_exactly_these_words(tmp_path: Path) -> None:
    async with lab(tmp_path, "concept-drift") as (app, where, _, world):
        (model,) = where.catalog.models()
        wanted = app.tools.action("request_retraining").parse(
            {"model": model.name, "reason": ODD, "data_version": "2026-11-23"}
        )
        assert json.loads(await shell(wanted.command(where), tmp_path))["accepted"].startswith("by-hand-")
        (asked,) = [change for change in world.world.applied if change.kind == "retraining"]
    assert asked.data["event"]["data"]["reason"] == ODD
    assert asked.data["event"]["time"].endswith("Z")


async def test_what_is_typed_at_a_real_registry_moves_the_catalogs_alias(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    """The catalog calls the model `forecast`; the registry does not."""
    entry = Model("forecast", MODEL, alias="champion")
    where = context(backend("mlflow", mlflow_server.url), models=(entry,), clock=RealClock())
    before, after, undone = await typed(PointModelAlias(model="forecast", version="2"), where, tmp_path)
    await where.backends.all[0].http.aclose()
    assert (before, after, undone) == ({"version": "3"}, {"version": "2"}, {"version": "3"})


async def test_what_is_typed_with_amtool_silences_one_alert_and_lets_it_speak_again(
    alertmanager: Context, tmp_path: Path
) -> None:
    need("amtool", "prometheus-alertmanager")
    odd = {"alertname": "HttpLatencyHigh", "labels": {"service": 'we"b \\ $(touch oops)'}, "minutes": 30}
    wanted = TOOLS.action("silence_alert").parse({**odd, "reason": ODD})
    before, after, undone = await typed(wanted, alertmanager, tmp_path)
    assert (before["silence"], undone["silence"]) == (None, None)
    assert after["silence"]


def flags(kept: dict[str, Any]) -> Starlette:
    async def state(request: Request) -> JSONResponse:
        return JSONResponse({"value": kept["value"]})

    async def change(request: Request) -> JSONResponse:
        kept["value"] = (await request.json())["value"]
        return JSONResponse({})

    return Starlette(routes=[Route("/flag", state), Route("/flag", change, methods=["POST"])])


async def test_what_is_typed_for_a_declared_action_has_its_values_quoted(tmp_path: Path) -> None:
    kept = {"value": "off"}
    async with served(flags(kept)) as url, httpx.AsyncClient() as http:
        spec = {
            "name": "set_flag",
            "description": "Set a flag of the shop.",
            "risk": "reversible",
            "base": url,
            "arguments": {"value": {"type": "string", "max_length": 80}},
            "target": {"name": "flag", "cluster": "eu-1"},
            "observe": {"url": "/flag", "fields": {"value": "value"}},
            "change": {"value": "{{ value }}"},
            "apply": {"url": "/flag", "body": {"value": "{{ value }}"}},
            "undo": {"action": "set_flag", "arguments": {"value": "{{ before.value }}"}},
            "command": f"jsonify() {{ python3 -c 'import json,sys; print(json.dumps(dict(value=sys.argv[1])))' \"$1\"; }}; "
            f"jsonify {{{{ value }}}} | curl -fsS -X POST {url}/flag -d @-",
        }
        wanted = declare(HttpActionSpec.model_validate(spec)).parse({"value": ODD})
        seen = await typed(wanted, context(http=http), tmp_path)
    assert [one["value"] for one in seen] == ["off", ODD, "off"]


def test_every_action_has_its_command_run_here() -> None:
    """A new action is added here too, or nobody has seen that its command works."""
    run = {
        "scale_workload",
        "roll_back_workload",
        "restart_workload",
        "point_model_alias",
        "request_retraining",
        "silence_alert",
    }
    assert {action.name() for action in TOOLS.actions} == run | {"expire_silence"}  # the silence's undo


async def test_commands_without_a_backend_name_what_has_to_be_filled_in() -> None:
    nowhere: Callable[[], Context] = context
    assert "CLUSTER" in TOOLS.action("scale_workload").parse({"workload": "web", "replicas": 3}).command(nowhere())
    for name, arguments, variable in (
        ("point_model_alias", {"model": "m", "version": "2"}, '"$MLFLOW_TRACKING_URI"'),
        ("request_retraining", {"model": "m", "reason": "why not"}, '"$RETRAINING_URL"'),
        ("silence_alert", {"alertname": "A", "minutes": 5, "reason": "why not"}, '"$ALERTMANAGER_URL"'),
    ):
        assert variable in TOOLS.action(name).parse(arguments).command(replace(nowhere()))
