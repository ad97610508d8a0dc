"""A lab in which one text is planted in what it answers: in a log line, a label, a report, a tag, an event."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.lab.server import Lab


class PlantedLab(Lab):
    """`carrier` and `text` may be changed between two answers; with no text the lab answers as it is."""

    carrier = ""
    text = ""

    def app(self) -> Any:
        return Planting(super().app(), self)


class Planting:
    def __init__(self, app: ASGIApp, lab: PlantedLab) -> None:
        self.app = app
        self.lab = lab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        change = CHANGES.get((self.lab.carrier, str(scope.get("path", "")).split("/")[1])) if self.lab.text else None
        if change is None:
            return await self.app(scope, receive, send)
        if str(scope["path"]).endswith("/__name__/values"):  # the lab would evaluate every rule of its own for this
            return await JSONResponse({"status": "success", "data": ["up", f"{self.lab.text} replicas"]})(
                scope, receive, send
            )
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, keep)
        await self._changed(sent, change, send)

    async def _changed(self, sent: list[Message], change: Callable[[Any, str], Any], send: Send) -> None:
        body = b"".join(message.get("body", b"") for message in sent[1:])
        with suppress(ValueError):  # no JSON: it stays as it is
            body = json.dumps(change(json.loads(body), self.lab.text)).encode()
        headers = [(k, v) for k, v in sent[0].get("headers", []) if k.lower() != b"content-length"]
        await send({**sent[0], "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


def log_line(answer: Any, text: str) -> Any:
    for stream in answer.get("data", {}).get("result", [])[:1]:
        stream["values"].extend([stream["values"][0][0], f"level=error msg={json.dumps(text)} n={n}"] for n in range(3))
    return answer


def metric_label(answer: Any, text: str) -> Any:
    data = answer.get("data", {})
    for series in data.get("result", []) if isinstance(data, dict) else []:
        if "deployment" in series.get("metric", {}):
            series["metric"]["note"] = text
    return answer


def metric_name(answer: Any, text: str) -> Any:
    """The list of names is written in `Planting`; what is asked about the name is answered as it is."""
    return answer


def drift_report(answer: Any, text: str) -> Any:
    for metric in answer.get("metrics", []) if isinstance(answer, dict) else []:
        if metric["metric_name"].startswith("ValueDrift") and "temperature" in metric["metric_name"]:
            metric["config"]["column"] = text
            metric["metric_name"] = metric["metric_name"].replace("temperature", text)
            metric["value"] = 0.9
    return answer


def registry(answer: Any, text: str) -> Any:
    """In every description, tag and run name, wherever it stands."""
    if isinstance(answer, list):
        return [registry(one, text) for one in answer]
    if not isinstance(answer, dict):
        return answer
    made = {name: registry(value, text) for name, value in answer.items()}
    for name in ("description", "run_name"):
        if name in made:
            made[name] = text
    if "tags" in made and isinstance(made["tags"], list):
        made["tags"] = [*made["tags"], {"key": "note", "value": text}]
    return made


def event(answer: Any, text: str) -> Any:
    if isinstance(answer, dict) and str(answer.get("kind", "")).startswith("Event"):
        for item in answer.get("items", []):
            item["message"] = item["note"] = text
            item["type"] = "Warning"
    return answer


CHANGES: dict[tuple[str, str], Callable[[Any, str], Any]] = {
    ("log line", "loki"): log_line,
    ("metric label", "prometheus"): metric_label,
    ("metric name", "prometheus"): metric_name,
    ("drift report", "reports"): drift_report,
    ("registry", "mlflow"): registry,
    ("event", "kubernetes"): event,
}
