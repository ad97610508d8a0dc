"""Alertmanager's webhook body (version 4), and what `amtool` and the API list: parsed into alerts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.case.alert import Alert, AlertStatus
from agent.errors import UnusableInput
from tools.context import Change

_JSON = json.JSONDecoder(parse_constant=lambda word: None)  # NaN and Infinity are null; made once, it is slow to make
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
DEEPEST = 20  # levels of a key we do not know
WANTED = "the body of an Alertmanager webhook, or alerts as `GET /api/v2/alerts` lists them, with at least one alert"
SHOWN = 5  # problems that one answer names


def _no_nulls(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, Mapping) and None in value.values():
        return {k: "" if v is None else v for k, v in value.items()}
    return value


Strings = Annotated[dict[str, str], BeforeValidator(_no_nulls)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)


class AlertBody(_Loose):
    labels: Strings = Field(default_factory=dict)
    annotations: Strings = Field(default_factory=dict)
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime | None = Field(None, alias="endsAt")
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
class Delivery:
    """What can be worked of a notification, and why the rest cannot: then the whole of it is kept for a person."""

    alerts: tuple[Alert, ...] = ()
    changes: tuple[Change, ...] = ()
    odd: tuple[str, ...] = ()


def parse(body: bytes | str, now: datetime) -> list[Alert]:
    """Alerts of a webhook body, of a list of alerts, or of one alert. UnusableInput says what was seen and what to send."""
    data = _as_notification(decoded(body))
    if isinstance(data, Mapping) and (why := _unknown_version(data, ("4",))):
        raise UnusableInput(why)
    try:
        notification = Notification.model_validate(data)
    except ValidationError as error:
        raise UnusableInput(_explain(error)) from None
    if not notification.alerts:
        raise UnusableInput("The body holds no alerts (`alerts` is empty). Send at least one alert.")
    return [_alert(one, notification, now, "alertmanager") for one in notification.alerts]


def read(data: Any, now: datetime, source: str = "alertmanager", versions: Sequence[str] = ("4",)) -> Delivery:
    """As `parse`, of decoded JSON, but what is odd does not take the rest with it. UnusableInput where no alert is left."""
    data = _as_notification(data)
    odd = [why] if isinstance(data, Mapping) and (why := _unknown_version(data, versions)) else []
    try:
        notification = Notification.model_validate(data)
    except ValidationError as error:
        if not isinstance(data, Mapping) or not isinstance(data["alerts"], list):
            raise UnusableInput(_explain(error)) from None
        notification = _what_is_readable(data, odd)
    alerts = []
    for one in notification.alerts:
        try:
            alerts.append(_alert(one, notification, now, source))
        except UnusableInput as error:
            odd.append(str(error))
    if not alerts:
        problems = " ".join(odd[:SHOWN]) or "The body holds no alerts (`alerts` is empty). Send at least one alert."
        raise UnusableInput(problems)
    return Delivery(tuple(alerts), odd=tuple(odd))


def _what_is_readable(data: Mapping[str, Any], odd: list[str]) -> Notification:
    """Each alert by itself; what is wrong is added to `odd`."""
    try:
        notification = Notification.model_validate({**data, "alerts": []})
    except ValidationError as error:
        odd.append(_explain(error))
        notification = Notification(alerts=[])
    for one in data["alerts"]:
        try:
            notification.alerts.append(AlertBody.model_validate(one))
        except ValidationError as error:
            odd.append(_explain(error))
    return notification


def decoded(body: bytes | str, wanted: str = WANTED) -> Any:
    """The JSON of a body, NaN read as null; UnusableInput shows how it starts and says what is `wanted`."""
    if not body.strip():
        raise UnusableInput(f"The input is empty. Give {wanted}.")
    try:
        return _JSON.decode(body if isinstance(body, str) else body.decode(json.detect_encoding(body)))
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        start = (body if isinstance(body, str) else body[:60].decode("utf-8", "replace"))[:40]
        raise UnusableInput(f"This is not JSON ({error}); it starts with {start!r}. Give {wanted}.") from None


def _as_notification(data: Any) -> Any:
    if isinstance(data, list):
        return {"alerts": data}
    if isinstance(data, Mapping) and "alerts" not in data and "labels" in data:
        return {"alerts": [data]}
    if isinstance(data, Mapping) and "alerts" not in data:
        keys = ", ".join(sorted(map(str, data))[:8]) or "no keys"
        raise UnusableInput(f"The JSON has no `alerts` (it has {keys}). Give the body of an Alertmanager webhook.")
    return data


def _unknown_version(data: Mapping[str, Any], known: Sequence[str]) -> str:
    """What to say about it; "" for a version that is known, or not given."""
    version = data.get("version", known[0])
    if str(version) in known:
        return ""
    return f"This is webhook version {version!r:.40}; Stanch reads version {' or '.join(known)} (Alertmanager ≥ 0.16 sends 4)."


def _alert(one: AlertBody, notification: Notification, now: datetime, source: str) -> Alert:
    if not one.labels:
        raise UnusableInput("An alert has no labels; every alert needs at least `alertname`.")
    try:
        starts = _utc(one.starts_at)
        ends = None if one.ends_at is None else _utc(one.ends_at)
    except OverflowError:
        raise UnusableInput("startsAt or endsAt lies outside the years 1 to 9999. Send times of this age.") from None
    status = _status(one, ends, now)
    return Alert(
        source=source,
        fingerprint=one.fingerprint or fingerprint(one.labels),
        status=status,
        labels=one.labels,
        annotations=one.annotations,
        starts_at=starts.replace(microsecond=starts.microsecond // 1000 * 1000),  # the API lists no finer ones
        ends_at=ends if status is AlertStatus.RESOLVED and ends != ZERO_TIME else None,
        generator_url=one.generator_url,
        group_key=notification.group_key,
        extra=_extra(one, notification),
    )


def _extra(one: AlertBody, notification: Notification) -> dict[str, Any]:
    """Keys we do not know, and the receiver: by it a list of all alerts is told from those that are meant for us."""
    extra = {name: _plain(value) for name, value in (one.model_extra or {}).items()}
    if notification.receiver:
        extra["receiver"] = notification.receiver
    return extra


def _plain(value: Any, level: int = 0) -> Any:
    """What every JSON reader takes: no number without an end, and nothing deeper than DEEPEST."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict | list) and level >= DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {name: _plain(one, level + 1) for name, one in value.items()}
    return [_plain(one, level + 1) for one in value] if isinstance(value, list) else value


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


def _explain(error: ValidationError) -> str:
    problems: Sequence[str] = [
        f"{'.'.join(str(p) for p in one['loc'])}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False)
    ]
    return f"These alerts cannot be read: {'; '.join(problems[:SHOWN])}. Give the body of an Alertmanager webhook (version 4)."
