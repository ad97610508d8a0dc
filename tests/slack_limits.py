"""What Slack's published limits demand of blocks. `problems(blocks)` is empty for what Slack would take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
KNOWN = {
    "actions",
    "context",
    "data_table",
    "data_visualization",
    "divider",
    "header",
    "image",
    "input",
    "markdown",
    "plan",
    "rich_text",
    "section",
    "table",
    "task_card",
}


def problems(blocks: Sequence[Json], at_most: int = 50) -> list[str]:
    """Every limit that the blocks break; a modal may have 100."""
    found = [f"{len(blocks)} blocks, at most {at_most}"] if len(blocks) > at_most else []
    if (markdown := sum(len(b.get("text", "")) for b in blocks if b.get("type") == "markdown")) > 12_000:
        found.append(f"{markdown} characters of markdown, at most 12,000")
    found += list(_twice([b["block_id"] for b in blocks if "block_id" in b], "block_id"))
    for place, block in enumerate(blocks):
        if block.get("type") not in KNOWN:
            found.append(f"{place}: no block is of type {block.get('type')!r}")
        else:
            found += [f"{place} {block['type']}: {problem}" for problem in _block(block)]
    return found


def _block(block: Json) -> Iterator[str]:
    yield from _within(block.get("block_id", "x"), 255, "block_id")
    match block["type"]:
        case "header":
            yield from _text(block.get("text"), 150, "text", ("plain_text",))
        case "section":
            if "text" not in block and not block.get("fields"):
                yield "neither text nor fields"
            if "text" in block:
                yield from _text(block["text"], 3000, "text")
            if len(block.get("fields", ())) > 10:
                yield "more than 10 fields"
            for one in block.get("fields", ()):
                yield from _text(one, 2000, "field")
            yield from _elements([block["accessory"]] if "accessory" in block else [], 1)
        case "context":
            if not 1 <= len(block.get("elements", ())) <= 10:
                yield "a context has 1 to 10 elements"
            for one in block.get("elements", ()):
                yield from _text(one, 3000, "element")
        case "actions":
            if not block.get("elements"):
                yield "no elements"
            yield from _elements(block.get("elements", []), 25)
        case "markdown":
            yield from _within(block.get("text", ""), 12_000, "text")
        case "plan":
            yield from _within(block.get("title", ""), 255, "title")
            yield from _twice([task.get("task_id") for task in block.get("tasks", ())], "task_id")
            for task in block.get("tasks", ()):
                yield from _task(task)
        case "task_card":
            yield from _task(block)
        case "rich_text":
            yield from _rich(block)
        case "table":
            yield from _rows(block, 100, 20)
        case "data_table":
            yield from _rows(block, 101, 20)
            if not block.get("caption"):
                yield "no caption"
        case "data_visualization":
            yield from _chart(block)


def _chart(block: Json) -> Iterator[str]:
    yield from _within(block.get("title", ""), 50, "title")
    chart = block.get("chart", {})
    series, axis = chart.get("series", []), chart.get("axis_config", {})
    if chart.get("type") not in ("line", "bar", "area"):
        yield f"no chart is of type {chart.get('type')!r}"
    if not 1 <= len(series) <= 6:
        yield "a chart has 1 to 6 series"
    categories = axis.get("categories", [])
    if not 1 <= len(categories) <= 20:
        yield "a chart has 1 to 20 categories"
    yield from _twice(categories, "category")
    for category in categories:
        yield from _within(category, 20, "category")
    for label in (axis[name] for name in ("x_label", "y_label") if name in axis):
        yield from _within(label, 50, "axis label")
    yield from _twice([one.get("name") for one in series], "series")
    for one in series:
        yield from _within(one.get("name", ""), 20, "series name")
        if [point.get("label") for point in one.get("data", [])] != categories:
            yield "the labels of a series are not the categories"
        if any(type(point.get("value")) not in (int, float) for point in one.get("data", [])):
            yield "a point has no number"


def _rows(block: Json, rows: int, columns: int) -> Iterator[str]:
    if not 1 <= len(block.get("rows", ())) <= rows:
        yield f"a table has 1 to {rows} rows"
    if len({len(row) for row in block.get("rows", ())}) > 1 or any(len(row) > columns for row in block.get("rows", ())):
        yield f"rows of different length, or over {columns} cells"
    for cell in (cell for row in block.get("rows", ()) for cell in row):
        if cell.get("type") not in ("raw_text", "raw_number", "rich_text"):
            yield f"no cell is of type {cell.get('type')!r}"
        if cell.get("type") == "raw_text":
            yield from _within(cell.get("text", ""), 3000, "cell")


def _task(task: Json) -> Iterator[str]:
    yield from _within(task.get("task_id", ""), 255, "task_id")
    yield from _within(task.get("title", ""), 255, "task title")
    if task.get("status") not in ("pending", "in_progress", "complete", "error"):
        yield f"no task is {task.get('status')!r}"
    for part in (task[name] for name in ("details", "output") if name in task):
        yield from _rich(part)


def _rich(block: Json) -> Iterator[str]:
    if not block.get("elements"):
        yield "rich text without elements"
    for one in block.get("elements", ()):
        if one.get("type") in ("rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"):
            yield from _rich(one)
        elif one.get("type") == "text" and not one.get("text"):
            yield "empty text in rich text"
        elif one.get("type") == "link":
            yield from _within(one.get("url", ""), 3000, "link")


def _elements(elements: Sequence[Json], at_most: int) -> Iterator[str]:
    if len(elements) > at_most:
        yield f"{len(elements)} elements, at most {at_most}"
    yield from _twice([one["action_id"] for one in elements if "action_id" in one], "action_id")
    for one in elements:
        yield from _within(one.get("action_id", "x"), 255, "action_id")
        if one.get("type") == "button":
            yield from _text(one.get("text"), 75, "button", ("plain_text",))
            yield from _within(one.get("value", "x"), 2000, "value")
            yield from _within(one.get("url", "x"), 3000, "url")
        for name, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            if "confirm" in one:
                yield from _text(one["confirm"].get(name), limit, f"confirm {name}")


def _text(text: Json | None, limit: int, what: str, types: Sequence[str] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not text or text.get("type") not in types:
        yield f"{what} is {json.dumps(text)[:60]}, not one of {', '.join(types)}"
    else:
        yield from _within(text.get("text", ""), limit, what)


def _within(text: str, limit: int, what: str) -> Iterator[str]:
    if not 1 <= len(text) <= limit:
        yield f"{what} has {len(text)} characters, 1 to {limit} are allowed"


def _twice(names: Sequence[Any], what: str) -> Iterator[str]:
    if len(names) != len(set(names)):
        yield f"the same {what} twice"
