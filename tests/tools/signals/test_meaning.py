"""Which signals metrics measure: by the dialects that read them, else by the words of their names."""

from __future__ import annotations

import pytest

from tools.signals.dialects import by_words, signal_named, signals_measured, spoken


@pytest.mark.parametrize(
    ("metrics", "first"),
    [
        (["probe_ssl_earliest_cert_expiry"], "tls_expiry"),
        (["node_filesystem_avail_bytes", "node_filesystem_size_bytes"], "node_disk_free"),
        (["kube_pod_container_status_restarts_total"], "restarts"),
        (["ranker_feature_missing_share"], "feature_nulls"),
        (["demand_forecast_smape"], "model_error"),
        (["orders_queue_oldest_seconds"], "queue_age"),
    ],
)
def test_a_rules_metrics_tell_what_it_measures(metrics: list[str], first: str) -> None:
    assert signals_measured(metrics)[0] == first


def test_metrics_that_nobody_knows_measure_no_known_signal() -> None:
    assert signals_measured(["kettle_lid_open"]) == []


def test_a_teams_own_gauge_is_spoken_where_no_dialect_is() -> None:
    found = spoken(signal_named("feature_age"), {"ranker_feature_last_updated_seconds", "up"})
    assert found is not None
    assert [one.query for one in found.dialects] == ["time() - ranker_feature_last_updated_seconds"]
    assert spoken(signal_named("feature_age"), {"ranker_feature_reads_total", "up"}) is None


def test_a_counter_is_never_taken_for_a_gauge() -> None:
    assert by_words(signal_named("model_error"), {"model_prediction_errors_total"}) == ()
