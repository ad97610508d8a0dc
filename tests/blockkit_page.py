"""Draws messages of Block Kit as one HTML page: as a desktop shows them, and as a phone of 40 columns does.

python -m tests.blockkit_page messages.json > page.html
chromium --headless --screenshot=incident.png --window-size=1180,3000 page.html
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]
STYLE = """
* { box-sizing: border-box } body { margin: 0; padding: 18px; background: #e9e9ec; color: #1d1c1d; display: flex; gap: 20px;
 align-items: flex-start; font: 15px/1.46 Lato, "Liberation Sans", "DejaVu Sans", "Noto Color Emoji", sans-serif }
.pane { background: #fff; border-radius: 10px; padding: 10px 0; box-shadow: 0 1px 4px #0003 } .api { width: 700px } .phone { width: 384px; font-size: 16px }
.cap { color: #616061; font-size: 12px; padding: 0 18px 6px; border-bottom: 1px solid #ddd; margin-bottom: 6px }
.msg { display: flex; gap: 10px; padding: 8px 18px } .reply { padding-left: 34px } .phone .reply { padding-left: 18px }
.face { flex: 0 0 34px; height: 34px; border-radius: 6px; background: #0b5a4a; color: #fff; font-weight: 700; text-align: center; line-height: 34px }
.phone .face { display: none } .body { min-width: 0; flex: 1; overflow-wrap: anywhere } .by { font-weight: 700 } .by span { font-weight: 400; color: #616061; font-size: 12px }
h3 { font-size: 18px; margin: 4px 0 6px; line-height: 1.3 } p { margin: 2px 0 6px; white-space: pre-wrap } ul { margin: 2px 0 6px; padding-left: 22px }
code { background: #f4f4f4; border: 1px solid #ddd; border-radius: 3px; color: #c01343; padding: 0 3px; font-size: 12px } pre { background: #f8f8f8; border: 1px solid #ddd;
 border-radius: 4px; padding: 6px 8px; white-space: pre-wrap; font-size: 12px; margin: 4px 0 } .ctx { color: #616061; font-size: 12px; margin: 4px 0; white-space: pre-wrap }
.btn { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 4px 13px; margin: 4px 8px 4px 0; font-weight: 700; font-size: 14px; background: #fff }
.primary { background: #007a5a; color: #fff; border-color: #007a5a } .danger { color: #e01e5a; border-color: #e01e5a } a { color: #1264a3; text-decoration: none }
table { border-collapse: collapse; font-size: 13px; margin: 4px 0 } td, th { border: 1px solid #ddd; padding: 3px 8px; text-align: left; vertical-align: top } th { background: #f8f8f8 } td + td, th { white-space: nowrap } .scroll { overflow-x: auto }
.plan { border: 1px solid #ddd; border-radius: 8px; padding: 6px 12px; margin: 4px 0 } .task { margin: 3px 0 } .ok { color: #007a5a } .bad { color: #e01e5a } .mention { background: #fdf2d0; color: #1264a3 }
.push { margin: 6px 14px; padding: 7px 12px; border-radius: 12px; background: #2b2b30; color: #fff; font-size: 14px }
.sub { color: #616061; font-size: 13px } .chart { border: 1px solid #ddd; border-radius: 8px; padding: 6px 12px; margin: 4px 0; font-size: 12px }
"""


def page(shown: Sequence[Json], phone: Sequence[Json] | None = None) -> str:
    """`phone` are the messages of the phone, where they are not the desktop's. What is new among them stands above as its
    notification: an edit notifies nobody."""
    pushed = "".join(
        f'<div class="push"><b>Stanch</b><br>{html.escape(m["text"])}</div>' for m in phone or () if not m.get("edits")
    )
    panes = (("api", "desktop", "", shown), ("phone", "phone, 40 columns", pushed, phone or shown))
    drawn = "".join(
        f'<div class="pane {name}"><div class="cap">{caption}</div>{top}{"".join(map(_message, messages))}</div>'
        for name, caption, top, messages in panes
    )
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{drawn}"


def _message(message: Json) -> str:
    reply = " reply" if message.get("thread_ts") else ""
    edited = " (edited)" if message.get("edits") else ""
    blocks = "".join(map(_block, message.get("blocks", ()))) or f"<p>{html.escape(message['text'])}</p>"
    by = f'<div class="by">Stanch <span>APP {_time(message)}{edited}</span></div>'
    return f'<div class="msg{reply}"><div class="face">S</div><div class="body">{by}{blocks}</div></div>'


def _time(message: Json) -> str:
    seconds = int(float(message.get("ts", 0))) % 86400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def _block(block: Json) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "context":
            return f'<div class="ctx">{"<br>".join(html.escape(one["text"]) for one in block["elements"])}</div>'
        case "actions":
            return "".join(
                f'<span class="btn {b.get("style", "")}">{html.escape(b["text"]["text"])}</span>'
                for b in block["elements"]
            )
        case "markdown":
            return f"<p>{html.escape(block['text'])}</p>"
        case "rich_text":
            return "".join(map(_element, block["elements"]))
        case "plan":
            return f'<div class="plan"><b>{html.escape(block["title"])}</b>{"".join(map(_task, block["tasks"]))}</div>'
        case "data_table":
            head, *body = (
                "".join(f"<{t}>{html.escape(c['text'])}</{t}>" for c in row) for row, t in _tagged(block["rows"])
            )
            return (
                f'<div class="scroll"><table><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in body)}</table></div>'
            )
        case "data_visualization":
            return _chart(block)
    return f"<p>[{block['type']}]</p>"


def _tagged(rows: Sequence[Any]) -> list[tuple[Any, str]]:
    return [(row, "td" if i else "th") for i, row in enumerate(rows)]


def _task(task: Json) -> str:
    mark = {"complete": '<span class="ok">✓</span>', "error": '<span class="bad">✗</span>'}.get(task["status"], "◌")
    inner = f'<div class="sub">{_block(task["output"])}</div>' if "output" in task else ""
    inner += "<span class=sub> ▸ details</span>" if "details" in task else ""  # closed, until somebody opens them
    return f'<div class="task">{mark} {html.escape(task["title"])}{inner}</div>'


def _element(element: Json) -> str:
    spans = "".join(map(_span, element["elements"])) if element["type"] != "rich_text_list" else ""
    match element["type"]:
        case "rich_text_list":
            return f"<ul>{''.join(f'<li>{_inline(one)}</li>' for one in element['elements'])}</ul>"
        case "rich_text_preformatted":
            return f"<pre>{spans}</pre>"
    return f"<p>{spans}</p>"


def _inline(section: Json) -> str:
    return "".join(map(_span, section["elements"]))


def _span(span: Json) -> str:
    match span["type"]:
        case "link":
            return f'<a href="#">{html.escape(span.get("text") or span["url"])}</a>'
        case "user" | "usergroup":
            return f'<span class="mention">@{html.escape(span.get("user_id") or span["usergroup_id"])}</span>'
    text = html.escape(span["text"])
    for style, tag in (("bold", "b"), ("italic", "i"), ("code", "code"), ("strike", "s")):
        text = f"<{tag}>{text}</{tag}>" if span.get("style", {}).get(style) else text
    return text


def _chart(block: Json) -> str:
    chart = block["chart"]
    points = [point for series in chart["series"] for point in series["data"]]
    high = max((p["value"] for p in points), default=1) or 1
    step = 300 / len(points)
    heights = [round(max(p["value"], 0) / high * 70) for p in points]
    if chart["type"] == "bar":
        drawn = "".join(
            f'<rect x="{i * step + 4:.0f}" y="{82 - h}" width="{step - 10:.0f}" height="{h}" fill="#1264a3"/>'
            for i, h in enumerate(heights)
        )
    else:
        line = " ".join(f"{i * step + step / 2:.0f},{82 - h}" for i, h in enumerate(heights))
        drawn = f'<polyline points="{line}" fill="none" stroke="#1264a3" stroke-width="2"/>'
    every = max(len(points) // 4, 1)
    names = "".join(
        f'<text x="{i * step + step / 2:.0f}" y="96" font-size="10" text-anchor="middle">{html.escape(p["label"])}</text>'
        for i, p in enumerate(points)
        if i % every == 0
    )
    return f'<div class="chart"><b>{html.escape(block["title"])}</b><br><svg width="300" height="100">{drawn}{names}</svg></div>'


if __name__ == "__main__":
    print(page(json.loads(Path(sys.argv[1]).read_text())))
