"""All symptoms of what was read of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from tools.kubernetes.symptoms.admission import quotas_full
from tools.kubernetes.symptoms.changes import all_changes
from tools.kubernetes.symptoms.containers import Lines
from tools.kubernetes.symptoms.nodes import control_plane, namespaces_stuck, node_symptoms
from tools.kubernetes.symptoms.objects import Load, Seen
from tools.kubernetes.symptoms.policies import policy_symptoms
from tools.kubernetes.symptoms.services import dangling_references, dangling_routes, service_symptoms
from tools.kubernetes.symptoms.storage import claim_symptoms
from tools.kubernetes.symptoms.workloads import autoscaler_symptoms, workload_symptoms
from tools.symptoms import Symptom


def symptoms_in(seen: Seen, loads: Sequence[Load], lines: Lines | None = None) -> list[Symptom]:
    """What is not as it should be, the worst first; what says one thing of one subject stands once."""
    of_loads = [one for load in loads for one in workload_symptoms(load, lines)]
    found = [
        *of_loads,
        *autoscaler_symptoms(seen),
        *service_symptoms(seen, loads),
        *dangling_references(seen, loads),
        *dangling_routes(seen),
        *policy_symptoms(seen, loads),
        *node_symptoms(seen),
        *control_plane(seen, loads, of_loads),
        *namespaces_stuck(seen),
        *claim_symptoms(seen),
        *quotas_full(seen),
        *all_changes(seen, loads),
    ]
    once = {(one.subject, one.kind, one.reason, one.accuses, one.text): one for one in found}
    return sorted(once.values(), key=lambda one: -one.severity)
