"""The OpenAPI document's parts: what is taken, what is answered, and by what credentials."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

Schema = dict[str, Any]


class Answer(BaseModel):
    """What was kept."""

    model_config = ConfigDict(extra="forbid")
    receipt: str = Field(description="names the notification in logs; empty where nothing had to be kept")
    alerts: int = Field(ge=0, description="how many alerts it holds that can be worked")
    duplicate: bool = Field(description="everything in it had been delivered before")
    quarantined: str | None = Field(None, description="what of it was odd and is kept for a person (`stanch doctor`)")


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="what happened and what to do next")


class Health(BaseModel):
    status: str
    detail: str = ""


_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
ALERT: Final[Schema] = {
    "type": "object",
    "description": "One alert, with a status of its own. Keys that are not listed are kept.",
    "required": ["labels", "startsAt"],
    "properties": {
        "labels": {**_TEXTS, "minProperties": 1},
        "annotations": {"anyOf": [_TEXTS, {"type": "null"}]},
        "startsAt": _TIME,
        "endsAt": {"anyOf": [_TIME, {"type": "null"}]},
        "generatorURL": {"type": "string"},
        "fingerprint": {"type": "string"},
    },
}
NOTIFICATION: Final[Schema] = {
    "type": "object",
    "description": "One alert at least must be whole; what else is odd is set aside and the whole body kept for a person.",
    "required": ["alerts"],
    "properties": {"alerts": {"type": "array", "minItems": 1, "contains": ALERT}},
    "example": {
        "version": "4", "groupKey": '{}:{alertname="ForecastLatencyHigh"}', "receiver": "stanch", "status": "firing",
        "alerts": [{
            "status": "firing", "labels": {"alertname": "ForecastLatencyHigh", "severity": "critical"},
            "annotations": {"summary": "p99 is above 1 s"}, "startsAt": "2026-11-24T03:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "d42008ce008416ab",
        }],
    },
}  # fmt: skip
EVENT: Final[Schema] = {
    "type": "object",
    "description": "A CloudEvent. `data.alert` may hold an alert as Alertmanager sends it.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"type": "string"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"anyOf": [_TIME, {"type": "null"}]},
    },
    "example": {
        "specversion": "1.0", "id": "42", "source": "/ci", "type": "com.example.deployment.finished",
        "subject": "checkout", "data": {"service": "checkout", "cluster": "eu-1", "version": "1.4.2"},
    },
}  # fmt: skip

_SAID: Final = {
    400: "Cannot be read; the detail says what to mend",
    401: "Credentials are missing or wrong",
    403: "Sent to another name than this machine's own, without a token",
    413: "Larger than serve.max_body_mb",
    415: "Not JSON, or compressed",
    503: "Overloaded, starting, stopping, or the database is away: send it again",
}
BEARER_OR_BASIC: Final[list[Schema]] = [{"bearer": []}, {"basic": []}]
SCHEMES: Final[Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "any user, the token as password"},
    "grafana": {"type": "apiKey", "in": "header", "name": "X-Grafana-Alerting-Signature"},
    "standardWebhooks": {"type": "apiKey", "in": "header", "name": "webhook-signature"},
}


def problems(*statuses: int) -> dict[int | str, Schema]:
    """`responses` of a route that may refuse so."""
    shape = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": _SAID[status], "content": shape} for status in statuses}


def takes(bodies: dict[str, Schema], *security: str) -> Schema:
    """`openapi_extra` of a route that is posted to."""
    return {
        "requestBody": {"required": True, "content": {kind: {"schema": schema} for kind, schema in bodies.items()}},
        "security": [*BEARER_OR_BASIC, *({name: []} for name in security)],
    }
