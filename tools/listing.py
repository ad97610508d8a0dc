"""Every tool, listed once. A read or action that is not named here (or brought by an installed package) does not exist."""

from __future__ import annotations

from tools.alerts.actions import ExpireSilence, SilenceAlert
from tools.alerts.active import active_alerts, began_around
from tools.alerts.condition import alert_condition
from tools.alerts.history import alert_history
from tools.alerts.rule import alert_rule
from tools.case_reads import describe_service, open_evidence, search_runbooks
from tools.changes import recent_changes
from tools.drift.inspect import inspect_drift
from tools.kubernetes.actions import RestartWorkload, RollBackWorkload, ScaleWorkload
from tools.kubernetes.logs import workload_logs
from tools.kubernetes.survey import survey
from tools.kubernetes.workloads import describe_workload, rollout_history, workload_events
from tools.logs.search import search_logs
from tools.models.actions import PointModelAlias, RequestRetraining
from tools.models.health import feature_freshness, model_quality
from tools.models.versions import model_lineage, model_versions, served_version
from tools.prometheus.metrics import compare_metrics, find_metrics, query_metrics
from tools.prometheus.restarts import restarts_and_versions
from tools.signals.signal import signal
from tools.signals.suspects import rank_suspects
from tools.toolbox import Tools

TOOLS = Tools(
    reads=(
        query_metrics,
        compare_metrics,
        find_metrics,
        signal,
        alert_rule,
        alert_condition,
        active_alerts,
        alert_history,
        began_around,
        restarts_and_versions,
        recent_changes,
        search_logs,
        rank_suspects,
        describe_workload,
        workload_events,
        workload_logs,
        rollout_history,
        survey,
        inspect_drift,
        model_versions,
        served_version,
        model_lineage,
        model_quality,
        feature_freshness,
        describe_service,
        search_runbooks,
        open_evidence,
    ),
    actions=(
        ScaleWorkload,
        RestartWorkload,
        RollBackWorkload,
        PointModelAlias,
        RequestRetraining,
        SilenceAlert,
        ExpireSilence,
    ),
)
