"""`stanch subjects`: bodies of every shape go in, what they are about comes out; what cannot be read says what to give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.warm import Warm

BODY = Path(__file__).parents[1] / "service" / "grouping" / "three-through-one-exporter.json"
ALERT = {"labels": {"alertname": "Down", "job": "web", "namespace": "shop"}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_each_alert_of_a_body_is_told_with_how_it_was_known(warm: Warm, data: Path) -> None:
    found = warm.stanch("--data", data, "subjects", BODY, "--json").json
    first = [row["subjects"][0] for row in found]
    assert [f"{one['namespace']}/{one['name']}" for one in first] == ["shop/checkout", "mail/smtp", "ml/nightly-29311"]
    assert first[0] == {
        "kind": "Deployment",
        "cluster": "",
        "namespace": "shop",
        "name": "checkout",
        "how": "label deployment",
    }
    assert "kube-state-metrics" not in json.dumps(found)


@pytest.mark.parametrize(
    "text",
    [json.dumps(ALERT), json.dumps([ALERT]), json.dumps(ALERT) + "\n" + json.dumps(ALERT)],
    ids=["one", "list", "lines"],
)
def test_alerts_come_as_a_list_as_lines_or_alone(warm: Warm, data: Path, text: str) -> None:
    run = warm.stanch("--data", data, "subjects", "-", stdin=text)
    assert run.code == 0
    assert "shop/web" in run.out


def test_rules_from_a_file_say_what_a_recorded_series_is_about(warm: Warm, data: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "groups:\n- rules:\n  - {record: r, expr: 'sum(x{service=\"orders\"})'}\n  - {alert: Burns, expr: r > 1}\n"
    )
    alert = json.dumps({"labels": {"alertname": "Burns"}})
    found = warm.stanch("--data", data, "subjects", "-", "--rules", rules, "--json", stdin=alert).json
    assert found[0]["subjects"][0]["name"] == "orders"
    assert warm.stanch("--data", data, "subjects", "-", "--json", stdin=alert).json == [
        {"alertname": "Burns", "subjects": []}
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not JSON"),
        ("", "empty"),
        ("[]", "no alerts"),
        ('{"alerts": 5}', "no alerts"),
        ("[1]", "Alert 1 has no `labels`"),
        ('{"labels": {"a": ["b"]}}', "is no text"),
        ('{"labels": {"a": "b"}}\n{', "Line 2 is not JSON"),
    ],
)
def test_what_cannot_be_read_says_what_to_give(warm: Warm, data: Path, text: str, said: str) -> None:
    run = warm.stanch("--data", data, "subjects", "-", stdin=text)
    assert run.code == 2
    assert said in run.said
    assert "Give the body of an Alertmanager webhook" in run.said or "labels" in run.said


def test_rules_that_cannot_be_read_are_unusable_input(warm: Warm, data: Path, tmp_path: Path) -> None:
    run = warm.stanch("--data", data, "subjects", BODY, "--rules", tmp_path / "absent.yaml")
    assert run.code == 2
    assert "Give a file of Prometheus rules" in run.said
