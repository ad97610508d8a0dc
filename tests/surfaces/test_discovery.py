"""What `stanch init` drafts from: Prometheus, and Kubernetes and MLflow where they are configured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from agent.app import open_app
from agent.platform.catalog_discovery import catalog
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from tools.backends import survey


async def test_deployments_come_from_kubernetes_too_and_each_is_drafted_once(tmp_path: Path) -> None:
    session = Session(open_app, {"data": str(tmp_path), "reasoner": "runbook"})
    async with demo_env.begun(session, [], "forecast-contention", 1) as (app, _, _lab):
        found = await survey(app.api.context())
    of_kubernetes = [one for one in found.deployments if "__name__" not in one]
    named = {(one["cluster"], one["namespace"], one["deployment"]) for one in of_kubernetes}
    assert ("eu-1", "ml", "forecast-server") in named
    drafted = yaml.safe_load(catalog(found, "ann"))
    alone = yaml.safe_load(catalog(replace(found, deployments=of_kubernetes), "ann"))
    for service in ("checkout", "web"):
        assert len(drafted["services"][service]["workloads"]) == 1
        assert alone["services"][service]["workloads"] == drafted["services"][service]["workloads"]
        assert drafted["services"][service]["confirmed"] is False
    assert drafted["models"]["demand-forecast"]["alias"] == "champion"
