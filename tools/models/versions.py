"""Reads about a model: which versions there are, which one serving really runs, and how a version was made."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import httpx
import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Field

from tools.context import Change, Context, Json, Model
from tools.errors import NotConfigured, NotRecorded, ToolFailed, Unreachable
from tools.formatting import clean, iso, number, shorten
from tools.models.mlflow import registry_of
from tools.models.registry import (
    ModelVersion,
    Promotion,
    Registry,
    Run,
    data_version,
    model_named,
    posted_promotions,
    promotion,
    visible,
)
from tools.models.served_before import Before, served_before
from tools.prometheus.client import prometheus, window
from tools.spec import Answer, Emptiness, Fact, ModelName, read

SHOWN_VERSIONS = 8
SHOWN_VALUES = 25  # parameters or metrics of a run
MOST_BYTES = 256 * 1024  # of a serving process's answer about itself


@read(vouches=True)
async def model_versions(context: Context, model: ModelName | None = None) -> Answer:
    """Registered versions of a model, what its aliases point at, when each was promoted and what served before, as far as known.

    This is what the registry says, not what serving runs (served_version). model: catalog name; default the incident's.
    """
    entry = model_named(context, model)
    posted = await posted_promotions(context, entry)
    if not context.backends.has("mlflow"):
        return _from_posts(context, entry, posted)
    registry = registry_of(context, entry)
    found = await registry.model(entry.registry_name)
    versions = [v for v in found.versions if visible(context, v.created)]
    promotions = {v.version: promotion(v, posted) for v in versions}
    aliases = dict(found.aliases) if context.live else {}
    facts = [Fact("versions.count", "versions", len(versions), "count"), *_alias_facts(aliases, promotions)]
    facts += [fact for v in versions[:SHOWN_VERSIONS] for fact in _version_facts(v)]
    lines = [f"{entry.registry_name} in {registry.name}: {len(versions)} versions."]
    lines += [f"Alias {a} → version {v}; {_when(promotions.get(v))}." for a, v in sorted(aliases.items())]
    if entry.alias in aliases:
        before = await served_before(context, entry, found, aliases[entry.alias], posted)
        facts.append(_before_fact(entry, before))
        told = f"version {before.version}: {before.how}" if before.version else f"cannot be told: {before.how}"
        lines.append(f"What served before version {aliases[entry.alias]} {'was ' if before.version else ''}{told}.")
    if not context.live:
        lines.append("What the aliases pointed at then is not recorded: the registry keeps no history of them.")
    lines += [f"{_line(v)}" for v in versions[:SHOWN_VERSIONS]]
    if len(versions) > SHOWN_VERSIONS:
        lines.append(f"… and {len(versions) - SHOWN_VERSIONS} older ones.")
    data = {
        "model": entry.name,
        "registry_name": entry.registry_name,
        "aliases": aliases,
        "versions": [{**_plain(v), "promoted": _plain_promotion(promotions[v.version])} for v in versions],
        "posted": [{"at": iso(c.at), "what": c.what, **c.detail} for c in posted],
    }
    empty = None if versions else Emptiness.NOTHING
    return Answer(shorten("\n".join(lines)), tuple(facts), data, registry.link(entry.registry_name), empty)


@read
async def served_version(context: Context, model: ModelName | None = None) -> Answer:
    """The version that serving really runs, asked of serving itself, beside what the registry's alias says.

    agree is false when serving runs another version than the alias points at, or several at once (a roll-out under way,
    or a server that does not follow the alias); null when one of the two is unknown.
    """
    entry = model_named(context, model)
    if not entry.served_version and not entry.served_url:
        raise NotConfigured(
            f"The catalog does not say how to see which version of {entry.name} is served. Set served_version "
            "(PromQL with a `version` label) or served_url (and served_path) on the model in catalog.yaml."
        )
    counts, link = await (_from_metrics(context, entry) if entry.served_version else _from_serving(context, entry))
    served = ", ".join(sorted(counts, key=_natural)) or None
    alias, why = await _alias_version(context, entry)
    agree = None if alias is None or not counts else set(counts) == {alias}
    facts = (
        Fact("served.version", f"version of {entry.name} that is served", served, window=iso(context.as_of)),
        Fact("served.versions.count", "different versions served", len(counts), "count"),
        Fact("alias.version", f"version the alias {entry.alias} points at", alias, window=iso(context.as_of)),
        Fact("agree", "serving runs what the alias points at", agree),
    )
    seen = "; ".join(f"version {v} ({n} of {sum(counts.values())} series)" for v, n in sorted(counts.items()))
    shown = f"Serving runs {seen}" if counts else "Serving reports no version: no series with a `version` label"
    verdict = {True: "They agree.", False: "They do NOT agree.", None: "Whether they agree is unknown."}[agree]
    said = f"alias {entry.alias} points at version {alias}" if alias else f"alias {entry.alias}: {why}"
    summary = f"{shown} (as of {iso(context.as_of)}, {entry.name}). In the registry, {said}. {verdict}"
    data = {"model": entry.name, "served": dict(counts), "alias": entry.alias, "alias_version": alias, "agree": agree}
    return Answer(shorten(summary), facts, data, link, None if counts else Emptiness.NO_SERIES)


@read(needs="mlflow", vouches=True)
async def model_lineage(
    context: Context,
    model: ModelName | None = None,
    version: Annotated[str, Field(max_length=64)] | None = None,
) -> Answer:
    """How a version was made: its training run, parameters, the data it was trained on, its metrics; beside the version registered before.

    version: default is the one the model's alias points at now.
    """
    entry = model_named(context, model)
    registry = registry_of(context, entry)
    found = await registry.model(entry.registry_name)
    wanted = version or found.aliases.get(entry.alias)
    if not wanted:
        raise ToolFailed(
            f"No alias {entry.alias!r} of {entry.registry_name} is set: name a version (see model_versions)."
        )
    this = found.version(wanted) or await registry.version(entry.registry_name, wanted)
    if not visible(context, this.created):
        raise NotRecorded(f"Version {wanted} of {entry.name} did not exist at {iso(context.as_of)}.")
    before = found.older(wanted)
    runs = {v.version: await registry.run(v.run_id) for v in (this, before) if v and v.run_id}
    facts = _lineage_facts(this, runs.get(wanted), "")
    lines = [_lineage_line(entry, this, runs.get(wanted))]
    if before:
        facts += _lineage_facts(before, runs.get(before.version), "previous.")
        lines.append("Version registered before: " + _lineage_line(entry, before, runs.get(before.version)))
        lines += _differences(runs.get(wanted), runs.get(before.version))
    data = {"version": _plain(this), "run": _plain(runs.get(wanted)), "previous": _plain(before)}
    data["previous_run"] = _plain(runs.get(before.version)) if before else None
    return Answer(shorten("\n".join(lines)), tuple(facts), data, registry.link(entry.registry_name, wanted))


async def read_alias(registry: Registry, model: Model) -> ModelVersion | None:
    """The version the model's alias points at now."""
    return await registry.alias(model.registry_name, model.alias)


