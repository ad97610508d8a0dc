"""Quantities: a fact's value with its unit, what may be compared with what, and how people read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.domain.text import visible
from tools.spec import Fact

Value = float | int | str | bool | None

# unit as facts and people write it → (dimension, size in the dimension's base unit)
UNITS: Mapping[str, tuple[str, float]] = {
    "s": ("time", 1),
    "sec": ("time", 1),
    "second": ("time", 1),
    "seconds": ("time", 1),
    "ms": ("time", 1e-3),
    "millisecond": ("time", 1e-3),
    "milliseconds": ("time", 1e-3),
    "us": ("time", 1e-6),
    "µs": ("time", 1e-6),
    "min": ("time", 60),
    "minute": ("time", 60),
    "minutes": ("time", 60),
    "h": ("time", 3600),
    "hour": ("time", 3600),
    "hours": ("time", 3600),
    "d": ("time", 86400),
    "day": ("time", 86400),
    "days": ("time", 86400),
    "bytes": ("bytes", 1),
    "byte": ("bytes", 1),
    "b": ("bytes", 1),
    "kb": ("bytes", 1e3),
    "mb": ("bytes", 1e6),
    "gb": ("bytes", 1e9),
    "tb": ("bytes", 1e12),
    "kib": ("bytes", 2**10),
    "mib": ("bytes", 2**20),
    "gib": ("bytes", 2**30),
    "tib": ("bytes", 2**40),
    "ratio": ("ratio", 1),
    "%": ("ratio", 1e-2),
    "percent": ("ratio", 1e-2),
    "per cent": ("ratio", 1e-2),
    "points": ("points", 1),
    "times": ("times", 1),
    "×": ("times", 1),
    "x": ("times", 1),
    "cores": ("cores", 1),
    "core": ("cores", 1),
    "cpus": ("cores", 1),
    "1/s": ("rate", 1),
    "/s": ("rate", 1),
    "per second": ("rate", 1),
    "rps": ("rate", 1),
    "req/s": ("rate", 1),
    "qps": ("rate", 1),
    "requests per second": ("rate", 1),
    "requests/s": ("rate", 1),
    "bytes/s": ("bytes a second", 1),
    "b/s": ("bytes a second", 1),
    "unix": ("unix", 1),
    "count": ("plain", 1),
    "": ("plain", 1),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value out of one or more facts. `unit` is a key of UNITS, or a unit we do not know (its own dimension)."""

    value: Value
    unit: str
    facts: tuple[tuple[str, Fact], ...]  # (evidence id, fact)

    @property
    def dimension(self) -> str:
        return UNITS.get(self.unit.lower(), (self.unit, 1.0))[0]

    @property
    def base(self) -> float | None:
        """The value in its dimension's base unit; None for words, booleans, absent values and NaN."""
        if isinstance(self.value, bool | str) or self.value is None or not math.isfinite(self.value):
            return None
        return float(self.value) * UNITS.get(self.unit.lower(), (self.unit, 1.0))[1]

    @property
    def known(self) -> bool:
        return self.value is not None and not (isinstance(self.value, float) and math.isnan(self.value))


def of_fact(evidence_id: str, fact: Fact) -> Quantity:
    """A fact as a quantity. A ratio whose id says it compares two values is a multiple, not a share."""
    multiple = fact.unit == "ratio" and "ratio" in fact.id.lower().split(".")
    return Quantity(fact.value, "times" if multiple else fact.unit, ((evidence_id, fact),))


def shown(quantity: Quantity, near: datetime | None = None) -> str:
    """As people write it: `1.84 s`, `38 %`, `2.1 GiB`, `12:03:20Z` (with its date when that is not `near`'s), `yes`.

    The quantity is known.
    """
    value = quantity.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return visible(value, 200)
    base = quantity.base
    if base is None:
        return "infinite" if value and value > 0 else "minus infinite"
    if quantity.dimension == "unix":
        return _moment(base, near)
    writer = _WRITERS.get(quantity.dimension)
    return writer(base) if writer else f"{digits(base)} {quantity.unit}".rstrip()


def digits(value: float, significant: int = 3) -> str:
    """`1,234`, `12.5`, `0.042`: whole numbers whole, others with three significant digits."""
    if value == 0 or (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    if abs(value) >= 10**significant:
        return f"{value:,.0f}"
    text = f"{value:.{significant}g}"
    return f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text and abs(value) >= 1e-6 else text


def _time(seconds: float) -> str:
    size = abs(seconds)
    for limit, unit, per in ((1e-3, "µs", 1e-6), (1.0, "ms", 1e-3), (120.0, "s", 1.0), (7200.0, "min", 60.0)):
        if 0 < size < limit:
            return f"{digits(seconds / per)} {unit}"
    if size == 0:
        return "0 s"
    return f"{digits(seconds / 3600)} h" if size < 172800 else f"{digits(seconds / 86400)} d"


def _bytes(size: float) -> str:
    for unit, per in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(size) >= per:
            return f"{digits(size / per, 2 if abs(size / per) < 10 else 3)} {unit}"
    return f"{digits(size)} bytes"


def _percent(share: float) -> str:
    value = share * 100
    return f"{digits(float(round(value)) if abs(value) >= 10 else float(f'{value:.2g}'))} %"


def _moment(seconds: float, near: datetime | None) -> str:
    when = datetime.fromtimestamp(min(max(seconds, 0.0), 253402300799.0), UTC)
    day = "" if near is not None and near.date() == when.date() else f"{when:%Y-%m-%d} "
    return f"{day}{when:%H:%M:%S}Z"


_WRITERS: Mapping[str, Callable[[float], str]] = {
    "time": _time,
    "bytes": _bytes,
    "ratio": _percent,
    "plain": digits,
    "times": digits,
    "cores": lambda v: f"{digits(v)} cores",
    "rate": lambda v: f"{digits(v)}/s",
    "bytes a second": lambda v: f"{_bytes(v)}/s",
    "points": lambda v: f"{digits(round(v * 100, 1))} percentage points",
}
