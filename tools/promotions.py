"""Promotions and new versions out of the registry, as changes: what recent_changes puts beside rollouts.

A registry with aliases keeps no history of them. A promotion is therefore known by a tag (`promoted_at`) on the version,
or by what was posted to us (recent_changes lists posts itself), or not at all; then only the version's birth is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.context import Change, Context, Model
from tools.mlflow import registry_of
from tools.registry import ModelVersion, Registry, model_named, posted_promotions, promotion


async def promotions(context: Context, model: str | None, since: datetime, until: datetime) -> list[Change]:
    """Registry changes of one model, or of every model in the catalog, within [since, until], oldest first.

    Empty where no MLflow is configured. Raises Unreachable or ToolFailed where it does not answer: not checked, then.
    """
    if not context.backends.has("mlflow"):
        return []
    until = min(until, context.as_of)
    entries = [model_named(context, model)] if model else list(context.catalog.models())
    found = [change for entry in entries for change in await _of(context, entry)]
    return sorted((c for c in found if since <= c.at <= until), key=lambda c: c.at)


async def _of(context: Context, model: Model) -> list[Change]:
    registry = registry_of(context, model)
    found = await registry.model(model.registry_name)
    posted = await posted_promotions(context, model)
    aliases = found.aliases if context.live else {}
    told = [_promoted(registry, model, v, posted) for v in found.versions]
    born = [
        _registered(registry, model, v, [a for a, at in aliases.items() if at == v.version]) for v in found.versions
    ]
    return [change for change in (*told, *born) if change]


def _promoted(registry: Registry, model: Model, version: ModelVersion, posted: Sequence[Change]) -> Change | None:
    """By the version's own tag; a promotion that was posted to us is listed from there."""
    known = promotion(version, ())
    if known.at is None or any(c.detail.get("version") == version.version for c in posted):
        return None
    text = f"version {version.version} of {model.registry_name} promoted, by {known.known_from}"
    return _change(registry, model, version, known.at, "model_promotion", text)


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
        at=at,
        kind=kind,
        what=what,
        service=model.served_by,
        by=version.tags.get("promoted_by", ""),
        link=registry.link(model.registry_name, version.version),
        source=registry.name,
        detail={"model": model.name, "version": version.version},
    )
