"""Alerting rules: when they are pending and firing, what ALERTS shows, and what is sent."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from agent.lab.ports import Rule, Series
from agent.lab.promql import instant, ranged, series_of
from agent.lab.rules import WithAlerts, fingerprint, firing
from agent.lab.samples import Recorded
from agent.lab.templates import filled
from tests.shared_data import shared_data

STEP = 30_000
START = 1_795_132_800_000
HOT = Rule(
    name="TooHot",
    expr='temperature{room!=""} > 30',
    for_s=120,
    labels={"severity": "page", "where": "{{ $labels.room }}"},
    annotations={
        "summary": "{{ $labels.room }} is at {{ $value | humanize }}",
        "runbook_url": "https://runbooks.example/hot",
    },
)


def room(values: np.ndarray, name: str = "hall") -> Series:
    times = START + STEP * np.arange(values.size, dtype=np.int64)
    return Series({"__name__": "temperature", "room": name}, times, values.astype(float))


def heated(hot: list[tuple[int, int]], steps: int) -> np.ndarray:
    values = np.full(steps, 20.0)
    for begin, end in hot:
        values[begin:end] = 35.5
    return values


def alerts(values: np.ndarray, rule: Rule = HOT) -> tuple[WithAlerts, Recorded]:
    recorded = Recorded([room(values)], START + STEP * (values.size - 1))
    return WithAlerts(recorded, [rule]), recorded


def test_an_alert_is_pending_until_its_time_is_up_and_then_fires() -> None:
    samples, recorded = alerts(heated([(10, 30)], 60))
    states = []
    for step in (9, 10, 13, 14, 29, 30):
        recorded.move_to(START + STEP * step)
        states.append([one.state for one in samples.active()])
    assert states == [[], ["pending"], ["pending"], ["firing"], ["firing"], []]


def test_intervals_tell_when_it_began_fired_and_ended() -> None:
    samples, _ = alerts(heated([(10, 30), (40, 42)], 60))
    long, short = samples.intervals(START, START + STEP * 60)
    assert (long.active_ms, long.fired_ms, long.ended_ms) == (START + 10 * STEP, START + 14 * STEP, START + 30 * STEP)
    assert (short.fired_ms, short.ended_ms) == (None, START + 42 * STEP)


def test_alerts_is_a_series_that_ends_when_the_alert_ends() -> None:
    samples, _ = alerts(heated([(10, 30)], 60))
    answer = ranged(samples, 'ALERTS{alertname="TooHot"}', START, START + STEP * 59, STEP)
    shown = {dict(labels)["alertstate"]: ((times - START) // STEP).tolist() for labels, times, _ in series_of(answer)}
    assert shown == {"pending": list(range(10, 14)), "firing": list(range(14, 30))}
    since = instant(samples, "ALERTS_FOR_STATE", START + STEP * 20)
    assert series_of(since)[0][2].tolist() == [(START + 10 * STEP) / 1000]


def test_an_alert_that_began_days_ago_knows_when() -> None:
    steps = 3 * 2880
    samples, recorded = alerts(heated([(100, steps)], steps))
    (one,) = samples.active()
    assert one.active_ms == START + 100 * STEP
    recorded.move_to(START + STEP * 150)
    assert samples.active()[0].active_ms == START + 100 * STEP


def test_asking_for_a_window_far_back_and_then_for_now_gives_what_one_evaluation_gives() -> None:
    rng = np.random.default_rng(3)
    steps = 3000
    values = np.where(np.repeat(rng.random(steps // 20) > 0.6, 20), 35.0, 20.0)
    piecemeal, recorded = alerts(values)
    for step in (100, 101, 900, 1700, 2999):
        recorded.move_to(START + STEP * step)
        piecemeal.active()
    at_once, _ = alerts(values)
    window = (START + STEP * 50, START + STEP * 2900)
    assert piecemeal.intervals(*window) == at_once.intervals(*window)
    assert len(piecemeal.intervals(*window)) > 20


def test_what_fires_is_told_as_an_alertmanager_tells_it() -> None:
    samples, _ = alerts(heated([(10, 30)], 25))
    (alert,) = firing(samples, lambda: "http://lab/prometheus")
    assert alert["labels"] == {"alertname": "TooHot", "room": "hall", "severity": "page", "where": "hall"}
    assert alert["annotations"] == {"summary": "hall is at 35.5", "runbook_url": "https://runbooks.example/hot"}
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-11-20T00:07:00Z", "0001-01-01T00:00:00Z")
    address = urlsplit(str(alert["generatorURL"]))
    assert address.path == "/prometheus/graph"
    assert parse_qs(address.query) == {"g0.expr": [HOT.expr], "g0.tab": ["1"]}
    assert alert["fingerprint"] == fingerprint(
        {"where": "hall", "severity": "page", "room": "hall", "alertname": "TooHot"}
    )


def test_a_fingerprint_is_the_one_a_real_alertmanager_computes() -> None:
    seen = 0
    for path in sorted(shared_data("alertmanager").glob("0.*/*.json")):
        body = json.loads(path.read_text())
        for alert in body.get("alerts", []) if isinstance(body, dict) else []:
            assert fingerprint(alert["labels"]) == alert["fingerprint"], path
            seen += 1
    assert seen > 10


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ $value }}", "1234.5"),
        ("{{$value|humanize}}", "1.234k"),
        ("{{ $value | humanize1024 }}", "1.206ki"),
        ("{{ humanizeDuration $value }}", "20m 34s"),
        ("{{ $value | humanizePercentage }}", "1.234e+05%"),
        ('{{ $value | printf "%.1f s" }}', "1234.5 s"),
        ('{{ printf "%.2f" $value }}', "1234.50"),
        ("{{ $labels.pod }}/{{ $labels.none }}", "a/"),
        ("{{ $labels.pod | toUpper }}", "A"),
        ("no action", "no action"),
        ('{{ query "up" }}', '<error expanding template: query "up" is not known to the lab>'),
    ],
)
def test_templates_are_filled_as_prometheus_fills_them(template: str, text: str) -> None:
    assert filled(template, {"pod": "a"}, 1234.5) == text