def _from_posts(context: Context, model: Model, posted: Sequence[Change]) -> Answer:
    """No registry can be asked: what was posted to us is all that is known."""
    if not posted:
        raise NotConfigured(
            f"No registry is configured and no promotion of {model.name} was posted in the last 30 days. Set "
            "STANCH_MLFLOW_URL, or post model_promotion events to /v1/events."
        )
    last = posted[-1]
    version = last.detail.get("version")
    facts = (
        Fact(
            "versions.count",
            "versions named in posted promotions",
            len({c.detail.get("version") for c in posted}),
            "count",
        ),
        Fact(f"alias.{_slug(last.detail.get('alias') or model.alias)}", "version promoted last", version),
        Fact(f"alias.{_slug(last.detail.get('alias') or model.alias)}.promoted", "when", last.at.timestamp(), "unix"),
    )
    lines = [f"{model.name}, from {len(posted)} promotions posted to us (no registry can be asked):"]
    lines += [
        f"{iso(c.at)} version {c.detail.get('version', '?')}: {clean(c.what, 120)}" for c in posted[-SHOWN_VERSIONS:]
    ]
    data = {"model": model.name, "posted": [{"at": iso(c.at), "what": c.what, **c.detail} for c in posted]}
    return Answer(shorten("\n".join(lines)), facts, data, last.link or None)


