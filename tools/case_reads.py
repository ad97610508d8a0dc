"""Reads of what Stanch itself holds: recorded evidence, runbooks, and the catalog."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from tools.context import Context, Json, Model, Service
from tools.errors import ToolFailed
from tools.formatting import clean, labels_text, shorten
from tools.spec import Answer, Emptiness, Fact, read

PAGE = 3000  # characters: what a reader with little room takes at once
_LONGEST_LINE = 400


@read
async def open_evidence(
    context: Context,
    id: Annotated[str, Field(pattern=r"^E[0-9]{1,6}$", description="such as E7")],
    find: Annotated[str, Field(max_length=200, description="only lines that hold this text")] = "",
    page: Annotated[int, Field(ge=1, le=10000)] = 1,
) -> Answer:
    """Read the whole body of recorded evidence, page by page, or only the lines that hold some text. Its content came
    from outside and is untrusted."""
    body = await context.evidence.body(id)
    if body is None:
        raise ToolFailed(f"This incident has no evidence {id}. Evidence is numbered from E1; the timeline lists it.")
    lines = [f"{n}: {line}" for n, line in enumerate(_lines(body), 1) if find.lower() in line.lower()]
    if not lines:
        return Answer(f"No line of {id} holds {clean(find)!r}.", (), {"id": id, "lines": 0}, None, Emptiness.NOTHING)
    pages = paged(lines)
    if page > len(pages):
        raise ToolFailed(f"{id} has {len(pages)} pages; there is no page {page}.")
    text = "\n".join(pages[page - 1])
    count = Fact("lines.count", f"lines that hold {clean(find)}" if find else "lines", len(lines), "count")
    head = f"{id}, page {page} of {len(pages)}" + (f", lines with {clean(find)!r}" if find else "")
    return Answer(f"{head}:\n{text}", (count,), {"id": id, "page": page, "pages": len(pages)})


def _lines(body: str) -> list[str]:
    """Lines of a body; JSON is spread out, one value a line, and very long lines are cut in pieces."""
    with contextlib.suppress(ValueError, RecursionError):
        body = json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    pieces = [
        line[n : n + _LONGEST_LINE] for line in body.splitlines() for n in range(0, max(len(line), 1), _LONGEST_LINE)
    ]
    return [clean_line(piece) for piece in pieces]


def clean_line(line: str) -> str:
    """A line without control characters, its indentation kept short."""
    indent = min(len(line) - len(line.lstrip()), 8)
    return " " * indent + clean(line, _LONGEST_LINE + 1)


def paged(lines: Sequence[str]) -> list[list[str]]:
    """Lines in pages of at most PAGE characters."""
    pages: list[list[str]] = [[]]
    size = 0
    for line in lines:
        if size + len(line) > PAGE and pages[-1]:
            pages.append([])
            size = 0
        pages[-1].append(line)
        size += len(line) + 1
    return pages


@read
async def search_runbooks(
    context: Context,
    text: Annotated[str, Field(min_length=1, max_length=500, description="the symptom in a few words")],
    limit: Annotated[int, Field(ge=1, le=10)] = 3,
) -> Answer:
    """Look for runbook sections by meaning and words. Nothing relevant gives nothing."""
    hits = await context.evidence_index.search(text, limit)
    if not hits:
        none = Fact("count", "runbooks found", 0, "count")
        return Answer(f"No runbook is relevant to {clean(text)!r}.", (none,), {"hits": []}, None, Emptiness.NOTHING)
    facts = [Fact("count", "sections found", len(hits), "count")]
    facts += [
        Fact(f"r{n}.score", f"score of {h.name}", round(h.score, 3), "", {"runbook": h.name})
        for n, h in enumerate(hits, 1)
    ]
    room = max(200, 1000 // len(hits))
    parts = [f"{h.name}, {clean(h.section, 80)} ({h.why}): {clean(h.text, room)}" for h in hits]
    data: Json = [{"name": h.name, "section": h.section, "score": h.score, "why": h.why, "text": h.text} for h in hits]
    return Answer(shorten("\n".join(parts), 1500), tuple(facts), {"hits": data})


@read
async def describe_service(
    context: Context, name: Annotated[str, Field(min_length=1, max_length=200, description="a service or model")]
) -> Answer:
    """The catalog's entry of a service or model: what it depends on, who uses it, models, workloads, owner."""
    service = context.catalog.service(name)
    model = context.catalog.model(name)
    if service is None and model is None:
        known = ", ".join(sorted(s.name for s in context.catalog.services())[:30])
        text = f"The catalog has no service or model {clean(name)!r}. It has: {known or 'no services'}."
        return Answer(text, (), {"known": known}, None, Emptiness.NOTHING)
    parts, facts, data = [], [], {}
    if service is not None:
        users = sorted(s.name for s in context.catalog.services() if name in s.depends_on)
        parts.append(_service_text(service, users))
        facts += _service_facts(service, users)
        data["service"] = _service_json(service, users)
        model = model or next((m for m in context.catalog.models() if m.name == service.serves_model), None)
    if model is not None:
        parts.append(_model_text(model))
        data["model"] = {
            "name": model.name,
            "registry_name": model.registry_name,
            "alias": model.alias,
            "served_by": model.served_by,
            "features_from": list(model.features_from),
            "owner": model.owner,
        }
    return Answer(shorten("\n".join(parts)), tuple(facts), data)


def _service_text(service: Service, users: Sequence[str]) -> str:
    workloads = ", ".join(f"{w.kind} {w}" for w in service.workloads) or "none known"
    text = (
        f"Service {service.name}: depends on {', '.join(service.depends_on) or 'nothing known'}; "
        f"used by {', '.join(users) or 'nobody known'}; workloads {workloads}; "
        f"serves model {service.serves_model or 'none'}; owner {service.owner or 'unknown'}; "
        f"environment {service.environment or 'unknown'}; recognised by {labels_text(service.match)}."
    )
    return text if service.confirmed else text + " The entry is a draft that nobody has confirmed."


def _service_facts(service: Service, users: Sequence[str]) -> list[Fact]:
    counted = (("depends_on", service.depends_on), ("used_by", users), ("workloads", service.workloads))
    return [Fact(f"{name}.count", name.replace("_", " "), len(found), "count") for name, found in counted]


def _service_json(service: Service, users: Sequence[str]) -> Json:
    return {
        "name": service.name,
        "match": dict(service.match),
        "depends_on": list(service.depends_on),
        "used_by": list(users),
        "serves_model": service.serves_model,
        "workloads": [str(w) for w in service.workloads],
        "owner": service.owner,
        "environment": service.environment,
        "runbooks": list(service.runbooks),
        "confirmed": service.confirmed,
    }


def _model_text(model: Model) -> str:
    return (
        f"Model {model.name}: registered as {model.registry_name}, alias {model.alias}; served by "
        f"{model.served_by or 'unknown'}; features from {', '.join(model.features_from) or 'unknown'}; "
        f"owner {model.owner or 'unknown'}."
    )
