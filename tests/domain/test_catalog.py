"""The catalog: exact names, one cluster a target, people by verified principal, and mistakes named by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.domain.catalog import Catalog, CatalogFile, from_file, load
from agent.errors import BadConfiguration, TargetUnclear

TEXT = """\
services:
  web:
    depends_on: [forecast]
    workload: web
    namespace: shop
    cluster: eu-1
  forecast:
    match: {service: demand-forecast, namespace: ml}
    serves_model: demand
    environment: production
    owner: ml-platform
    workloads:
      - {name: forecast-server, namespace: ml, cluster: eu-1}
      - {name: forecast-server, namespace: ml, cluster: us-1}
models:
  demand: {registry_name: demand-forecast, served_by: forecast, freshness_limit: PT6H}
people:
  ann: {os_user: ann, slack: {team: T1, user: U1}}
  bob: {os_user: bob}
groups:
  oncall: [ann, bob]
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    path = tmp_path / "catalog.yaml"
    path.write_text(TEXT)
    return load(path)


def test_a_service_is_found_by_all_its_labels(catalog: Catalog) -> None:
    found = catalog.service_for({"service": "demand-forecast", "namespace": "ml", "pod": "x"})
    assert found is not None
    assert found.name == "forecast"
    assert catalog.service_for({"service": "demand-forecast"}) is None
    assert catalog.service_for({"service": "web"}) == catalog.service("web")


def test_a_workload_name_in_two_clusters_is_never_guessed(catalog: Catalog) -> None:
    with pytest.raises(TargetUnclear, match="eu-1/ml/forecast-server, us-1/ml/forecast-server"):
        catalog.workload("forecast-server")
    assert catalog.workload("us-1/ml/forecast-server").cluster == "us-1"
    assert str(catalog.workload("web")) == "eu-1/shop/web"


def test_an_unknown_workload_names_those_there_are(catalog: Catalog) -> None:
    with pytest.raises(TargetUnclear, match="No workload is called 'nope'"):
        catalog.workload("nope")


def test_a_model_is_found_by_either_of_its_names(catalog: Catalog) -> None:
    assert catalog.model("demand") == catalog.model("demand-forecast")
    model = catalog.model_for({}, catalog.service("forecast"))
    assert model is not None
    assert model.registry_name == "demand-forecast"


def test_people_are_known_by_what_a_surface_verified(catalog: Catalog) -> None:
    assert catalog.person("os:ann").name == "ann"
    assert catalog.person("slack:T1/U1").groups == ("oncall",)
    assert catalog.person("slack:T2/U1").name is None
    assert catalog.person("os:mallory").groups == ()


def test_who_needs_a_service_is_its_blast_radius(catalog: Catalog) -> None:
    assert catalog.dependents("forecast") == ("web",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "services:\n  web:\n    dependson: [a]\n",
            "catalog.yaml:3: services.web.dependson: unknown key. Did you mean 'depends_on'?",
        ),
        ("services:\n  web: {depends_on: [nope]}\n", "no service 'nope'"),
        ("services:\n  web: {workload: web}\n", "names no cluster"),
        ("services:\n  web: {serves_model: m}\n", "no model 'm'"),
        ("groups:\n  a: [ann]\n", "no person 'ann'"),
        ("services: [\n", "catalog.yaml:2: not YAML"),
        ("services:\n  web: {}\n  web: {}\n", "catalog.yaml:3: 'web' stands twice"),
        ("people:\n  ann: {slack: {team: T1}}\n", "catalog.yaml:2: people.ann.slack.user: Field required"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    with pytest.raises(BadConfiguration) as refused:
        load(path)
    assert says in str(refused.value)


def test_an_empty_catalog_is_a_catalog_in_which_nobody_may_decide() -> None:
    assert from_file(CatalogFile()).person("os:root").name is None
