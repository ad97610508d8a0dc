"""The lab's Alertmanager: alerts that fire now, and silences. Shapes as of 0.33."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agent.clock import iso, parse_time
from agent.lab.answers import NotJson, answer, body_of
from agent.lab.clock import millis, moment
from agent.lab.world.world import World

API = "/alertmanager/api/v2"
RECEIVER = "stanch"
Alert = Mapping[str, Any]
_FILTER = re.compile(r'^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"?(.*?)"?\s*$')


@dataclass(frozen=True, slots=True)
class Matcher:
    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def holds(self, labels: Mapping[str, str]) -> bool:
        actual = labels.get(self.name, "")
        same = bool(re.fullmatch(self.value, actual)) if self.is_regex else self.value == actual
        return same is self.is_equal

    def to_json(self) -> dict[str, Any]:
        return {"isEqual": self.is_equal, "isRegex": self.is_regex, "name": self.name, "value": self.value}


@dataclass(frozen=True, slots=True)
class Silence:
    id: str
    matchers: tuple[Matcher, ...]
    starts_ms: int
    ends_ms: int
    by: str
    comment: str
    updated_ms: int

    def state(self, now: int) -> str:
        return "pending" if now < self.starts_ms else "active" if now < self.ends_ms else "expired"

    def to_json(self, now: int) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": {"state": self.state(now)},
            "updatedAt": iso(moment(self.updated_ms)),
            "comment": self.comment,
            "createdBy": self.by,
            "endsAt": iso(moment(self.ends_ms)),
            "matchers": [m.to_json() for m in self.matchers],
            "startsAt": iso(moment(self.starts_ms)),
        }


def silences(world: World) -> dict[str, Silence]:
    """Every silence by id, out of the applied changes."""
    found: dict[str, Silence] = {}
    for change in world.applied:
        if change.kind == "silence":
            data = change.data
            matchers = tuple(Matcher(m["name"], m["value"], m["isRegex"], m["isEqual"]) for m in data["matchers"])
            found[data["id"]] = Silence(
                data["id"], matchers, data["starts_ms"], data["ends_ms"], data["by"], data["comment"], change.at_ms
            )
        elif change.kind == "silence_expired" and change.data["id"] in found:
            old = found[change.data["id"]]
            found[old.id] = Silence(
                old.id, old.matchers, old.starts_ms, change.at_ms, old.by, old.comment, change.at_ms
            )
    return found


def routes(world: World, firing: Callable[[], Sequence[Alert]]) -> list[Route]:
    def alerts(request: Request) -> Response:
        try:
            wanted = [_matcher(text) for text in request.query_params.getlist("filter")]
        except ValueError as error:
            return answer({"code": 400, "message": str(error)}, 400)
        shown = [_as_v2(world, alert) for alert in firing() if all(m.holds(alert["labels"]) for m in wanted)]
        for kind, state in (("silenced", "suppressed"), ("active", "active")):
            if request.query_params.get(kind, "true") == "false":
                shown = [alert for alert in shown if alert["status"]["state"] != state]
        return answer(shown)

    def listing(request: Request) -> Response:
        return answer([silence.to_json(world.now_ms()) for silence in silences(world).values()])

    def one(request: Request) -> Response:
        found = silences(world).get(request.path_params["id"])
        return PlainTextResponse("", 404) if found is None else answer(found.to_json(world.now_ms()))

    async def silence(request: Request) -> Response:
        try:
            data = _silence(world, await body_of(request))
        except (NotJson, ValueError, KeyError, TypeError) as error:
            return answer({"code": 400, "message": str(error)}, 400)
        world.change("silence", data, request.headers.get("idempotency-key", ""))
        return answer({"silenceID": data["id"]})

    def expire(request: Request) -> Response:
        wanted = request.path_params["id"]
        found = silences(world).get(wanted)
        if found is None:
            return answer({"code": 404, "message": f"silence {wanted} not found"}, 404)
        if found.state(world.now_ms()) != "expired":
            world.change("silence_expired", {"id": wanted})
        return answer({})

    def status(request: Request) -> Response:
        return answer(
            {
                "cluster": {"peers": [], "status": "disabled"},
                "config": {"original": f"route:\n  receiver: {RECEIVER}\n"},
                "uptime": iso(moment(world.sim.grid.first_ms)),
                "versionInfo": {"version": "0.33.1", "branch": "HEAD"},
            }
        )

    return [
        Route(f"{API}/alerts", alerts, methods=["GET"]),
        Route(f"{API}/silences", listing, methods=["GET"]),
        Route(f"{API}/silences", silence, methods=["POST"]),
        Route(f"{API}/silence/{{id}}", one, methods=["GET"]),
        Route(f"{API}/silence/{{id}}", expire, methods=["DELETE"]),
        Route(f"{API}/status", status, methods=["GET"]),
        Route("/alertmanager/-/healthy", lambda request: PlainTextResponse("OK"), methods=["GET"]),
        Route("/alertmanager/-/ready", lambda request: PlainTextResponse("OK"), methods=["GET"]),
    ]


def _matcher(text: str) -> Matcher:
    found = _FILTER.match(text)
    if found is None:
        raise ValueError(f"bad matcher format: {text}")
    return Matcher(found[1], found[3], "~" in found[2], not found[2].startswith("!"))


def _as_v2(world: World, alert: Alert) -> dict[str, Any]:
    now = world.now_ms()
    by = [
        s.id
        for s in silences(world).values()
        if s.state(now) == "active" and all(m.holds(alert["labels"]) for m in s.matchers)
    ]
    return {
        "annotations": alert["annotations"],
        "endsAt": iso(moment(now + 240_000)),
        "fingerprint": alert["fingerprint"],
        "receivers": [{"name": RECEIVER}],
        "startsAt": alert["startsAt"],
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": by, "state": "suppressed" if by else "active"},
        "updatedAt": iso(moment(now)),
        "generatorURL": alert["generatorURL"],
        "labels": alert["labels"],
    }


def _silence(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """A posted silence as kept; ValueError in Alertmanager's words."""
    matchers = body.get("matchers") or []
    if not matchers:
        raise ValueError("matchers in body should have at least 1 items")
    starts, ends = (millis(parse_time(str(body[key]))) for key in ("startsAt", "endsAt"))
    now = world.now_ms()
    if ends <= starts or ends <= now:
        raise ValueError("invalid silence: end time must not be in the past")
    old = str(body.get("id") or "")
    return {
        "id": old
        if old in silences(world)
        else str(uuid.uuid5(uuid.NAMESPACE_URL, f"{now}/{len(world.applied)}/{body}")),
        "matchers": [
            {
                "name": str(m["name"]),
                "value": str(m["value"]),
                "isRegex": bool(m.get("isRegex")),
                "isEqual": bool(m.get("isEqual", True)),
            }
            for m in matchers
        ],
        "starts_ms": max(starts, now) if old not in silences(world) else starts,
        "ends_ms": ends,
        "by": str(body.get("createdBy", "")),
        "comment": str(body.get("comment", "")),
    }


def webhook_body(alerts: Sequence[Alert], group: Mapping[str, str], external_url: str) -> dict[str, Any]:
    """Alertmanager's webhook, version 4, for one group."""

    def shared(part: str) -> dict[str, str]:
        first = dict(alerts[0][part]) if alerts else {}
        return {k: v for k, v in first.items() if all(alert[part].get(k) == v for alert in alerts)}

    return {
        "receiver": RECEIVER,
        "status": "firing" if any(a["status"] == "firing" for a in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": dict(group),
        "commonLabels": shared("labels"),
        "commonAnnotations": shared("annotations"),
        "externalURL": external_url,
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{k}="{v}"' for k, v in group.items()) + "}",
        "truncatedAlerts": 0,
    }
