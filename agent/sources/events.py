"""CloudEvents 1.0, structured and binary: what was changed on the platform, and what a drift job has to say.

A deployment, a model promotion or new data becomes a Change, which an investigation looks at. Where `data.alert` holds an
alert as Alertmanager writes it, the event rings too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.clock import iso
from agent.errors import UnusableInput
from agent.sources.alertmanager import TIME, Dialect, Moment, problems, read_alert
from agent.sources.portions import Steps
from agent.sources.source import Delivery, Incoming, Signing, Source
from tools.context import Change

EVENT = Dialect("event", "", "a CloudEvent")
STRUCTURED = "application/cloudevents+json"
HEADER = "webhook-signature"
AGE_S = 300
MOST, LONG = 40, 500  # entries of an event's detail that a change keeps, and characters of each
_SECONDS = re.compile(r"[0-9]{1,12}")
# The first whose word stands in the event's type
_KINDS = (
    ("promot", "model_promotion"),
    ("alias", "model_promotion"),
    ("registered", "model_promotion"),
    ("model_version", "model_promotion"),
    ("model.version", "model_promotion"),
    ("deploy", "deployment"),
    ("rollout", "deployment"),
    ("rollback", "deployment"),
    ("rolledback", "deployment"),
    ("upgraded", "deployment"),
    ("release", "deployment"),
    ("restart", "restart"),
    ("scal", "scaling"),
    ("config", "config"),
    ("flag", "config"),
    ("drift", "data"),
    ("data", "data"),
    ("feature", "data"),
)


class CloudEvent(BaseModel):
    """The attributes that are read; extensions are kept."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    time: Moment | None = None
    subject: str = ""
    data: Any = None
    data_base64: str | None = None


def parse(body: bytes, headers: Mapping[str, str], now: datetime) -> Delivery:
    """`headers` with lower-case names; with `ce-id` among them the mode is binary. UnusableInput says what to mend."""
    told = _json(body) if body.strip() else None
    if "ce-specversion" in headers or "ce-id" in headers:
        said = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        told = {**said, "data": told}
    elif not isinstance(told, dict):
        raise UnusableInput(
            f"The body is no CloudEvent. Send {STRUCTURED}, or the data with ce-id, ce-source, ce-type."
        )
    try:
        event = CloudEvent.model_validate(told)
    except ValidationError as error:
        raise UnusableInput(f"This CloudEvent cannot be read: {problems(error)}. Send CloudEvents 1.0.") from None
    return _heard(event, _data(event), now)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=lambda word: None)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableInput(f"The body is not JSON ({error}). Send a CloudEvent as JSON.") from None


def _data(event: CloudEvent) -> Mapping[str, Any]:
    """What the event carries, as a mapping; anything else stands under `text`."""
    data = event.data
    if event.data_base64 is not None:
        try:
            data = json.loads(base64.b64decode(event.data_base64, validate=True))
        except (ValueError, UnicodeDecodeError, RecursionError, binascii.Error) as error:
            raise UnusableInput(f"data_base64 holds no JSON ({error}). Send the data as JSON under `data`.") from None
    return data if isinstance(data, dict) else {} if data is None else {"text": data}


def _heard(event: CloudEvent, data: Mapping[str, Any], now: datetime) -> Delivery:
    try:
        at = now if event.time is None else _utc(event.time)
    except OverflowError:
        raise UnusableInput("The event's time lies outside the years 1 to 9999.") from None
    change = Change(
        at=at,
        kind=_kind(event.type),
        what=_what(event, data),
        service=_first(data, "service", "app", "serving"),
        cluster=_first(data, "cluster"),
        by=_first(data, "by", "author", "actor", "user"),
        link=_first(data, "link", "url"),
        source=event.source,
        detail=_detail(event, data),
    )
    if "alert" not in data:
        return Delivery(changes=(change,))
    alert = data["alert"]
    if isinstance(alert, dict) and "startsAt" not in alert:
        alert = {**alert, "startsAt": iso(at)}
    try:
        return Delivery((read_alert(alert, now, EVENT),), changes=(change,))
    except UnusableInput as error:
        return Delivery(odd=(f"data.alert cannot be read: {error}",), changes=(change,))


def _kind(kind: str) -> str:
    return next((ours for word, ours in _KINDS if word in kind.lower()), "other")


def _what(event: CloudEvent, data: Mapping[str, Any]) -> str:
    """In the sender's words where there are any."""
    said = _first(data, "what", "summary", "message", "title", "text")
    of = " ".join(part for part in (_first(data, "model", "service", "app"), _first(data, "version")) if part)
    return said or " ".join(part for part in (event.type, event.subject or of) if part)[:LONG]


def _first(data: Mapping[str, Any], *names: str) -> str:
    return next(
        (str(data[n])[:LONG] for n in names if isinstance(data.get(n), str | int | float) and data[n] != ""), ""
    )


def _detail(event: CloudEvent, data: Mapping[str, Any]) -> dict[str, str]:
    plain = {str(k): v for k, v in data.items() if isinstance(v, str | int | float | bool)}
    kept = {name[:LONG]: str(value)[:LONG] for name, value in list(plain.items())[:MOST]}
    return {**kept, "type": event.type[:LONG], "event": event.id}


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Standard Webhooks, version v1: base64 of HMAC-SHA256 over `id.time.body`, at most 5 minutes old."""
    name, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not secret or not name or not _SECONDS.fullmatch(sent) or abs(now - int(sent)) > AGE_S:
        return False
    signed = name.encode("latin-1", "replace") + b"." + sent.encode() + b"." + body
    right = [b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in _keys(secret)]
    given = headers.get(HEADER, "").encode("latin-1", "replace").split(b" ")[:10]
    return sum([hmac.compare_digest(one, ours) for one in given for ours in right]) > 0


def _keys(secret: str) -> list[bytes]:
    """The libraries write a secret as base64, often after `whsec_`; any other text is itself the key."""
    keys = [] if secret.startswith("whsec_") else [secret.encode()]
    with suppress(ValueError):
        keys.append(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    return [key for key in keys if key]


def read_incoming(incoming: Incoming, now: datetime) -> Steps[Delivery]:
    yield from ()  # one event is short
    return parse(incoming.body, incoming.headers, now)


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"anyOf": [TIME, {"type": "null"}]},
        "subject": {"type": "string"},
        "data": {},
    },
}
SOURCE = Source(
    "events",
    "/v1/events",
    "events",
    read_incoming,
    SCHEMA,
    "A CloudEvent 1.0 in structured mode, or in binary mode (`ce-` headers, the data as JSON), with a token or with "
    "the `webhook-` headers of Standard Webhooks. `data.alert` may hold an alert.",
    media=(STRUCTURED, "application/json"),
    signs=Signing(HEADER, genuine),
)