def _before_fact(entry: Model, before: Before) -> Fact:
    labels = {"version": before.version} if before.version else {}
    return Fact(f"alias.{_slug(entry.alias)}.previous", "version that served before", before.version, labels=labels)


def _alias_facts(aliases: Mapping[str, str], known: Mapping[str, Promotion]) -> list[Fact]:
    facts = []
    for alias, version in sorted(aliases.items()):
        slug = _slug(alias)
        named = {"alias": alias, "version": version}
        facts.append(Fact(f"alias.{slug}", f"version alias {alias} points at", version, labels=named))
        when = known.get(version)
        facts.append(Fact(f"alias.{slug}.promoted", "when it was promoted", _unix(when.at if when else None), "unix"))
    return facts


def _version_facts(version: ModelVersion) -> list[Fact]:
    prefix, labels = f"v{_slug(version.version)}", {"version": version.version}
    return [
        Fact(f"{prefix}.created", f"version {version.version} created", _unix(version.created), "unix"),
        Fact(f"{prefix}.status", f"status of version {version.version}", version.status, labels=labels),
    ]


async def _from_metrics(context: Context, model: Model) -> tuple[Counter[str], str | None]:
    client = prometheus(context)
    found = await client.instant(model.served_version or "")
    serving = [s for s in found.series if "version" in s.labels and math.isfinite(s.last) and s.last != 0]
    link = client.link(model.served_version or "", window(context.as_of, 60))
    return Counter(s.labels["version"] for s in serving), link


async def _from_serving(context: Context, model: Model) -> tuple[Counter[str], str | None]:
    """Asks the serving process about itself; that has no history."""
    url = model.served_url or ""
    if not context.live:
        raise NotRecorded(f"{url} tells the present only, and this incident is as of {iso(context.as_of)}.")
    if context.http is None:
        raise NotConfigured(f"No way out to {url} is configured for tools.")
    body = await _fetch(context.http, url)
    try:
        value = jmespath.search(model.served_path, json.loads(body))
    except (ValueError, RecursionError, JMESPathError) as error:
        raise ToolFailed(
            f"{url} answered {clean(body, 120)!r}, in which {model.served_path!r} finds nothing: {error}."
        ) from None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ToolFailed(
            f"{url}: {model.served_path!r} finds {clean(str(value), 80)!r}, not a version. Mend served_path."
        )
    return Counter([str(value)]), url


