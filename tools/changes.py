"""The read of what changed on the platform, from everywhere it can be seen, in one list by time.

A registry with aliases keeps no history of them. A promotion is therefore known by a tag (`promoted_at`) on the version,
or by what was posted to us, or not at all; then only the version's birth is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from tools.context import Change, Context, Json, Model, Subject
from tools.errors import ToolError
from tools.formatting import clean, clock_time, count, iso, labels_text, shorten
from tools.formatting import window as interval
from tools.kubernetes.rollouts import rollouts
from tools.models.mlflow import registry_of
from tools.models.registry import ModelVersion, Registry, posted_promotions, promotion
from tools.prometheus.restarts import changes_by_metrics
from tools.spec import Answer, Emptiness, Fact, read
from tools.symptoms import CHANGED, TELLS, Symptom, placed, symptom_facts

_SAME = timedelta(minutes=10)  # two sources that tell of one rollout are this close

_REASONS = {  # kind of change → what the symptom says was changed
    "deployment": "image",
    "model_promotion": "model",
    "config": "config",
    "data": "data",
    "scaling": "scale",
}
_WORDS = {"deployment": "deployments", "model_promotion": "model promotions"}


@dataclass(frozen=True, slots=True)
class Source:
    """What one place said. `changes` is None where it could not say, and `why` tells the reason."""

    name: str
    kinds: frozenset[str]  # kinds of change that only this and its likes can see
    changes: tuple[Change, ...] | None
    why: str = ""
    failed: bool = False  # it should have known, but could not be read


@read
async def recent_changes(
    context: Context,
    service: Annotated[str, Field(max_length=200, description="a service of the catalog; empty = all")] = "",
    hours: Annotated[int, Field(ge=1, le=336)] = 24,
) -> Answer:
    """What changed in the last hours: rollouts, model promotions, restarts and events posted to us, by time. Facts:
    changes.count, deployments.count, model_promotions.count over the window; None where no source could be read."""
    since, until = context.as_of - timedelta(hours=hours), context.as_of
    sources = await _ask_all(context, service, since, until)
    seen = [change for source in sources for change in source.changes or ()]
    found = merged([change for change in seen if since <= change.at <= until])
    when = interval(since, until)
    facts = [
        _count_fact("changes.count", "", found, sources, when),
        _count_fact("deployments.count", "deployment", found, sources, when),
        _count_fact("model_promotions.count", "model_promotion", found, sources, when),
    ]
    for n, change in enumerate(reversed(found[-20:]), 1):
        labels = {"kind": change.kind, "service": change.service, "cluster": change.cluster}
        told = {name: value for name, value in labels.items() if value}
        facts.append(Fact(f"c{n}.at", f"time of {clean(change.what, 100)}", change.at.timestamp(), "unix", told, when))
    facts += symptom_facts(placed([symptom_of(change) for change in found[-20:]], context), when)
    text = "\n".join(
        [_head(service, hours, found, facts, context.as_of), *_lines(found, context.as_of), *_gaps(sources)]
    )
    data: Json = {
        "changes": [_json(c) for c in found],
        "sources": [{"name": s.name, "read": s.changes is not None, "why": s.why} for s in sources],
    }
    return Answer(shorten(text), tuple(facts), data, None, None if found else Emptiness.NOTHING)


def symptom_of(change: Change) -> Symptom:
    """A change of a service, or of what it is said to be about; it only tells, and hurts nobody by itself."""
    at_s = change.at.timestamp()
    reason = _REASONS.get(change.kind, "other")
    subject = Subject("Model" if reason == "model" else "Service", change.cluster, "", change.service)
    return Symptom(subject, CHANGED, clean(change.what, 200), TELLS, reason, (at_s, at_s))


async def _ask_all(context: Context, service: str, since: datetime, until: datetime) -> list[Source]:
    """Every place that can tell of changes here; a new one is one line. It may tell more than the window."""
    asked = [_source("events posted to us", (), _posted(context, service, since, until))]
    if context.backends.has("kubernetes"):
        asked.append(_source("Kubernetes", ("deployment",), rollouts(context, service)))
    if context.backends.has("prometheus") and service:
        asked.append(_source("metrics", ("deployment",), changes_by_metrics(context, service, since, until)))
    if context.backends.has("mlflow"):
        asked += [
            _source(f"registry, {model.name}", ("model_promotion",), promotions(context, model))
            for model in models_of(context, service)
        ]
    return list(await asyncio.gather(*asked))


async def _source(name: str, kinds: Sequence[str], asking: Awaitable[Sequence[Change] | None]) -> Source:
    try:
        found = await asking
    except ToolError as error:
        return Source(name, frozenset(kinds), None, clean(str(error), 240), failed=True)
    if found is None:
        return Source(name, frozenset(kinds), None, "no *_build_info or *_version_info for it")
    return Source(name, frozenset(kinds), tuple(found))


async def _posted(context: Context, service: str, since: datetime, until: datetime) -> Sequence[Change]:
    concerned = {service} | _models_and_sources(context, service) if service else set()
    posted = await context.changes.between(since, until)
    return [c for c in posted if not concerned or not c.service or c.service in concerned]


def _models_and_sources(context: Context, service: str) -> set[str]:
    """Names under which a change still concerns the service: its models, and what it depends on or gets features from."""
    entry = context.catalog.service(service)
    models = models_of(context, service)
    names = {name for model in models for name in (model.name, model.registry_name, *model.features_from)}
    return names | set(entry.depends_on if entry else ())


def models_of(context: Context, service: str) -> list[Model]:
    """Models that a service serves or feeds; all for no service."""
    entry = context.catalog.service(service) if service else None
    return [
        model
        for model in context.catalog.models()
        if not service
        or model.served_by == service
        or service in (model.name, *model.features_from)
        or (entry is not None and entry.serves_model == model.name)
    ]


async def promotions(context: Context, model: Model) -> list[Change]:
    """Promotions and new versions of a model out of its registry; a promotion that was posted to us is listed from there."""
    registry = registry_of(context, model)
    found = await registry.model(model.registry_name)
    posted = {change.detail.get("version") for change in await posted_promotions(context, model)}
    aliases = found.aliases if context.live else {}
    told = [_promoted(registry, model, version) for version in found.versions if version.version not in posted]
    born = [
        _registered(registry, model, version, [a for a, at in aliases.items() if at == version.version])
        for version in found.versions
    ]
    return [change for change in (*told, *born) if change]


def _promoted(registry: Registry, model: Model, version: ModelVersion) -> Change | None:
    known = promotion(version, ())
    text = f"version {version.version} of {model.registry_name} promoted, by {known.known_from}"
    return _change(registry, model, version, known.at, "model_promotion", text) if known.at else None


def _registered(registry: Registry, model: Model, version: ModelVersion, aliases: list[str]) -> Change | None:
    if version.created is None:
        return None
    text = f"version {version.version} of {model.registry_name} registered"
    if not aliases or promotion(version, ()).at:
        return _change(registry, model, version, version.created, "other", text)
    text += f"; alias {', '.join(sorted(aliases))} points at it now (moved at an unknown time after that)"
    return _change(registry, model, version, version.created, "model_promotion", text)


def _change(registry: Registry, model: Model, version: ModelVersion, at: datetime, kind: str, what: str) -> Change:
    return Change(
        at,
        kind,
        what,
        model.served_by,
        by=version.tags.get("promoted_by", ""),
        source=registry.name,
        link=registry.link(model.registry_name, version.version),
        detail={"model": model.name, "version": version.version},
    )


def merged(changes: Sequence[Change]) -> list[Change]:
    """By time, oldest first; what several sources tell of one rollout or promotion is one change with all its sources."""
    found: list[Change] = []
    for change in sorted(changes, key=lambda c: (c.at, c.source, c.what)):
        place = next((n for n, known in enumerate(found) if _same(known, change)), None)
        if place is None:
            found.append(change)
        else:
            found[place] = _joined(found[place], change)
    return found


def _same(one: Change, other: Change) -> bool:
    """Two tellings of one event: same kind and thing, close in time, from different sources, and not contradicting."""
    if one.kind != other.kind or one.kind not in _WORDS or other.source in one.source.split(" + "):
        return False
    if abs(other.at - one.at) > _SAME or one.service != other.service:
        return False
    if one.cluster and other.cluster and one.cluster != other.cluster:
        return False
    versions = {v for c in (one, other) if (v := _version(c))}
    return len(versions) < 2


def _version(change: Change) -> str:
    """The version a change tells of: its own word, or the tag of its image."""
    image = change.detail.get("image", "").split("@")[0]
    return change.detail.get("version", "") or (image.rsplit(":", 1)[1] if ":" in image.rsplit("/", 1)[-1] else "")


def _joined(one: Change, other: Change) -> Change:
    return replace(
        one,
        source=f"{one.source} + {other.source}",
        by=one.by or other.by,
        link=one.link or other.link,
        cluster=one.cluster or other.cluster,
        detail={**other.detail, **one.detail},
    )


def _known(sources: Sequence[Source]) -> bool:
    """Whether "none" may be said: some source that watches the platform itself was read, and none failed."""
    watching = [s for s in sources if s.kinds]
    return any(s.changes is not None for s in watching) and not any(s.failed for s in sources)


def _count_fact(id: str, kind: str, found: Sequence[Change], sources: Sequence[Source], when: str) -> Fact:
    """How many of a kind ("" = all) were seen. None, not 0, where nothing was seen and some source could not look."""
    here = [c for c in found if kind in ("", c.kind)]
    able = [s for s in sources if not s.kinds or kind in ("", *s.kinds)]
    name = _WORDS.get(kind, "changes")
    least = ", at least" if any(s.failed for s in able) else ""
    return Fact(id, name + least, len(here) if here or _known(able) else None, "count", {}, when)


def _head(service: str, hours: int, found: Sequence[Change], facts: Sequence[Fact], near: datetime) -> str:
    parts = [f"{count(len(found), 'change')} seen"]
    for fact in facts[1:3]:
        parts.append(f"{fact.name}: {'unknown' if fact.value is None else fact.value}")
    where = f" of {clean(service)} and what it uses" if service else ""
    return f"Changes{where} in the {hours} h to {clock_time(near)}: {'; '.join(parts)}."


def _lines(found: Sequence[Change], near: datetime) -> list[str]:
    lines = []
    for change in reversed(found[-10:]):
        by = f" by {clean(change.by, 60)}" if change.by else ""
        where = labels_text({k: v for k, v in (("cluster", change.cluster), ("service", change.service)) if v}, 80)
        told = (
            f" ({where}; {clean(change.source, 80)})"
            if change.service or change.cluster
            else f" ({clean(change.source, 80)})"
        )
        lines.append(f"{clock_time(change.at, near)} {change.kind}: {clean(change.what, 140)}{by}{told}")
    return lines + ([f"and {len(found) - 10} earlier ones"] if len(found) > 10 else [])


def _gaps(sources: Sequence[Source]) -> list[str]:
    gaps = [f"Not read: {s.name} ({s.why})." for s in sources if s.changes is None]
    for kind, word in _WORDS.items():
        if not any(kind in s.kinds for s in sources):
            gaps.append(f"Nothing that is configured tells of {word}.")
    return gaps


def _json(change: Change) -> Json:
    return {
        "at": iso(change.at),
        "kind": change.kind,
        "what": change.what,
        "service": change.service,
        "cluster": change.cluster,
        "by": change.by,
        "link": change.link,
        "source": change.source,
        "detail": dict(change.detail),
    }
