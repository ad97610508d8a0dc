"""The first minute on somebody's own platform: nothing is configured but the address of a real Prometheus with history."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.servers.conftest import Filled
from tests.servers.history import LAST_WEEK, SLOW, YESTERDAY
from tests.servers.machines import Ran, stanch
from tools.formatting import at

pytestmark = pytest.mark.server
WITHIN_S = 15.0


@pytest.fixture(scope="module")
def worked(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    folder = tmp_path_factory.mktemp("bare")
    (folder / "alert.json").write_bytes(filled.body())
    ran = stanch(folder, "investigate", "alert.json", "--json", PROMETHEUS_URL=filled.url)
    print(f"\nbare stack: {ran.seconds:.1f} s with the program's start, {ran.json()['seconds']} s of work")
    return ran, folder


@pytest.fixture(scope="module")
def incident(worked: tuple[Ran, Path]) -> dict[str, Any]:
    found = worked[0].json()
    assert isinstance(found, dict)
    return found


def said(incident: dict[str, Any], pattern: str) -> re.Match[str]:
    """The one finding that reads so. It must name the evidence that its numbers come from."""
    texts = [f["text"] for f in incident["findings"]]
    fitting = [(f, m) for f in incident["findings"] if (m := re.search(pattern, f["text"]))]
    assert len(fitting) == 1, f"{pattern!r} fits {len(fitting)} of {texts}"
    assert fitting[0][0]["evidence"]
    return fitting[0][1]


def clock(seconds: float) -> str:
    return f"{at(seconds):%H:%M}"


def test_it_is_there_within_fifteen_seconds_and_waits_for_a_person(worked: tuple[Ran, Path]) -> None:
    ran, _ = worked
    assert ran.code == 3, ran.err
    assert ran.json()["incident"]["state"] == "handed_over"
    assert ran.json()["proposal"] is None  # without a catalog nothing may be changed
    assert ran.json()["seconds"] < WITHIN_S
    assert "Traceback" not in ran.err


def test_its_rule_and_value(incident: dict[str, Any]) -> None:
    assert said(incident, r"rule measures (\S+) s, above its limit of (\S+) s").groups() == (str(SLOW), "1")
    report = Path(incident["report"]).read_text()
    assert 'max by (service) (checkout\\_latency\\_seconds{service="checkout"}) &gt; 1 for 5 min' in report


def test_since_when(incident: dict[str, Any], filled: Filled) -> None:
    hour, minute, second = map(int, said(incident, r"breach began at (\d+):(\d+):(\d+)").groups())
    breach = at(filled.history.breach)
    seconds = (hour - breach.hour) * 3600 + (minute - breach.minute) * 60 + second
    assert 0 <= seconds % 86_400 <= 60


def test_which_label_values_carry_the_breach(incident: dict[str, Any]) -> None:
    assert said(incident, r"Of pod, (\S+) carries the most: (\S+) s").groups() == ("checkout-c", str(SLOW))
    assert said(incident, r"Of node, (\S+) carries the most").groups() == ("node-2",)


def test_the_same_hour_yesterday_and_last_week(incident: dict[str, Any]) -> None:
    for word, value in (("yesterday", YESTERDAY), ("last week", LAST_WEEK)):
        found = said(incident, rf"higher than {word} at this time: (\S+) s against (\S+) ms")
        assert (found[1], found[2]) == (str(SLOW), f"{value * 1000:g}")


def test_what_else_began_within_ten_minutes(incident: dict[str, Any], filled: Filled) -> None:
    assert said(incident, r"(\d+) other alerts began around the same time")[1] == "1"
    began = filled.history.fired + 180 - 300  # it became active five minutes before it fired
    assert said(incident, r"PaymentsErrors began around then: (\d+:\d+)")[1] == clock(began)
    assert not any("NodeDiskFilling" in f["text"] for f in incident["findings"])  # six hours earlier


def test_how_often_it_fired_and_the_median_time_until_it_cleared(incident: dict[str, Any]) -> None:
    assert said(incident, r"fired and cleared (\d+) times before, as a rule after (.+)\.$").groups() == ("3", "20 min")
    days = re.search(r"fired 4 times in the (\S+) days of history there are", Path(incident["report"]).read_text())
    assert days is not None
    assert float(days[1]) > 8


def test_what_restarted_and_what_changed_its_version(incident: dict[str, Any], filled: Filled) -> None:
    restarted = said(incident, r"Processes restarted: (\d+) in .*, the last at (\d+:\d+):00Z")
    assert restarted.groups() == ("1", clock(filled.history.restarted))
    version = said(incident, r"version in use changed to (\S+) at (\d+:\d+):")
    assert version[1] == "1.4.3"
    assert version[2] in [clock(filled.history.deployed + seconds) for seconds in (60, 120)]


def test_the_change_before_the_breach_outweighs_that_the_alert_often_goes_by_itself(incident: dict[str, Any]) -> None:
    assert (incident["cause"]["component"], incident["cause"]["fault"]) == ("checkout", "bad_deploy")


def test_matching_runbooks(incident: dict[str, Any]) -> None:
    assert (incident["runbooks"][0]["name"], incident["runbooks"][0]["why"]) == ("latency-high", "runbook_url")


def test_what_was_not_checked_says_which_kind_of_nothing_it_was(incident: dict[str, Any]) -> None:
    throttling = [n for n in incident["not_checked"] if "starved of CPU" in n["what"]]
    assert len(throttling) == 1
    assert "no such metric: there is no metric container_cpu_cfs_throttled_periods_total" in throttling[0]["why"]


def test_no_evidence_looks_ahead_of_its_time(worked: tuple[Ran, Path], incident: dict[str, Any]) -> None:
    """Samples lie up to ten minutes ahead of now; nothing that was seen is younger than its own clock."""
    _, folder = worked
    events = stanch(folder, "incidents", "timeline", incident["incident"]["id"], "--jsonl").out.splitlines()
    evidence = [e["data"] for e in map(json.loads, events) if e["kind"] == "evidence"]
    assert len(evidence) == incident["counts"]["reads"]
    for one in evidence:
        limit = datetime.fromisoformat(one["as_of"]).timestamp() + 1
        assert all(f["value"] <= limit for f in one["facts"] if f["unit"] == "unix" and f["value"] is not None)


def test_a_second_alert_of_the_same_kind_is_a_duplicate(worked: tuple[Ran, Path], filled: Filled) -> None:
    ran, folder = worked
    again = stanch(folder, "investigate", "alert.json", "--json", PROMETHEUS_URL=filled.url)
    assert again.code == ran.code
    assert again.json()["incident"]["id"] == ran.json()["incident"]["id"]
    assert again.json()["counts"]["reads"] == ran.json()["counts"]["reads"]


# -- init and doctor --------------------------------------------------------------------------------------------------


def test_init_drafts_what_the_platform_shows_and_then_shows_the_difference(filled: Filled, tmp_path: Path) -> None:
    first = stanch(tmp_path, "init", "--prometheus", filled.url)
    assert first.code == 0, first.err
    assert "1 scrape targets, 1 alerting rules, 0 registered models seen" in first.out
    catalog = (tmp_path / "catalog.yaml").read_text()
    assert "confirmed: false" in catalog
    assert "  checkout:\n    match:\n      service: checkout" in catalog
    assert "verdict: suggest" in (tmp_path / "policy.yaml").read_text()
    assert f"url: {filled.url}" in (tmp_path / "stanch.yaml").read_text()

    mine = catalog.replace("owner: ''", "owner: shop", 1)
    (tmp_path / "catalog.yaml").write_text(mine)
    second = stanch(tmp_path, "init", "--prometheus", filled.url)
    assert second.code == 0, second.err
    assert "-    owner: shop\n+    owner: ''" in second.out
    assert "Left as they are: catalog.yaml" in second.out
    assert (tmp_path / "catalog.yaml").read_text() == mine

    doctor = stanch(tmp_path, "doctor")
    assert doctor.code == 0, doctor.out
    assert re.search(rf"✓ prometheus prometheus +Prometheus 2\S* at {filled.url}", doctor.out)
    assert re.search(r"✓ signals prometheus +\d+ of \d+ signals resolve here", doctor.out)
    assert "not confirmed" in doctor.out
    assert re.search(r"– mlflow +not configured: set STANCH_MLFLOW_URL", doctor.out)


def test_doctor_says_what_is_wrong_with_an_address(filled: Filled, tmp_path: Path) -> None:
    ran = stanch(
        tmp_path, "doctor", "--json", PROMETHEUS_URL=f"{filled.url}/nowhere", ALERTMANAGER_URL="http://127.0.0.1:9"
    )
    assert ran.code == 7
    wrong = {row["what"]: row["text"] for row in ran.json() if row["state"] == "wrong"}
    assert "HTTP 404" in wrong["prometheus prometheus"]
    assert "127.0.0.1:9" in wrong["alertmanager alertmanager"]


def test_init_at_an_address_that_is_no_prometheus_says_so_and_writes_nothing(tmp_path: Path) -> None:
    ran = stanch(tmp_path, "init", "--prometheus", "http://127.0.0.1:9")
    assert ran.code == 6, ran.err
    assert "127.0.0.1:9" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "catalog.yaml").exists()
