"""Scenario files: what breaks, when, and the truth. A page for authors is `scenarios/README.md`.

A number may be drawn by seed: `{from: 0.7, to: 0.8}`. Minutes, hours and days count back from the lab's start.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent import yaml_file
from agent.domain.cause import Fault
from agent.errors import UnusableInput
from agent.lab.world.noise import generator

FOLDER = Path(__file__).parent / "scenarios"
ServiceName: TypeAlias = Literal[
    "web",
    "checkout",
    "payments",
    "catalog-db",
    "order-worker",
    "demand-forecast",
    "feature-pipeline",
    "inventory-planner",
]
FeatureName: TypeAlias = Literal["price", "promo", "temperature", "sales_7d"]
E = TypeVar("E", bound="Part")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FromTo(Part):
    """A number drawn evenly between two ends by the seed."""

    low: float = Field(alias="from")
    high: float = Field(alias="to")


Number: TypeAlias = float | FromTo


def fixed(number: Number) -> float:
    """A number's value once the scenario is drawn."""
    if isinstance(number, FromTo):
        raise ValueError("the scenario is not drawn yet")
    return number


class Effect(Part):
    """Something that happens. `cluster` defaults to the scenario's first."""

    cluster: str = ""


class Contention(Effect):
    """A neighbour takes CPU from the nodes a service runs on: each request costs more CPU time."""

    type: Literal["contention"]
    service: ServiceName
    minutes: Number
    utilisation: Number = Field(
        description="busy share of the service's CPU limit it comes to, at the traffic of the start"
    )
    over_minutes: Number = 3.0
    lasts_minutes: Number | None = None


class Deploy(Effect):
    """A new version of a workload, good or bad. What is bad about it lasts while pods run its image."""

    type: Literal["deploy"]
    service: ServiceName
    minutes: Number
    version: str
    cause: str = "Release"
    by: str = "ci-bot"
    error_share: Number = 0.0
    cpu_factor: Number = 1.0
    slow_s: Number = Field(0.0, description="seconds off the CPU added to each request")
    leak_full_minutes: Number = Field(0.0, description="minutes from start to the memory limit; 0 = no leak")
    crash: bool = False


class Surge(Effect):
    """More visitors: all traffic grows by a factor."""

    type: Literal["surge"]
    minutes: Number
    factor: Number
    over_minutes: Number = 6.0
    lasts_minutes: Number | None = None
    weekly: bool = Field(False, description="the same an exact week earlier")


class Hang(Effect):
    """A service's processes stop answering a share of requests, until they are restarted."""

    type: Literal["hang"]
    service: ServiceName
    minutes: Number
    share: Number
    lasts_minutes: Number | None = None
    heals_on_restart: bool = True


class Promotion(Effect):
    """A model version becomes champion. `bias` and `promo_error` are what its coefficients have wrong."""

    type: Literal["promotion"]
    minutes: Number
    bias: Number = 0.0
    promo_error: Number = 0.0
    by: str = "ann"


class PinnedServing(Effect):
    """The model server loads a fixed version, whatever the alias says."""

    type: Literal["pinned_serving"]


class FeatureBug(Effect):
    """The pipeline writes nulls into a feature (serving reads them as zero)."""

    type: Literal["feature_nulls"]
    feature: FeatureName
    minutes: Number
    share: Number


class LatePartition(Effect):
    """The nightly batch read the partition of an earlier day: features are there, and old."""

    type: Literal["late_partition"]
    features: tuple[FeatureName, ...]
    nights: Number = Field(1.0, description="how many nightly runs were missed")


class LabelsLate(Effect):
    """True outcomes come days late; from some minutes ago on, those that come have rows missing."""

    type: Literal["labels_late"]
    days: Number
    minutes: Number
    missing_share: Number = Field(0.0, description="share of sales missing in what came in since")


class ConceptDrift(Effect):
    """The world changes: what a price does to demand is no longer what the model learned."""

    type: Literal["concept"]
    minutes: Number
    price_effect: Number
    over_minutes: Number = 60.0


class CovariateDrift(Effect):
    """A feature's distribution moves; the model's answer to it stays right."""

    type: Literal["covariate"]
    feature: FeatureName
    minutes: Number
    shift: Number = Field(description="in standard deviations")
    over_minutes: Number = 240.0


class DiskGrowth(Effect):
    """A node's disk fills."""

    type: Literal["disk"]
    node: int = Field(ge=0, le=3)
    minutes: Number
    hours_to_full: Number


class CertificateAge(Effect):
    """The shop's certificate ends soon."""

    type: Literal["certificate"]
    days_left: Number


