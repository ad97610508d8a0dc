"""The world: deterministic, causal, plausible."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lab.scenario import RightAction
from agent.lab.server import Lab
from agent.lab.world import queueing
from agent.lab.world.cluster import Cluster
from agent.lab.world.metrics import METRICS
from agent.lab.world.noise import Grid
from tests.lab.acting import act

SCALE = RightAction(action="scale_workload", args={"workload": "forecast-server"})


def dump(lab: Lab, until_ms: int) -> dict[tuple[tuple[str, str], ...], bytes]:
    """Every series up to a time, as bytes."""
    found = {}
    for series in lab.world.series():
        upto = int(np.searchsorted(series.times, until_ms, side="right"))
        if upto:
            found[tuple(sorted(series.labels.items()))] = series.times[:upto].tobytes() + series.values[:upto].tobytes()
    return found


def test_the_same_seed_gives_the_same_world_and_another_another(tmp_path: Path) -> None:
    labs = [Lab.prepare(tmp_path / str(n), "forecast-contention", seed) for n, seed in enumerate((1, 1, 2))]
    dumps = [dump(lab, lab.now_ms()) for lab in labs]
    assert dumps[0] == dumps[1]
    assert dumps[0] != dumps[2]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("forecast-contention", "scale_workload"),
        ("bad-model-version", "alias"),
        ("bad-deploy", "rollback"),
        ("concept-drift", "retrain"),
    ],
)
def test_the_history_before_an_action_never_changes(name: str, kind: str, tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, name, 1)
    lab.clock.advance(timedelta(minutes=3, seconds=17))
    now, before = lab.now_ms(), dump(lab, lab.now_ms())
    act(lab, lab.truth.right_actions[0])
    assert dump(lab, now) == before
    lab.clock.advance(timedelta(hours=5))  # past what the simulation reached at first
    after = dump(lab, now)
    assert {labels: after[labels] for labels in before} == before


def test_nothing_later_than_now_is_handed_out(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    assert max(int(series.times[-1]) for series in lab.world.series()) <= lab.now_ms()


def test_every_series_has_ascending_times_and_counters_fall_only_at_a_restart(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "memory-leak", 1)
    lab.clock.advance(timedelta(hours=1))
    for name, (kind, _, _) in METRICS.items():
        for series in lab.world.series(name):
            assert (np.diff(series.times) > 0).all(), series.labels
            assert np.isfinite(series.values).all(), series.labels
            falls = int((np.diff(series.values) < 0).sum())
            restarted = name.startswith(("http_", "container_")) and series.labels.get("service") == "checkout"
            assert kind == "gauge" or falls <= (5 if restarted else 0), (series.labels, falls)


def test_history_reaches_eight_days_and_has_gaps(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "bad-deploy", 1)
    old = [s for s in lab.world.series("http_requests_total") if s.labels["service"] == "web" and len(s.times) > 1000]
    span = (max(s.times[-1] for s in old) - min(s.times[0] for s in old)) / 86_400_000
    assert span > 7.9
    assert max(int(np.diff(s.times).max()) for s in old) >= 60_000


def test_latency_buckets_rise_with_their_bounds(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    by_pod: dict[str, list[tuple[float, float]]] = {}
    for series in lab.world.series("http_request_duration_seconds_bucket"):
        by_pod.setdefault(series.labels["pod"], []).append((float(series.labels["le"]), float(series.values[-1])))
    for pod, pairs in by_pod.items():
        counts = [count for _, count in sorted(pairs)]
        assert counts == sorted(counts), pod


def test_scaling_out_starts_pods_that_answer_some_time_later(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    cluster = Cluster(lab.world, "eu-1")
    act(lab, SCALE)

    def ready() -> list[bool]:
        return [pod.ready for d in cluster.deployments() if d.name == "forecast-server" for pod in d.pods]

    assert ready() == [True] * 3  # the new ones are not scheduled yet
    lab.clock.advance(timedelta(seconds=10))
    assert sorted(ready()) == [False, False, True, True, True]
    lab.clock.advance(timedelta(seconds=45))
    assert ready() == [True] * 5


def test_a_version_that_cannot_start_leaves_part_of_the_old_pods(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "crash-loop", 1)
    pods = next(d for d in Cluster(lab.world, "eu-1").deployments() if d.name == "payments").pods
    assert [pod.waiting_reason for pod in pods if not pod.ready] == ["CrashLoopBackOff"]
    assert any(pod.ready for pod in pods)


def test_a_rolled_back_template_becomes_the_newest_revision(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "bad-deploy", 1)
    act(lab, lab.truth.right_actions[0])
    revisions = next(d for d in Cluster(lab.world, "eu-1").deployments() if d.name == "checkout").revisions
    assert [(r.number, r.image.rpartition(":")[2]) for r in revisions] == [(13, "3.9.0"), (14, "3.8.1")]


def test_serving_follows_the_alias_within_a_minute(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "bad-model-version", 1)
    act(lab, lab.truth.right_actions[0])
    lab.clock.advance(timedelta(seconds=95))  # one minute to ask, and a scrape
    newest = [s for s in lab.world.series("model_served_version_info") if s.times[-1] > lab.now_ms() - 30_000]
    assert {s.labels["version"] for s in newest} == {"4"}


def test_error_is_known_only_after_the_label_delay(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "harmless-drift", 1)
    until = lab.world.series("model_labels_complete_until_seconds")[0].values[-1]
    assert 20 * 60 <= lab.now_ms() / 1000 - until <= 27 * 60


def test_drift_that_is_harmless_leaves_the_error_where_it_was(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "harmless-drift", 1)
    error = lab.world.series("model_prediction_error_ratio")[0].values
    assert abs(error[-200:].mean() / error[2880 : 2880 * 3].mean() - 1) < 0.15


@given(st.floats(0.01, 0.96), st.integers(1, 8))
def test_waiting_is_a_probability_that_rises_with_load(rho: float, servers: int) -> None:
    less, more = queueing.erlang_c(np.array([rho, min(rho + 0.01, 0.97)]), servers)
    assert 0 <= less <= more <= 1
    if servers == 1:
        assert less == pytest.approx(rho)  # M/M/1


def test_waiting_agrees_with_a_table_of_erlang_c() -> None:
    # Cooper 1981: two servers with 1 erlang wait with probability 1/3, three servers with 2 erlang 4/9
    assert queueing.erlang_c(np.array([0.5]), 2)[0] == pytest.approx(1 / 3)
    assert queueing.erlang_c(np.array([2 / 3]), 3)[0] == pytest.approx(4 / 9)


def test_a_queue_above_capacity_grows_evenly_and_drains() -> None:
    arrivals = np.array([[5.0] * 3 + [12.0] * 4 + [5.0] * 6])
    waiting = queueing.backlog(arrivals, np.full_like(arrivals, 10.0), np.full_like(arrivals, 1e9))
    assert waiting[0].tolist() == [0, 0, 0, 60, 120, 180, 240, 90, 0, 0, 0, 0, 0]


def test_noise_is_the_same_however_far_it_reaches() -> None:
    short, long = Grid(7, 1_794_900_000_000, 2000), Grid(7, 1_794_900_000_000, 5000)
    for kind in ("white", "heavy", "slow"):
        assert (getattr(long, kind)("x")[:1990] == getattr(short, kind)("x")[:1990]).all()


def test_all_of_the_history_is_built_in_seconds_at_most(tmp_path: Path) -> None:
    lab = Lab.prepare(tmp_path, "forecast-contention", 1)
    begin = time.process_time()
    lab.world.series()
    assert time.process_time() - begin < 8  # about one on an idle core; this only catches a loop over steps
