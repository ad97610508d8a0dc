"""What is known of a platform's objects: by names alone, by the catalog's workloads, and by the map."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from agent.domain.catalog import CatalogFile, from_file
from agent.errors import UnusableInput
from agent.platform.edges import Edge, EdgeKind, Part
from agent.platform.known import KnownPlatform
from agent.platform.platform_map import joined
from tools.context import Subject

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def one(kind: str, name: str, namespace: str = "post") -> Subject:
    return Subject(kind, "", namespace, name)


@pytest.mark.parametrize(
    ("kind", "mine", "others"),
    [
        ("Deployment", "stamps-6c9f7b5d4-h8w2k", "stamps-printer-6c9f7b5d4-h8w2k"),
        ("StatefulSet", "stamps-2", "stamps-printer-2"),
        ("DaemonSet", "stamps-h8w2k", "stamps-6c9f7b5d4-h8w2k"),
        ("CronJob", "stamps-29311200-h8w2k", "stamps-h8w2k"),
    ],
)
def test_the_pods_of_a_workload_are_those_that_its_kind_makes(kind: str, mine: str, others: str) -> None:
    names = re.compile(KnownPlatform().names(one(kind, "stamps"), "Pod"))
    assert names.fullmatch(mine)
    assert not names.fullmatch(others)


def test_a_deployment_and_the_service_of_its_name_are_one_thing_in_one_namespace_only() -> None:
    known = KnownPlatform()
    assert known.same(one("Deployment", "stamps"), one("Service", "stamps"))
    assert known.same(one("Service", "stamps", ""), one("Deployment", "stamps"))
    assert not known.same(one("Deployment", "stamps", "old-post"), one("Service", "stamps"))
    assert not known.same(one("PersistentVolumeClaim", "stamps"), one("Service", "stamps"))


def test_a_machine_is_the_same_at_another_port() -> None:
    assert KnownPlatform().same(one("Node", "10.0.0.7:9100", ""), one("Node", "10.0.0.7:10250", ""))


def test_the_catalog_says_which_workloads_a_service_has() -> None:
    entry = {"workloads": [{"name": "sorter", "namespace": "post", "cluster": "eu-1"}]}
    known = KnownPlatform(from_file(CatalogFile.model_validate({"services": {"letters": entry}})))
    service = one("Service", "letters", "")
    assert known.same(one("Deployment", "sorter"), service)
    assert re.fullmatch(known.names(service, "Pod"), "sorter-6c9f7b5d4-h8w2k")


def test_the_map_says_what_a_service_selects_and_what_lies_near() -> None:
    letters, sorter, database = one("Service", "letters"), one("Deployment", "sorter"), one("Database", "archive", "")
    edges = (
        Edge(letters, sorter, EdgeKind.SELECTS, "Kubernetes"),
        Edge(sorter, database, EdgeKind.CALLS, "Kubernetes"),
    )
    part = Part(dict.fromkeys((letters, sorter), "Kubernetes"), edges)
    known = KnownPlatform(map=joined([part], NOW))
    assert known.same(sorter, letters)
    assert re.fullmatch(known.names(letters, "Container"), "sorter-6c9f7b5d4-h8w2k")
    assert database.name in [near.name for near in known.near(letters)]
    assert known.find("sorter") == sorter


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("stamps", one("Service", "stamps", "")),
        ("post/stamps", one("Service", "stamps")),
        ("deployment/post/stamps", None),
        ("Deployment/post/stamps", one("Deployment", "stamps")),
        ("Target/https://stamps.example/health", one("Target", "https://stamps.example/health", "")),
        ("Node/n1", one("Node", "n1", "")),
        ("Deployment/", None),
    ],
)
def test_a_subject_that_a_person_names_is_read_or_the_form_is_said(text: str, meant: Subject | None) -> None:
    if meant is not None:
        assert KnownPlatform().find(text) == meant
        return
    with pytest.raises(UnusableInput, match="Kind/"):
        KnownPlatform().find(text)
