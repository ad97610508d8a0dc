"""What a model registry is to us: one port, whatever stands behind it. MLflow is the first (mlflow.py).

Registries that we cannot ask take part by posting changes of kind `model_promotion`, whose detail names `model`,
`version` and, if they like, `alias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tools.context import Change, Context, Model
from tools.errors import TargetUnclear

POSTED_WITHIN = timedelta(days=30)  # how far back posted promotions are looked for
PROMOTED_TAGS = ("promoted_at", "promoted.at", "stanch.promoted_at")
DATA_VERSION_TAGS = ("data.version", "data_version", "dataset.version", "dataset_version")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version as the registry has it. Times are UTC; `status` READY means that it can be served."""

    version: str
    status: str = "READY"
    created: datetime | None = None
    updated: datetime | None = None
    run_id: str = ""
    source: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model with its aliases (alias → version) and versions, newest first."""

    name: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[ModelVersion, ...] = ()

    def version(self, version: str) -> ModelVersion | None:
        return next((v for v in self.versions if v.version == version), None)

    def older(self, version: str) -> ModelVersion | None:
        """The newest READY version registered before the given one: to compare with. What *served* before is another
        question (tools.models.served_before), and the only one a roll-back may ask."""
        names = [v.version for v in self.versions]
        older = self.versions[names.index(version) + 1 :] if version in names else ()
        return next((v for v in older if v.status == "READY"), None)


@dataclass(frozen=True, slots=True)
class Run:
    """The training run behind a version. `datasets` are `name@digest` as the run logged them."""

    run_id: str
    experiment: str = ""
    name: str = ""
    status: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()


class Registry(Protocol):
    """Reads raise ToolFailed with the registry's own words, Unreachable without an answer."""

    @property
    def name(self) -> str: ...
    async def model(self, name: str) -> RegisteredModel: ...
    async def version(self, name: str, version: str) -> ModelVersion: ...
    async def alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version an alias points at; None: the registry has no such alias of this model."""
        ...

    async def point(self, name: str, alias: str, version: str) -> None:
        """Move an alias. Refused: certainly not moved."""
        ...

    async def run(self, run_id: str) -> Run | None:
        """None: no such run (any more)."""
        ...

    async def history(self, run_id: str, metric: str) -> Sequence[tuple[datetime, float]]:
        """What a run logged of one metric, oldest first."""
        ...

    async def artifact(self, run_id: str, path: str) -> str: ...
    def link(self, name: str, version: str = "") -> str: ...


@dataclass(frozen=True, slots=True)
class Promotion:
    """When a version was promoted and how we know. Without a time: `not_before` is all that is known."""

    at: datetime | None
    known_from: str
    not_before: datetime | None = None


def model_named(context: Context, name: str | None) -> Model:
    """The catalog's model of that name, or the incident's where none is named; TargetUnclear, never a default."""
    known = ", ".join(m.name for m in context.catalog.models()) or "none"
    if name:
        model = context.catalog.model(name)
        if model is None:
            raise TargetUnclear(f"The catalog has no model {name!r}. It knows: {known}.")
        return model
    service = context.catalog.service_for(context.labels)
    for candidate in (context.labels.get("model"), service.serves_model if service else None):
        if candidate and (found := context.catalog.model(candidate)):
            return found
    raise TargetUnclear(
        f"The incident's labels lead to no model. Name one of: {known}; or set serves_model in the catalog."
    )


async def posted_promotions(context: Context, model: Model) -> list[Change]:
    """Promotions of this model that were posted to us, oldest first, none later than as_of."""
    posted = await context.changes.between(context.as_of - POSTED_WITHIN, context.as_of)
    mine = [
        c for c in posted if c.kind == "model_promotion" and c.detail.get("model") in (model.name, model.registry_name)
    ]
    return sorted(mine, key=lambda c: c.at)


def promotion(version: ModelVersion, posted: Sequence[Change]) -> Promotion:
    """When this version was promoted: its own tag, else what was posted to us, else only a bound.

    A registry with aliases keeps no history of them, so without a tag or a post the time is unknown.
    """
    for tag in PROMOTED_TAGS:
        if (at := tag_time(version.tags.get(tag, ""))) is not None:
            return Promotion(at, f"its tag {tag}")
    stated = [c for c in posted if c.detail.get("version") == version.version]
    if stated:
        return Promotion(stated[-1].at, f"a change posted by {stated[-1].source or stated[-1].by or 'us'}")
    return Promotion(None, "the registry keeps no alias history", version.created)


def tag_time(text: str) -> datetime | None:
    """A time in a tag: RFC 3339, or unix seconds or milliseconds."""
    if text.isdigit() and 9 <= len(text) <= 13:
        return datetime.fromtimestamp(int(text) / (1000 if len(text) == 13 else 1), UTC)
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def data_version(version: ModelVersion, run: Run | None) -> str | None:
    """The data a version was trained on: its tag, the run's tag, a parameter, or the logged data sets."""
    places = [version.tags, run.tags if run else {}, run.parameters if run else {}]
    tagged = [place[tag] for place in places for tag in DATA_VERSION_TAGS if place.get(tag)]
    return tagged[0] if tagged else ", ".join(run.datasets) or None if run else None


def visible(context: Context, when: datetime | None) -> bool:
    """Whether something of that time may be seen as of the incident's time; live reads forgive a clock's skew."""
    slack = context.live_within if context.live else timedelta()
    return when is None or when <= context.as_of + slack
