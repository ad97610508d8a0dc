"""Alert templates: the part of Go's that rule files use, `{{ $labels.x }}` and `{{ $value | humanize }}`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from agent.lab.promql.numbers import general

ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
VERB = re.compile(r"[^%]*%[+-]?\d*(?:\.\d+)?[fgeFGE][^%]*(?:%%[^%]*)*")
ABOVE_ONE = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
BELOW_ONE = ("", "m", "u", "n", "p", "f", "a", "z", "y")


def filled(template: str, labels: Mapping[str, str], value: float) -> str:
    """The template with its actions replaced; one that is not known becomes Prometheus' `<error expanding template …>`."""
    return (
        template if "{{" not in template else ACTION.sub(lambda action: acted(action.group(1), labels, value), template)
    )


def acted(action: str, labels: Mapping[str, str], value: float) -> str:
    first, *functions = (part.strip() for part in action.split("|"))
    result: str | float | None = term(first, labels, value)
    for function in functions:
        result = applied(function, result)
    if result is None:
        return f"<error expanding template: {action} is not known to the lab>"
    return general(result) if isinstance(result, float) else result


def term(text: str, labels: Mapping[str, str], value: float) -> str | float | None:
    if text == "$value":
        return value
    if match := re.fullmatch(r"\$labels\.(\w+)", text):
        return labels.get(match.group(1), "")
    if match := re.fullmatch(r'"([^"]*)"', text):
        return match.group(1)
    if match := re.fullmatch(r"(\w+)\s+(\$value|\$labels\.\w+)", text):
        return applied(match.group(1), term(match.group(2), labels, value))
    if match := re.fullmatch(r'(printf\s+"[^"]*")\s+\$value', text):
        return applied(match.group(1), value)
    return None


def applied(function: str, value: str | float | None) -> str | None:
    if value is None:
        return None
    if match := re.fullmatch(r'printf\s+"([^"]*)"', function):
        return match.group(1) % float(value) if VERB.fullmatch(match.group(1)) else None
    if function in TEXTS:
        return TEXTS[function](str(value))
    return NUMBERS[function](float(value)) if function in NUMBERS else None


def humanize(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return short(value)
    return scaled(value, 1000.0, ABOVE_ONE) if abs(value) >= 1 else shrunk(value)


def humanize_1024(value: float) -> str:
    if abs(value) <= 1 or not math.isfinite(value):
        return short(value)
    return scaled(value, 1024.0, ("", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"))


def humanize_duration(value: float) -> str:
    if not math.isfinite(value):
        return short(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        return shrunk(value) + "s"
    sign, whole = "-" if value < 0 else "", int(abs(value))
    days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{short(abs(value))}s"


def humanize_timestamp(value: float) -> str:
    if not math.isfinite(value):
        return short(value)
    moment = datetime.fromtimestamp(value, UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def short(value: float) -> str:
    if not math.isfinite(value):
        return general(value)
    return f"{value:.4g}"


def scaled(value: float, base: float, prefixes: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= base and power < len(prefixes) - 1:
        value, power = value / base, power + 1
    return short(value) + prefixes[power]


def shrunk(value: float) -> str:
    power = 0
    while abs(value) < 1 and power < len(BELOW_ONE) - 1:
        value, power = value * 1000, power + 1
    return short(value) + BELOW_ONE[power]


NUMBERS: Mapping[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": lambda value: f"{short(value * 100)}%",
    "humanizeTimestamp": humanize_timestamp,
}
TEXTS: Mapping[str, Callable[[str], str]] = {"toUpper": str.upper, "toLower": str.lower, "title": str.title}
