"""Numbers as a chart and a table, native where Slack draws them, else as text. Every number is a fact of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.domain.claims.quantity import of_fact, shown
from agent.domain.evidence import Evidence
from agent.gate.proposal import Proposal
from agent.surfaces.slack.blocks import Block, Figure, code, plain_text, safe, span
from agent.surfaces.slack.blocks import lines as text_lines
from agent.surfaces.slack.card_context import Scene

_EARLIER = (("last_week", "last week"), ("yesterday", "yesterday"), ("before", "just before"), ("now", "now"))
_BARS = "▁▂▃▄▅▆▇█"
MOST_POINTS = 20  # categories of a chart


def comparison(scene: Scene, ids: Sequence[str]) -> list[Figure]:
    """The first cited measure that was compared with earlier, as bars."""
    for one in (scene.incident_view.evidence[i] for i in ids if i in scene.incident_view.evidence):
        means = {label: fact.value for name, label in _EARLIER if (fact := one.fact(f"{name}.mean"))}
        numbers = {k: float(v) for k, v in means.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        if one.read == "compare_metrics" and len(numbers) >= 2:
            unit = next((f.unit for f in one.facts if f.id == "now.mean"), "")
            title = safe(one.why or one.read).split(",")[0].capitalize()  # the whole stands in the table
            said = ", ".join(f"{label} {_fact(one, name)}" for name, label in _EARLIER if label in numbers)
            return [_chart("bar", title, f"{one.id} mean", numbers, f"{_spark(list(numbers.values()))} {said}", unit)]
    return []


def table(scene: Scene, ids: Sequence[str]) -> list[Figure]:
    """What the cited measures are and were, those alone that were compared: one row each, narrow enough for a phone."""
    rows = [["Measure", "Now", "Earlier"]]
    for one in (scene.incident_view.evidence[i] for i in dict.fromkeys(ids) if i in scene.incident_view.evidence):
        now = _fact(one, "now") or _fact(one, "value", "last")
        earlier = _fact(one, "before") or _fact(one, "value", "first")
        if now and earlier:
            rows.append([f"{one.why or one.read} [{one.id}]", now, earlier])
    return [_table("What was measured", rows)] if len(rows) > 1 else []


def course(scene: Scene, proposal: Proposal) -> list[Figure]:
    """The first measure of the success test over the verifications, oldest first."""
    events = scene.incident_view.verifications.get(proposal.id, [])[-MOST_POINTS:]
    if not proposal.success.checks:
        return []
    check = proposal.success.checks[0]
    numbers: dict[str, float] = {}
    last = unit = ""
    for event in events:
        found = [scene.incident_view.evidence.get(i) for i in event.payload.evidence[:1]]
        facts = check.select(found[0].facts) if found and found[0] else ()
        if facts and isinstance(facts[0].value, int | float) and not isinstance(facts[0].value, bool):
            numbers[f"{event.at:%H:%M:%S}"] = facts[0].value
            last, unit = shown(of_fact("", facts[0])), facts[0].unit
    if len(numbers) < 2:
        return []
    said = f"{_spark(list(numbers.values()))} now {last}, wanted {check.expect}"
    return [_chart("line", f"Since the change, wanted {check.expect}", "measured", numbers, said, unit)]


def _chart(kind: str, title: str, name: str, numbers: Mapping[str, float], said: str, unit: str) -> Figure:
    categories = [plain_text(label, 20)["text"] for label in numbers]
    axis: Block = {"categories": categories} | ({"y_label": plain_text(unit, 50)["text"]} if unit else {})
    points = [
        {"label": label, "value": round(value, 6)} for label, value in zip(categories, numbers.values(), strict=True)
    ]
    chart = {"type": kind, "series": [{"name": plain_text(name, 20)["text"], "data": points}], "axis_config": axis}
    native = {"type": "data_visualization", "title": plain_text(title, 50)["text"], "chart": chart}
    return Figure(native, tuple(text_lines([span(said)])))


def _table(caption: str, rows: Sequence[Sequence[str]]) -> Figure:
    cells = [[{"type": "raw_text", "text": safe(cell) or "–"} for cell in row] for row in rows]
    native: Block = {"type": "data_table", "caption": caption, "page_size": 5, "rows": cells}
    head, *body = rows
    text = [
        f"{row[0]}: " + ", ".join(f"{name.lower()} {cell}" for name, cell in zip(head[1:], row[1:], strict=True))
        for row in body
    ]
    return Figure(native, tuple(code("\n".join(map(safe, text)))))


def _fact(one: Evidence, name: str, part: str = "mean") -> str:
    fact = one.fact(f"{name}.{part}")
    return "" if fact is None or fact.value is None else shown(of_fact(one.id, fact), one.as_of)


def _spark(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return "".join(_BARS[round((v - low) / (high - low) * 7) if high > low else 0] for v in values)
