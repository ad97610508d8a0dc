"""Alertmanager's webhook body (version 4), and what `amtool` and the API list: parsed into alerts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.case.alert import Alert, AlertStatus
from agent.errors import UnusableInput

ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def _no_nulls(value: Any) -> Any:
    return (
        {}
        if value is None
        else {k: "" if v is None else v for k, v in value.items()}
        if isinstance(value, Mapping)
        else value
    )


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


def parse(body: bytes | str, now: datetime) -> list[Alert]:
    """Alerts of a webhook body, of a list of alerts, or of one alert. UnusableInput says what was seen and what to send."""
    if not body.strip():
        raise UnusableInput("The input is empty. Give the body of an Alertmanager webhook, with at least one alert.")
    try:
        data = json.loads(body, parse_constant=lambda word: None)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        start = (body if isinstance(body, str) else body[:60].decode("utf-8", "replace"))[:40]
        raise UnusableInput(
            f"This is not JSON ({error}); it starts with {start!r}. Give the body of an Alertmanager webhook, "
            "or alerts as `GET /api/v2/alerts` lists them."
        ) from None
    try:
        notification = Notification.model_validate(_as_notification(data))
    except ValidationError as error:
        raise UnusableInput(_explain(error)) from None
    if not notification.alerts:
        raise UnusableInput("The body holds no alerts (`alerts` is empty). Send at least one alert.")
    return [_alert(one, notification, now) for one in notification.alerts]


def _as_notification(data: Any) -> Any:
    if isinstance(data, list):
        return {"alerts": data}
    if isinstance(data, Mapping) and "alerts" not in data and "labels" in data:
        return {"alerts": [data]}
    if isinstance(data, Mapping) and "alerts" not in data:
        keys = ", ".join(sorted(map(str, data))[:8]) or "no keys"
        raise UnusableInput(f"The JSON has no `alerts` (it has {keys}). Give the body of an Alertmanager webhook.")
    if isinstance(data, Mapping) and str(data.get("version", "4")) != "4":
        raise UnusableInput(
            f"This is webhook version {data.get('version')!r}; Stanch reads version 4 (Alertmanager ≥ 0.16)."
        )
    return data


def _alert(one: AlertBody, notification: Notification, now: datetime) -> Alert:
    if not one.labels:
        raise UnusableInput("An alert has no labels; every alert needs at least `alertname`.")
    ends = None if one.ends_at is None else _utc(one.ends_at)
    status = _status(one, ends, now)
    return Alert(
        source="alertmanager",
        fingerprint=one.fingerprint or fingerprint(one.labels),
        status=status,
        labels=one.labels,
        annotations=one.annotations,
        starts_at=_utc(one.starts_at),
        ends_at=ends if status is AlertStatus.RESOLVED and ends != ZERO_TIME else None,
        generator_url=one.generator_url,
        group_key=notification.group_key,
        extra=dict(one.model_extra or {}),
    )


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
    return (
        f"These alerts cannot be read: {'; '.join(problems[:5])}. Give the body of an Alertmanager webhook (version 4)."
    )
