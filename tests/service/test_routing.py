"""Routes: what an alert may disturb, and how attention is spared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.alert import Alert, AlertStatus
from agent.domain.urgency import Depth, Urgency
from agent.errors import BadConfiguration
from agent.service.routing import Matcher, Routes, deeper, in_a_storm, patient
from agent.settings_file import RouteEntry

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def alert(severity: str | None = None, **labels: str) -> Alert:
    named = {"alertname": "High", **labels} | ({} if severity is None else {"severity": severity})
    return Alert("alertmanager", "f", AlertStatus.FIRING, named, {}, NOW)


@pytest.mark.parametrize(
    ("matcher", "labels", "holds"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ("severity = critical", {"severity": "critical"}, True),
        ('severity!="critical"', {}, True),
        ('team=~"ml|web"', {"team": "web"}, True),
        ('team=~"ml|web"', {"team": "webshop"}, False),
        ('team!~"ml.*"', {"team": "mlops"}, False),
        ('team=""', {}, True),
        (r'path="a\"b"', {"path": 'a"b'}, True),
        (r'host=~"db\\d+"', {"host": "db7"}, False),
        (r'host=~"db\d+"', {"host": "db7"}, True),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(matcher: str, labels: dict[str, str], holds: bool) -> None:
    assert Matcher.parse(matcher).holds(labels) is holds


@pytest.mark.parametrize("matcher", ["", "severity", '=~"a"', 'a=~"("', '9a="b"'])
def test_what_is_no_matcher_is_a_mistake_of_the_configuration(matcher: str) -> None:
    with pytest.raises(BadConfiguration, match="routes"):
        Matcher.parse(matcher)


@pytest.mark.parametrize(
    ("severity", "depth"),
    [
        ("critical", Depth.INVESTIGATE),
        ("page", Depth.INVESTIGATE),
        (None, Depth.INVESTIGATE),
        ("warning", Depth.DIGEST),
        ("info", Depth.DIGEST),
        ("none", Depth.DIGEST),
    ],
)
def test_without_routes_what_is_worth_a_page_is_investigated(severity: str | None, depth: Depth) -> None:
    assert Routes.of([], "#ops").attention("inc-1", alert(severity)).depth is depth


def test_the_first_route_whose_matchers_hold_says_where_and_whom() -> None:
    routes = Routes.of(
        [
            RouteEntry(match=['team="ml"', 'severity="critical"'], depth="card", channel="#ml", mentions=["S1"]),
            RouteEntry(match=['team="ml"'], depth="ignore"),
        ],
        "#ops",
    )
    first = routes.attention("inc-1", alert("critical", team="ml"))
    second = routes.attention("inc-1", alert("warning", team="ml"))
    assert (first.depth, first.channel, first.mentions) == (Depth.CARD, "#ml", ("S1",))
    assert (second.depth, second.channel) == (Depth.IGNORE, "#ops")
    assert "route 2" in second.why


def test_the_deepest_of_an_incidents_alerts_counts_and_what_was_seen_stays() -> None:
    digest = Urgency("inc-1", Depth.DIGEST, "#ops", seen_at=NOW)
    thread = Urgency("inc-1", Depth.INVESTIGATE, "#ml")
    assert deeper(digest, thread) == Urgency("inc-1", Depth.INVESTIGATE, "#ml", seen_at=NOW)
    assert deeper(thread, digest) is thread


def test_in_a_storm_threads_and_mentions_are_few_and_the_rest_is_digested() -> None:
    fresh = Urgency("inc-1", Depth.INVESTIGATE, "#ops", ("S1",), "route 1")
    assert in_a_storm(fresh, 0, 0, 3) == fresh
    assert in_a_storm(fresh, 2, 2, 3).mentions == ()
    spared = in_a_storm(fresh, 3, 2, 3)
    assert spared.depth is Depth.DIGEST
    assert "stands in the digest" in spared.why


@pytest.mark.parametrize(
    ("severity", "cleared", "median", "waits"),
    [
        (None, 5, timedelta(minutes=4), True),
        ("critical", 5, timedelta(minutes=4), False),
        (None, 2, timedelta(minutes=4), False),
        (None, 5, timedelta(hours=3), False),
        (None, 5, None, False),
    ],
)
def test_what_usually_clears_itself_waits_unless_it_is_critical(
    severity: str | None, cleared: int, median: timedelta | None, waits: bool
) -> None:
    fresh = Urgency("inc-1", Depth.INVESTIGATE, "#ops")
    post_at = patient(fresh, alert(severity), NOW, cleared, median).post_at
    assert post_at == (NOW + timedelta(minutes=4) if waits else None)
