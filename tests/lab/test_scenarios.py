"""Every packaged scenario: its alert fires in its world, what is right ends it, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.cause import Fault
from agent.errors import BadConfiguration, UnusableInput
from agent.lab import scenario as scenarios
from agent.lab.alert_rules import TABLE
from agent.lab.scenario import Deploy, FromTo, Scenario
from agent.lab.server import Lab
from tests.lab.acting import act

NAMES = scenarios.names()
FAULTS = [name for name in NAMES if scenarios.load(name).truth.causes[0].fault is not Fault.NONE]
MENDED = [name for name in NAMES if scenarios.load(name).truth.right_actions and scenarios.load(name).truth.recovers]
MINUTE = timedelta(minutes=1)


def minutes_to_recovery(lab: Lab, within: float) -> int | None:
    for minute in range(1, int(within) + 1):
        lab.clock.advance(MINUTE)
        if lab.recovered():
            return minute
    return None


def test_there_are_enough_kinds_and_a_fifth_has_no_fault() -> None:
    assert len(NAMES) >= 14
    assert len(NAMES) - len(FAULTS) >= max(3, len(NAMES) / 5)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_alert_fires_at_the_start(name: str, seed: int, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, name, seed)
    alert = lab.the_alert()
    assert alert is not None
    assert alert["startsAt"] <= lab.clock.now().isoformat()
    assert alert["annotations"]["runbook_url"].startswith("https://runbooks.example/")
    assert "g0.expr=" in alert["generatorURL"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", MENDED)
def test_the_right_actions_end_it(name: str, seed: int, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, name, seed)
    lab.clock.advance(MINUTE)
    for action in lab.truth.right_actions:
        act(lab, action)
    assert minutes_to_recovery(lab, lab.truth.recovery_minutes) is not None


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stays_when_nobody_acts(name: str, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, name, 1)
    assert minutes_to_recovery(lab, 20) is None


def test_a_server_that_ignores_the_alias_is_not_mended_by_it(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "alias-ignored", 1)
    act(lab, lab.truth.right_actions[0])
    assert minutes_to_recovery(lab, 40) is None
    served = {
        s.labels["version"]
        for s in lab.world.series("model_served_version_info")
        if s.times[-1] > lab.now_ms() - 60_000
    }
    assert served == {"5"}


def test_scaling_the_wrong_cluster_mends_nothing(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "two-clusters", 1)
    wrong = next(a for a in lab.truth.harmful_actions if a.action == "scale_workload")
    act(lab, wrong)
    assert minutes_to_recovery(lab, 15) is None


def test_one_of_two_fixes_is_not_enough(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "two-causes", 1)
    act(lab, lab.truth.right_actions[0])
    assert minutes_to_recovery(lab, 20) is None


def test_a_restarted_leak_comes_back(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "memory-leak", 1)
    act(lab, lab.truth.brief_help[0])
    assert minutes_to_recovery(lab, 10) is not None
    lab.clock.advance(timedelta(hours=8, minutes=35))
    assert lab.the_alert() is not None


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_telemetry_shows_gives_the_truth_away(name: str, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, name, 1)
    shown = " ".join(str(dict(s.labels)) for s in lab.world.series("up")) + str(lab.the_alert())
    words = [str(cause.fault) for cause in lab.truth.causes if cause.fault is not Fault.NONE] + [lab.scenario.name]
    urls = {row[5] for row in TABLE.values()}
    for url in urls:
        shown = shown.replace(f"https://runbooks.example/{url}", "")
    assert not [word for word in words if word in shown]


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_a_herring(name: str) -> None:
    assert scenarios.load(name).herrings


def test_drawing_fixes_every_number_and_depends_on_the_seed() -> None:
    loaded = scenarios.load("forecast-contention")
    drawn = [loaded.draw(seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert "'from'" not in str(drawn[0].model_dump(by_alias=True))
    deploy = next(e for e in drawn[0].herrings if isinstance(e, Deploy))
    wide = next(e for e in loaded.herrings if isinstance(e, Deploy)).minutes
    assert isinstance(wide, FromTo)
    assert isinstance(deploy.minutes, float)
    assert wide.low <= deploy.minutes <= wide.high
    assert Scenario.model_validate(drawn[0].model_dump(mode="json", by_alias=True)) == drawn[0]


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(UnusableInput, match="forecast-contention"):
        scenarios.load("forcast-contention")


def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    text = (scenarios.FOLDER / "bad-deploy.yaml").read_text().replace("about:", "abuot:")
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadConfiguration, match=r"mine.yaml:3: abuot: unknown key. Did you mean 'about'"):
        scenarios.load(str(path))
