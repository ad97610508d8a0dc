"""Alertmanager's own bodies are read, and what is no such body is refused with what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.domain.alert import AlertStatus
from agent.domain.timeline import canonical
from agent.errors import UnusableInput
from agent.sources.alertmanager import delivered, parse

RECORDED = sorted((Path(__file__).parents[1] / "fixtures" / "alertmanager").glob("0.*/*.json"))
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_recorded_body_is_read_whole(path: Path) -> None:
    body = json.loads(path.read_text())
    alerts = parse(path.read_bytes(), NOW)
    assert [a.fingerprint for a in alerts] == [one["fingerprint"] for one in body["alerts"]]
    assert [str(a.status) for a in alerts] == [one["status"] for one in body["alerts"]]
    assert [dict(a.labels) for a in alerts] == [one["labels"] for one in body["alerts"]]
    assert all(a.group_key == body["groupKey"] for a in alerts)


def test_a_firing_group_may_hold_resolved_alerts() -> None:
    path = next(p for p in RECORDED if p.stem == "mixed-firing-and-resolved")
    assert {str(a.status) for a in parse(path.read_bytes(), NOW)} == {"firing", "resolved"}


def test_a_firing_alert_has_no_end() -> None:
    path = next(p for p in RECORDED if p.stem == "first-firing")
    assert parse(path.read_bytes(), NOW)[0].ends_at is None


def test_the_rule_expression_is_read_out_of_the_generator_url() -> None:
    path = next(p for p in RECORDED if p.stem == "ungrouped-warning-expr-in-generatorurl")
    expression = parse(path.read_bytes(), NOW)[0].expression
    assert expression is not None
    assert ">" in expression


def test_the_runbook_slug_is_the_last_part_of_its_address() -> None:
    path = next(p for p in RECORDED if p.stem == "ungrouped-with-runbook-url")
    alert = parse(path.read_bytes(), NOW)[0]
    assert alert.runbook_slug
    assert alert.annotations["runbook_url"].rstrip("/").endswith((alert.runbook_slug, f"{alert.runbook_slug}.md"))


def test_the_list_of_the_api_is_read_too() -> None:
    body = (RECORDED[0].parents[1] / "am_alerts2.json").read_bytes()
    alerts = parse(body, NOW)
    assert [a.status for a in alerts] == [AlertStatus.FIRING] * len(alerts)
    assert alerts


def test_unknown_keys_are_kept() -> None:
    body = {"alerts": [{"labels": {"alertname": "X"}, "startsAt": "2026-11-24T01:00:00Z", "colour": "red"}]}
    assert parse(json.dumps(body), NOW)[0].extra == {"colour": "red"}


def test_null_annotations_and_values_are_read_as_absent() -> None:
    body = {
        "alerts": [{"labels": {"alertname": "X", "a": None}, "annotations": None, "startsAt": "2026-11-24T01:00:00Z"}]
    }
    alert = parse(json.dumps(body), NOW)[0]
    assert dict(alert.labels) == {"alertname": "X", "a": ""}
    assert dict(alert.annotations) == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "The input is empty"),
        (b"not json", "starts with 'not json'"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "no `alerts`"),
        (b'{"foo": 1}', "it has foo"),
        (b'{"alerts": []}', "no alerts"),
        (b'{"version": "3", "alerts": [{}]}', "version '3'"),
        (b'{"alerts": [{"labels": {}, "startsAt": "2026-11-24T01:00:00Z"}]}', "no labels"),
        (b'{"alerts": [{"labels": {"alertname": "X"}}]}', "startsAt: Field required"),
        (b'{"alerts": [{"labels": {"alertname": {"x": 1}}, "startsAt": "2026-11-24T01:00:00Z"}]}', "labels.alertname"),
        (b'{"alerts": 7}', "alerts"),
        (b"7", "cannot be read"),
    ],
)
def test_what_is_no_body_is_refused_with_what_was_seen(body: bytes, says: str) -> None:
    with pytest.raises(UnusableInput) as refused:
        parse(body, NOW)
    assert says in str(refused.value)


def test_an_address_that_is_none_has_neither_rule_nor_runbook() -> None:
    body = {
        "alerts": [
            {
                "labels": {"alertname": "X"},
                "startsAt": "2026-11-24T01:00:00Z",
                "generatorURL": "http://[::bad?g0.expr=up",
                "annotations": {"runbook_url": "https://[runbooks/x"},
            }
        ]
    }
    (alert,) = parse(json.dumps(body), NOW)
    assert (alert.expression, alert.runbook_slug) == (None, None)


def test_a_number_without_an_end_is_null_so_that_the_timeline_can_keep_the_alert() -> None:
    body = '{"alerts": [{"labels": {"alertname": "X"}, "startsAt": "2026-11-24T01:00:00Z", "values": {"B": [1e999, 1.5]}}]}'
    (alert,) = parse(body, NOW)
    assert alert.extra == {"values": {"B": [None, 1.5]}}
    assert canonical(alert.to_json())


def _one(**more: object) -> dict[str, object]:
    return {"labels": {"alertname": "A"}, "startsAt": "2026-11-24T02:00:00Z", **more}


@pytest.mark.parametrize(
    ("group", "alert", "status"),
    [
        ("resolved", {"status": "firing"}, "firing"),  # the group's word is about the group
        ("firing", {"status": "resolved", "endsAt": "2026-11-24T02:30:00Z"}, "resolved"),
        ("firing", {"endsAt": "2026-11-24T02:30:00Z"}, "resolved"),
        (
            "firing",
            {"endsAt": "2026-11-24T03:30:00Z"},
            "firing",
        ),  # Alertmanager says until when it would take it for firing
        ("firing", {"endsAt": "0001-01-01T00:00:00Z"}, "firing"),
    ],
)
def test_an_alert_stands_as_it_says_itself(group: str, alert: dict[str, object], status: str) -> None:
    body = json.dumps({"version": "4", "status": group, "alerts": [_one(**alert)]})
    assert [str(a.status) for a in parse(body, NOW)] == [status]


def test_an_alert_that_cannot_be_read_holds_up_none_before_or_after_it() -> None:
    alerts = [_one(fingerprint="1"), {"labels": 7}, _one(fingerprint="2"), {}, _one(fingerprint="3")]
    found = delivered(json.dumps({"version": "4", "alerts": alerts}).encode(), NOW)
    assert [a.fingerprint for a in found.alerts] == ["1", "2", "3"]
    assert [line.split()[0] for line in found.odd] == ["alerts.1", "alerts.3"]
