"""Alertmanager's webhook body (version 4), and what `amtool` and the API list: parsed into alerts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.domain.alert import Alert, AlertStatus
from agent.errors import UnusableInput
from agent.sources.long_json import decoded
from agent.sources.portions import PORTION, Steps, at_once
from agent.sources.source import Delivery, Incoming, Source

ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
DEEPEST = 20  # levels of what an alert may carry besides its own fields
MOST_ODD = 20  # alerts that cannot be read of which each is told what is wrong with it
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _no_nulls(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, dict) and None in value.values():
        return {k: "" if v is None else v for k, v in value.items()}
    return value


def _written(value: Any) -> Any:
    """A number is no time: pydantic would take it for seconds of the Unix epoch."""
    if isinstance(value, str) and not _MOMENT.match(value):
        raise ValueError("give a time such as 2026-11-24T03:04:05Z")
    if not isinstance(value, str | None):
        raise ValueError("give a time as text, such as 2026-11-24T03:04:05Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_written)]
Strings = Annotated[dict[str, str], BeforeValidator(_no_nulls)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)


class AlertBody(_Loose):
    labels: Strings = Field(default_factory=dict)
    annotations: Strings = Field(default_factory=dict)
    starts_at: Moment = Field(alias="startsAt")
    ends_at: Moment | None = Field(None, alias="endsAt")
    generator_url: str = Field("", alias="generatorURL")
    fingerprint: str = ""
    status: Any = None


class Notification(_Loose):
    version: str = "4"
    group_key: str = Field("", alias="groupKey")
    receiver: str = ""
    status: str = ""
    alerts: list[AlertBody]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Whose webhook it is: the source that its alerts are said to come from, and the version that is read."""

    source: str
    version: str
    called: str


ALERTMANAGER = Dialect("alertmanager", "4", "an Alertmanager webhook")


def parse(body: bytes | str, now: datetime) -> list[Alert]:
    """Alerts of a webhook body, of a list of alerts, or of one alert. UnusableInput says what was seen and what to send."""
    data = at_once(_json(body, ALERTMANAGER))
    if str(data.get("version", "4")) != "4":
        raise UnusableInput(
            f"This is webhook version {data.get('version')!r}; Stanch reads version 4 (Alertmanager ≥ 0.16)."
        )
    _some(data)
    try:
        notification = Notification.model_validate(data)
    except ValidationError as error:
        raise UnusableInput(_explain(error)) from None
    return [_alert(one, notification, now, ALERTMANAGER) for one in notification.alerts]


def delivered(body: bytes, now: datetime, dialect: Dialect = ALERTMANAGER) -> Delivery:
    """What a webhook brought. An alert that cannot be read does not hold up the others; UnusableInput when none can."""
    return at_once(delivering(body, now, dialect))


def delivering(body: bytes, now: datetime, dialect: Dialect = ALERTMANAGER, most: int | None = None) -> Steps[Delivery]:
    """As `delivered`, a portion at a time. TooMany where it holds more than `most` alerts."""
    data = yield from _json(body, dialect, most)
    _some(data)
    odd, unread, alerts = [], _Unread(), list[Alert]()
    if str(data.get("version", dialect.version)) != dialect.version:
        odd.append(f"It is version {str(data['version'])[:40]!r}; this is read as {dialect.called}.")
    around, listed = _around(data), data["alerts"]
    for place, one in enumerate(listed if isinstance(listed, list) else [listed]):
        if place and place % PORTION == 0:
            yield
        try:
            alerts.append(read_alert(one, now, dialect, around))
        except UnusableInput as error:
            unread.add(f"alerts.{place} cannot be read: {error}")
    if not alerts:
        raise UnusableInput(f"{' '.join(unread.told[:5])} Send the body of {dialect.called}.")
    left_out = data.get("truncatedAlerts")
    return Delivery(tuple(alerts), (*odd, *unread.said()), left_out if isinstance(left_out, int) else 0)


