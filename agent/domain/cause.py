"""The cause of an incident: one component and one fault. The enum is shared by runbooks, reasoners, scenarios and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tools.context import Json


class Fault(StrEnum):
    CPU_CONTENTION = "cpu_contention"
    MEMORY_LEAK = "memory_leak"
    CRASH_LOOP = "crash_loop"
    BAD_DEPLOY = "bad_deploy"
    BAD_CONFIG = "bad_config"
    DEPENDENCY_DOWN = "dependency_down"
    NETWORK = "network"
    DISK_FULL = "disk_full"
    QUEUE_BACKLOG = "queue_backlog"
    CERTIFICATE_EXPIRY = "certificate_expiry"
    QUOTA = "quota"
    IMAGE_PULL = "image_pull"
    SCHEDULING = "scheduling"
    TRAFFIC_SURGE = "traffic_surge"
    DATA_BUG = "data_bug"
    STALE_FEATURES = "stale_features"
    COVARIATE_DRIFT = "covariate_drift"
    CONCEPT_DRIFT = "concept_drift"
    BAD_MODEL_VERSION = "bad_model_version"
    NODE_DOWN = "node_down"
    MONITORING_GAP = "monitoring_gap"
    NONE = "none"
    UNKNOWN = "unknown"


MODEL_FAULTS = frozenset(
    {Fault.DATA_BUG, Fault.STALE_FEATURES, Fault.COVARIATE_DRIFT, Fault.CONCEPT_DRIFT, Fault.BAD_MODEL_VERSION}
)


@dataclass(frozen=True, slots=True)
class Cause:
    """`component` is a name of the catalog (service, model, workload) or, off the catalog, of a label."""

    component: str
    fault: Fault
    confidence: float = 0.0  # 0 to 1

    def __str__(self) -> str:
        return f"{self.fault} in {self.component}" if self.component else str(self.fault)

    def to_json(self) -> dict[str, Json]:
        return {"component": self.component, "fault": str(self.fault), "confidence": self.confidence}


def cause_from_json(data: Mapping[str, Json]) -> Cause:
    """The inverse of Cause.to_json."""
    return Cause(data["component"], Fault(data["fault"]), data["confidence"])
