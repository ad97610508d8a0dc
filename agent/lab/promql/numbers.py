"""Numbers as Go writes them."""

from __future__ import annotations

import math
from decimal import Decimal


def special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def plain(value: float) -> str:
    """Go's FormatFloat(value, 'f', -1, 64): never an exponent."""
    text = repr(value)
    if "e" in text:
        return special(value) or format(Decimal(text), "f")
    return special(value) or text.removesuffix(".0")


def sample(value: float) -> str:
    """A sample value in Prometheus' JSON: with an exponent only below 1e-6 and from 1e21."""
    text = repr(value)
    if "n" in text:
        return special(value) or text
    if "e" in text and (value == 0 or 1e-6 <= abs(value) < 1e21):
        return format(Decimal(text), "f")
    if "e" not in text and 0 < abs(value) < 1e-6:
        return exponent(value)
    return text.removesuffix(".0")


def exponent(value: float) -> str:
    """Go's FormatFloat(value, 'e', -1, 64): `1.5e+00`."""
    if (text := special(value)) is not None:
        return text
    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    power = Decimal(repr(value)).adjusted() if value else 0
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"


def general(value: float) -> str:
    """Go's %v: an exponent below 1e-4 and from 1e21."""
    if value and (abs(value) < 1e-4 or abs(value) >= 1e21):
        return exponent(value)
    return plain(value)
