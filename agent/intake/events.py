"""CloudEvents 1.0, structured, batched or binary: what was changed on the platform, and alerts that an event may carry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from agent.case.alert import Alert
from agent.clock import iso, parse_time
from agent.errors import UnusableInput
from agent.intake import alertmanager
from agent.intake.alertmanager import Delivery
from tools.context import Change

SPEC = "1.0"
ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
REQUIRED = ("id", "source", "type")
MOST_DETAILS, LONG = 20, 500  # what of `data` is kept of one change: so many values, of so many characters
_KINDS = (  # the first whose word stands in the event's type
    ("model_promotion", ("promot", "model.version", "model_version", "alias")),
    ("deployment", ("deploy", "rollout", "rollback", "release", "service.upgraded", "service.published")),
    ("restart", ("restart",)),
    ("scaling", ("scale", "scaling")),
    ("config", ("config", "featureflag", "feature_flag", "flag.")),
    ("data", ("drift", "data", "feature", "pipeline", "job", "train")),
)
_NAMED = {  # a field of Change ← where `data` may say it, the first that does
    "service": ("service", "app", "application", "workload", "deployment"),
    "cluster": ("cluster",),
    "by": ("by", "actor", "author", "user"),
    "link": ("link", "url", "run_url"),
    "what": ("what", "summary", "message", "description"),
}


def read(headers: Mapping[str, str], data: Any, now: datetime) -> Delivery:
    """`headers` by lower-case name; `data` is the body's JSON. UnusableInput where not one event can be read. `odd` is why
    some of it cannot be worked."""
    if "ce-specversion" in headers or "ce-id" in headers:
        said = {name: unquote(headers[f"ce-{name}"]) for name in ATTRIBUTES if f"ce-{name}" in headers}
        return _together([_one({**said, "data": data}, now)])
    if not isinstance(data, list):
        return _together([_one(data, now)])
    if not data:
        raise UnusableInput("The batch holds no events. Send at least one CloudEvent.")
    found, odd = [], []
    for one in data:
        try:
            found.append(_one(one, now))
        except UnusableInput as error:
            odd.append(str(error))
    if not found:
        raise UnusableInput(" ".join(odd[: alertmanager.SHOWN]))
    return _together([*found, Delivery(odd=tuple(odd))])


def _together(events: list[Delivery]) -> Delivery:
    return Delivery(
        tuple(one for each in events for one in each.alerts), tuple(one for each in events for one in each.changes),
        tuple(one for each in events for one in each.odd),
    )  # fmt: skip


def _one(event: Any, now: datetime) -> Delivery:
    """A change always, and the alert that `data.alert` may hold."""
    if not isinstance(event, Mapping):
        raise UnusableInput(f"A CloudEvent is a JSON object; this is {type(event).__name__}.")
    for name in REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise UnusableInput(
                f"The event has no `{name}`. A CloudEvent has specversion, id, source and type, as texts."
            )
    version = event.get("specversion")
    odd = () if version == SPEC else (f"This is CloudEvents {version!r:.40}; Stanch reads {SPEC}.",)
    at = _time(event.get("time"), now)
    data = event.get("data")
    values: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    alerts: tuple[Alert, ...] = ()
    if "alert" in values:
        try:
            alerts = _alerts(values["alert"], at, now)
        except UnusableInput as error:
            odd = (*odd, str(error))
    return Delivery(alerts, (_change(event, values, at),), odd)


def _alerts(alert: Any, at: datetime, now: datetime) -> tuple[Alert, ...]:
    """As one of Alertmanager's, which may leave out `startsAt`: then it is the event's time."""
    if not isinstance(alert, Mapping):
        raise UnusableInput(f"data.alert is {type(alert).__name__}; it takes an object with `labels`.")
    return alertmanager.read({"alerts": [{"startsAt": iso(at), **alert}]}, now, "events").alerts


def _change(event: Mapping[str, Any], values: Mapping[str, Any], at: datetime) -> Change:
    named = {field: _first(values, names) for field, names in _NAMED.items()}
    subject = event.get("subject") if isinstance(event.get("subject"), str) else ""
    kind = kind_of(event["type"])
    detail = {str(k)[:LONG]: _text(v) for k, v in list(values.items())[:MOST_DETAILS] if k != "alert" and _simple(v)}
    if kind == "model_promotion" and subject:
        detail.setdefault("model", subject[:LONG])
    elif subject and not named["service"] and kind in ("deployment", "restart", "scaling", "config"):
        named["service"] = subject[:LONG]
    what = named.pop("what") or f"{event['type']}{f': {subject}' if subject else ''}"
    detail |= {"event": event["id"][:LONG], "type": event["type"][:LONG]}
    return Change(at=at, kind=kind, what=what[:LONG], source=event["source"][:LONG], detail=detail, **named)


def kind_of(event_type: str) -> str:
    """deployment | model_promotion | config | data | restart | scaling | other, by the words of the event's type."""
    words = event_type.lower()
    return next((kind for kind, parts in _KINDS if any(part in words for part in parts)), "other")


def _time(given: Any, now: datetime) -> datetime:
    if given is None or given == "":
        return now
    try:
        return parse_time(str(given))
    except (ValueError, OverflowError):
        raise UnusableInput(f"`time` is {given!r:.60}; it takes RFC 3339, such as {iso(now)}.") from None


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((_text(values[name]) for name in names if _simple(values.get(name))), "")


def _simple(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)[:LONG]
    except ValueError:  # an integer of more digits than Python writes
        return "…"