class _Unread:
    """What is wrong with the alerts that cannot be read: of the first some, and how many others there are."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._more = 0

    def add(self, why: str) -> None:
        if len(self.told) < MOST_ODD:
            self.told.append(why)
        else:
            self._more += 1

    def said(self) -> list[str]:
        return [*self.told, *([f"{self._more:,} more cannot be read."] if self._more else [])]


def _around(data: Mapping[str, Any]) -> Notification:
    """What is said of all the alerts; where that is not as it should be, what can be read of it."""
    try:
        return Notification.model_validate({**data, "alerts": []})
    except ValidationError:
        read = {name: data[name] for name in ("groupKey", "receiver") if _is_text(data.get(name))}
        return Notification(alerts=[], **read)


def read_alert(one: Any, now: datetime, dialect: Dialect, around: Notification | None = None) -> Alert:
    """One alert as Alertmanager writes it; UnusableInput says what is wrong with it."""
    try:
        body = AlertBody.model_validate(one)
    except ValidationError as error:
        raise UnusableInput(f"{problems(error)}.") from None
    return _alert(body, around or Notification(alerts=[]), now, dialect)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _json(body: bytes | str, dialect: Dialect, most: int | None = None) -> Steps[Mapping[str, Any]]:
    """A mapping with `alerts`; what the API lists, and one alert, are made into one."""
    if not body.strip():
        raise UnusableInput(f"The input is empty. Give the body of {dialect.called}, with at least one alert.")
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body))
        data = yield from decoded(text, most)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        start = (body if isinstance(body, str) else body[:60].decode("utf-8", "replace"))[:40]
        raise UnusableInput(
            f"This is not JSON ({error}); it starts with {start!r}. Give the body of {dialect.called}, "
            "or alerts as `GET /api/v2/alerts` lists them."
        ) from None
    if isinstance(data, list):
        data = {"alerts": data}
    elif isinstance(data, Mapping) and "alerts" not in data and "labels" in data:
        data = {"alerts": [data]}
    elif not isinstance(data, Mapping):
        raise UnusableInput(f"A JSON {type(data).__name__} cannot be read. Give the body of {dialect.called}.")
    elif "alerts" not in data:
        keys = ", ".join(sorted(map(str, data))[:8]) or "no keys"
        raise UnusableInput(f"The JSON has no `alerts` (it has {keys}). Give the body of {dialect.called}.")
    body_of: Mapping[str, Any] = data
    return body_of


def _some(data: Mapping[str, Any]) -> None:
    if data["alerts"] == []:
        raise UnusableInput("The body holds no alerts (`alerts` is empty). Send at least one alert.")


def _alert(one: AlertBody, notification: Notification, now: datetime, dialect: Dialect) -> Alert:
    if not one.labels:
        raise UnusableInput("An alert has no labels; every alert needs at least `alertname`.")
    given = one.model_extra or {}
    if any(_deep(value) for value in given.values()):
        raise UnusableInput(f"An alert is nested more than {DEEPEST} levels deep.")
    extra = {name: _finite(value) for name, value in given.items()}
    if isinstance(one.status, Mapping):
        extra["state"] = str(one.status.get("state", ""))  # as the API lists it: active, suppressed, unprocessed
    if notification.receiver:
        extra["receiver"] = notification.receiver
    try:
        starts, ends = _utc(one.starts_at), None if one.ends_at is None else _utc(one.ends_at)
    except OverflowError:
        raise UnusableInput("An alert starts or ends outside the years 1 to 9999.") from None
    status = _status(one, ends, now)
    return Alert(
        source=dialect.source,
        fingerprint=one.fingerprint or fingerprint(one.labels),
        status=status,
        labels=one.labels,
        annotations=one.annotations,
        starts_at=starts,
        ends_at=ends if status is AlertStatus.RESOLVED and ends != ZERO_TIME else None,
        generator_url=one.generator_url,
        group_key=notification.group_key,
        extra=extra,
    )


def _deep(value: Any, levels: int = DEEPEST) -> bool:
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(_deep(one, levels - 1) for one in (value.values() if isinstance(value, dict) else value))


def _finite(value: Any) -> Any:
    """The value with null for every number without an end: `1e999` is JSON, and no timeline keeps what it is read as."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _status(one: AlertBody, ends: datetime | None, now: datetime) -> AlertStatus:
    """Per alert, never the group's. The API's list has {"state": "active"} and an endsAt in the future for firing ones."""
    if isinstance(one.status, str):
        return AlertStatus.RESOLVED if one.status.lower() == "resolved" else AlertStatus.FIRING
    if isinstance(one.status, Mapping) or ends is None or ends == ZERO_TIME:
        return AlertStatus.FIRING
    return AlertStatus.RESOLVED if ends <= now else AlertStatus.FIRING


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hex digits of the sorted labels, for sources that send none."""
    text = json.dumps(sorted(labels.items()), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def problems(error: ValidationError) -> str:
    """Each place with what is wrong there, in one line."""
    found: Sequence[str] = [
        f"{'.'.join(str(p) for p in one['loc']) or 'it'}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(found[:5])


def _explain(error: ValidationError) -> str:
    return f"These alerts cannot be read: {problems(error)}. Give the body of an Alertmanager webhook (version 4)."


_TEXT = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}
_ALERT = {
    "type": "object",
    "required": ["labels", "startsAt"],
    "properties": {
        "labels": {**_TEXT, "minProperties": 1},
        "annotations": _TEXT,
        "startsAt": TIME,
        "endsAt": {"anyOf": [TIME, {"type": "null"}]},
        "generatorURL": {"type": "string"},
        "fingerprint": {"type": "string"},
        "status": {"type": "string"},
    },
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["alerts"],
    "properties": {"alerts": {"type": "array", "minItems": 1, "contains": _ALERT}},
}


def read_incoming(incoming: Incoming, now: datetime) -> Steps[Delivery]:
    return (yield from delivering(incoming.body, now, ALERTMANAGER, incoming.most))


SOURCE = Source(
    "alertmanager",
    "/v1/webhooks/alertmanager",
    "alerts",
    read_incoming,
    SCHEMA,
    "The body of an Alertmanager webhook (version 4), as `GET /api/v2/alerts` lists alerts, or one alert. At least "
    "one alert has to be readable; what is not is set aside.",
    reconciled=True,
)
