"""`stanch map` as a person or a script meets it, over a Kubernetes API and a catalog."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Run
from tests.kubernetes_api import FakeApi, api_server, thing
from tests.warm import Warm

CATALOG = """
services:
  sorting:
    workloads: [{name: sorter, namespace: mail, cluster: north}]
    depends_on: [stamps]
  stamps:
    workloads: [{name: stamps, namespace: mail, cluster: north}]
"""
Stanch = Callable[..., Awaitable[Run]]


def api() -> FakeApi:
    container = {"name": "c", "env": [{"name": "LEDGER_URL", "value": "postgres://a:b@ledger.example.com:5432/x"}]}
    template = {"metadata": {"labels": {"app": "sorter"}}, "spec": {"containers": [container]}}
    pods = [
        thing(f"sorter-{n}", "mail", owner="ReplicaSet/sorter-1", labels={"app": "sorter"}, spec={"nodeName": n})
        for n in ("hill", "dale")
    ]
    return FakeApi(
        {
            "deployments": [thing("sorter", "mail", spec={"template": template})],
            "replicasets": [thing("sorter-1", "mail", owner="Deployment/sorter")],
            "pods": pods,
            "services": [thing("sorter", "mail", spec={"selector": {"app": "sorter"}})],
            "secrets": [],
        },
        only_in={"secrets": []},
    )


@pytest.fixture
async def stanch(warm: Warm, tmp_path: Path) -> AsyncIterator[Stanch]:
    """The command line over one cluster, north, and a catalog."""
    async with api_server(api()) as backend:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": backend.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        (tmp_path / "catalog.yaml").write_text(CATALOG)
        entry = {"kubeconfig": str(tmp_path / "kubeconfig"), "match": {"cluster": "north"}}
        (tmp_path / "stanch.yaml").write_text(
            json.dumps({"backends": {"kubernetes": [entry]}, "catalog": "catalog.yaml"})
        )

        async def call(*args: str, **how: Any) -> Run:
            flags = ("--config", tmp_path / "stanch.yaml", "--data", tmp_path / "data")
            return await asyncio.to_thread(lambda: warm.stanch(*flags, "map", *args, **how))

        yield call


async def test_the_json_has_nodes_edges_and_the_time(stanch: Stanch) -> None:
    found = (await stanch("--json")).json
    place = {"cluster": "north", "namespace": "mail", "name": "sorter"}
    assert {"kind": "Deployment", **place, "seen_in": ["Kubernetes", "catalog"]} in found["nodes"]
    selects = {"from": {"kind": "Service", **place}, "to": {"kind": "Deployment", **place}, "kind": "selects"}
    assert selects | {"source": "Kubernetes"} in found["edges"]
    assert found["as_of"].endswith("Z")
    assert {one["what"] for one in found["unseen"]} == {"Kubernetes: secrets", "Prometheus"}


async def test_with_a_subject_the_json_holds_what_is_within_two_hops(stanch: Stanch) -> None:
    whole, near = (await stanch("--json")).json, (await stanch("Node/hill", "--json")).json
    assert {one["name"] for one in near["nodes"]} >= {"hill", "sorter", "sorter-hill", "ledger.example.com"}
    assert len(near["nodes"]) < len(whole["nodes"])
    ends = [json.dumps(edge[end], sort_keys=True) for edge in near["edges"] for end in ("from", "to")]
    nodes = [json.dumps({k: v for k, v in one.items() if k != "seen_in"}, sort_keys=True) for one in near["nodes"]]
    assert {*ends} <= {*nodes}


async def test_a_person_reads_services_by_namespace_and_what_was_not_seen_last(stanch: Stanch) -> None:
    lines = (await stanch()).out.splitlines()
    assert lines[1] == "north/mail"
    (line,) = (one for one in lines if one.startswith("  sorter "))
    assert "Deployment, Service, 2 pods" in line
    assert "calls ledger.example.com, stamps (mail)" in line
    assert "  ledger.example.com  (Database) used by sorter (mail)" in lines
    assert "Could not be seen" in lines[-3]
    assert "  Kubernetes: secrets: the account may not list them" in lines[-1] + lines[-2]
    assert "a:b" not in "".join(lines)


async def test_a_person_reads_what_a_subject_is_and_what_it_is_connected_with(stanch: Stanch) -> None:
    text = " ".join((await stanch("sorter")).out.split())
    assert text.startswith("sorter (mail): Deployment, in north")
    for said in (
        "the same as Service sorter, Service sorting",
        "pods sorter-dale, sorter-hill",
        "calls ledger.example.com, stamps (mail)",
        "runs on dale, hill",
    ):
        assert said in text
    assert "used by" not in text
    assert "runs here sorter (mail)" in " ".join((await stanch("hill")).out.split())


async def test_a_drawing_is_mermaid(stanch: Stanch) -> None:
    drawn = (await stanch("sorting", "--mermaid")).out
    assert drawn.startswith("flowchart LR\n")
    assert '["stamps (mail)<br/>Service"]' in drawn
    assert "-->|calls|" in drawn


async def test_a_name_that_is_not_there_is_unusable_input_with_the_nearest(stanch: Stanch) -> None:
    run = await stanch("sortre")
    assert run.code == 2
    assert "no 'sortre'" in run.said
    assert "Deployment/north/mail/sorter" in run.said


def test_without_any_backend_the_map_says_that_none_is_configured(warm: Warm, tmp_path: Path) -> None:
    found = warm.stanch("--data", tmp_path / "data", "map", "--json", cwd=tmp_path).json
    assert found["nodes"] == []
    assert [one["what"] for one in found["unseen"]] == ["Kubernetes", "Prometheus"]