async def _fetch(http: httpx.AsyncClient, url: str) -> str:
    try:
        async with http.stream("GET", url, follow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise ToolFailed(
                        f"{url} answered with more than {MOST_BYTES >> 10} kB. Is it the version's address?"
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"{url} did not answer: {type(error).__name__} {error}. Check served_url in the catalog."
        ) from None
    text = body.decode("utf-8", errors="replace")
    if not response.is_success:
        raise ToolFailed(f"{url} answered HTTP {response.status_code}: {clean(text)}. Check served_url in the catalog.")
    return text


async def _alias_version(context: Context, model: Model) -> tuple[str | None, str]:
    """The alias's version, or None and why it is not known: serving's answer is worth having without the registry's."""
    if not context.live:
        return None, "what it pointed at then is not recorded"
    try:
        found = await read_alias(registry_of(context, model), model)
    except ToolFailed as error:
        return None, clean(str(error), 300)
    return (found.version, "") if found else (None, "the registry has no such alias")


def _lineage_facts(version: ModelVersion, run: Run | None, prefix: str) -> list[Fact]:
    facts = [
        Fact(f"{prefix}version", "version", version.version, labels={"version": version.version}),
        Fact(f"{prefix}created", "created", _unix(version.created), "unix"),
        Fact(f"{prefix}run.id", "training run", run.run_id if run else None),
        Fact(f"{prefix}data.version", "data it was trained on", data_version(version, run)),
    ]
    if run:
        facts += [Fact(f"{prefix}metric.{_slug(k)}", k, v) for k, v in sorted(run.metrics.items())[:SHOWN_VALUES]]
        facts += [
            Fact(f"{prefix}param.{_slug(k)}", k, clean(v)) for k, v in sorted(run.parameters.items())[:SHOWN_VALUES]
        ]
    return list({fact.id: fact for fact in facts}.values())


def _lineage_line(model: Model, version: ModelVersion, run: Run | None) -> str:
    line = f"{model.registry_name} version {version.version} ({version.status}), created {_at(version.created)}"
    trained = data_version(version, run)
    line += f", trained on data {clean(trained, 80)}" if trained else ", trained on data that nobody recorded"
    if run is None:
        return line + "; no training run is recorded for it."
    metrics = ", ".join(f"{k} {number(v)}" for k, v in sorted(run.metrics.items())[:8])
    parameters = ", ".join(f"{k}={clean(v, 40)}" for k, v in sorted(run.parameters.items())[:8])
    return f"{line}; run {clean(run.name or run.run_id, 60)} ({run.status}): {metrics or 'no metrics'}; {parameters or 'no parameters'}."


def _differences(run: Run | None, before: Run | None) -> list[str]:
    if run is None or before is None:
        return []
    both = sorted(run.metrics.keys() & before.metrics.keys())
    moved = [
        f"{k} {number(before.metrics[k])} → {number(run.metrics[k])}"
        for k in both
        if run.metrics[k] != before.metrics[k]
    ]
    keys = sorted(run.parameters.keys() | before.parameters.keys())
    other = [k for k in keys if run.parameters.get(k) != before.parameters.get(k)]
    shown = f"Against the version registered before: {', '.join(moved[:8]) or 'the same metrics'}"
    changed = "parameters that differ: " + ", ".join(other[:8]) if other else "the same parameters"
    return [f"{shown}; {changed}."]


def _line(version: ModelVersion) -> str:
    touched = version.updated and version.created and version.updated > version.created
    changed = f", last changed {_at(version.updated)}" if touched else ""
    data = data_version(version, None)
    trained = f", data {clean(data, 60)}" if data else ""
    return f"Version {version.version}: {version.status}, created {_at(version.created)}{changed}{trained}."


def _when(known: Promotion | None) -> str:
    if known is None:
        return "that version is not listed"
    if known.at is not None:
        return f"promoted {iso(known.at)} by {known.known_from}"
    bound = f", not before it was created at {iso(known.not_before)}" if known.not_before else ""
    return f"promoted at an unknown time ({known.known_from}){bound}"


def _plain(value: Any) -> Json:
    if value is None:
        return None
    return {key: iso(v) if isinstance(v, datetime) else v for key, v in asdict(value).items()}


def _plain_promotion(known: Promotion) -> Json:
    return {key: iso(v) if isinstance(v, datetime) else v for key, v in asdict(known).items()}


def _at(when: datetime | None) -> str:
    return iso(when) if when else "at an unknown time"


def _unix(when: datetime | None) -> float | None:
    return when.timestamp() if when else None


def _slug(name: str) -> str:
    """A name as part of a fact id: dots separate parts there."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:60] or "_"


def _natural(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (1 << 31, version)
