"""Argument schemas as lint is given them: stand-ins with the names, bounds and types of the tools that runbooks use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tools.spec import WorkloadName


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueryMetrics(Strict):
    promql: str
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30


class RecentChanges(Strict):
    service: str = ""
    hours: Annotated[int, Field(ge=1, le=336)] = 24


class InspectDrift(Strict):
    source: str = ""


class OfModel(Strict):
    model: str


class ModelQuality(OfModel):
    days: Annotated[int, Field(ge=1, le=90)] = 14


class OfWorkload(Strict):
    workload: WorkloadName


class Scale(OfWorkload):
    replicas: Annotated[int, Field(ge=1, le=50)]


class RollBack(OfWorkload):
    revision: Annotated[int, Field(ge=1)]


class PointAlias(OfModel):
    version: str
    alias: str = "champion"


class Retraining(OfModel):
    reason: Annotated[str, Field(min_length=3, max_length=500)]
    data_version: str = ""


READS: dict[str, type[BaseModel]] = {
    "query_metrics": QueryMetrics, "compare_metrics": QueryMetrics, "recent_changes": RecentChanges, "inspect_drift": InspectDrift,
    "served_version": OfModel, "feature_freshness": OfModel, "model_quality": ModelQuality, "describe_workload": OfWorkload,
    "workload_logs": OfWorkload,
}  # fmt: skip
ACTIONS: dict[str, type[BaseModel]] = {
    "scale_workload": Scale, "roll_back_workload": RollBack, "restart_workload": OfWorkload, "point_model_alias": PointAlias,
    "request_retraining": Retraining,
}  # fmt: skip