class SlowConsumer(Effect):
    """Each queued order takes longer: the queue grows."""

    type: Literal["slow_consumer"]
    minutes: Number
    factor: Number


class ChronicThrottling(Effect):
    """A neighbour that has always been throttled somewhat, and lives with it."""

    type: Literal["chronic_throttling"]
    service: ServiceName = "inventory-planner"
    utilisation: Number = 0.36


AnyEffect: TypeAlias = Annotated[
    Contention
    | Deploy
    | Surge
    | Hang
    | Promotion
    | PinnedServing
    | FeatureBug
    | LatePartition
    | LabelsLate
    | ConceptDrift
    | CovariateDrift
    | DiskGrowth
    | CertificateAge
    | SlowConsumer
    | ChronicThrottling,
    Field(discriminator="type"),
]


class AlertRef(Part):
    """The alert that brings the incident in: its rule's name, and labels that tell which of its series."""

    name: str
    labels: dict[str, str] = {}


class Cause(Part):
    component: str
    fault: Fault
    also: tuple[str, ...] = Field((), description="other names that mean the same component")


class RightAction(Part):
    """An action and the arguments that matter; an argument left out may be anything."""

    action: str
    args: dict[str, str | int] = {}


class Truth(Part):
    """Never shown to any reasoner. Several causes: all of them; the first is the one that matters most."""

    causes: tuple[Cause, ...]
    kind: Literal["infra", "model", "joint", "none"]
    right_actions: tuple[RightAction, ...] = ()
    brief_help: tuple[RightAction, ...] = Field((), description="wrong fixes that help for a while")
    harmful_actions: tuple[RightAction, ...] = ()
    must_abstain: bool = Field(False, description="no action is right; a person has to be called or nothing is wrong")
    recovers: bool = Field(True, description="whether the right actions end it")
    recovery_minutes: float = 25.0


class Start(Part):
    weekday: Number = Field(1.0, description="0 = Monday; drawn numbers are cut to whole days")
    hour: Number = Field(default=FromTo.model_validate({"from": 12.0, "to": 16.0}))


class Scenario(Part):
    """One file. After `draw` every number is fixed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    about: str = Field(description="for people; no reasoner sees it")
    alert: AlertRef
    truth: Truth
    clusters: tuple[str, ...] = ("eu-1",)
    start: Start = Start.model_validate({})
    effects: tuple[AnyEffect, ...]
    herrings: tuple[AnyEffect, ...] = Field((), description="true and harmless: what a hurried reader would blame")
    blind: bool = Field(False, description="alerts carry names that nobody has seen, and no runbook_url")
    thresholds: dict[str, float] = Field({}, description="rule name → another threshold")
    label_delay_minutes: Number = 180.0
    error_window_minutes: float = 120.0
    traffic: Number = Field(1.0, description="against the usual")

    @model_validator(mode="after")
    def _fault_needs_a_cause(self) -> Scenario:
        if not self.truth.causes:
            raise ValueError("truth.causes is empty; a scenario without fault has one cause with fault: none")
        return self

    @property
    def all_effects(self) -> tuple[AnyEffect, ...]:
        return self.effects + self.herrings

    def draw(self, seed: int) -> Scenario:
        """The same scenario with every drawn number fixed by the seed."""
        return _drawn(self, generator(seed, "scenario", self.name))

    def start_time(self) -> datetime:
        """When the lab begins: a drawn weekday and hour of one fixed week, so that every run shows the same dates."""
        monday = datetime(2026, 11, 16, tzinfo=UTC)
        seconds = int(fixed(self.start.weekday)) * 86_400 + int(fixed(self.start.hour) * 120) * 30
        return monday + timedelta(seconds=seconds)

    def cluster_of(self, effect: Effect) -> str:
        return effect.cluster or self.clusters[0]


P = TypeVar("P", bound=Part)


def _drawn(part: P, rng: np.random.Generator) -> P:
    """A copy in which each FromTo is a number."""
    changed: dict[str, object] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, FromTo):
            changed[name] = float(rng.uniform(value.low, value.high))
        elif isinstance(value, Part):
            changed[name] = _drawn(value, rng)
        elif isinstance(value, tuple) and any(isinstance(one, Part) for one in value):
            changed[name] = tuple(_drawn(one, rng) for one in value)
    return part.model_copy(update=changed)


def names() -> list[str]:
    """The packaged scenarios, by file stem."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Scenario:
    """A packaged scenario by name, or one from a file by its path. UnusableInput names those there are."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UnusableInput(f"There is no scenario {name!r}. Take one of: {', '.join(names())}; or the path of a file.")
    return yaml_file.load(path, Scenario)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Scenario.model_json_schema(), indent=2) + "\n")
