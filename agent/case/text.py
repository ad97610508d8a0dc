"""Text from outside, made safe to show: nothing hidden, nothing that drives a terminal, nothing silently cut."""

from __future__ import annotations

import re
import unicodedata

_NAMED = {"\n": "⏎", "\t": " ", "\r": "␍", "\x1b": "␛", "\x7f": "␡"}


def visible(text: str, limit: int | None = None) -> str:
    """One line without control, format (bidi, zero-width) or surrogate characters; each is shown for what it is.

    Over `limit` characters the middle goes and its length is said.
    """
    return "".join(c if _plain(c) else _NAMED.get(c) or _spelled(c) for c in _bounded(text, limit))


def paragraph(text: str, limit: int | None = None) -> str:
    """As visible, but line breaks stay."""
    return "\n".join(visible(line) for line in _bounded(text, limit).replace("\r\n", "\n").split("\n"))


def rounded(text: str) -> str:
    """Long decimals, as a template without a format writes them, to four digits: `2.1251639344262383 s` → `2.125 s`."""
    return re.sub(r"(?<![\w.])-?\d+\.\d{5,}(?:[eE][-+]?\d+)?(?![\w.])", lambda found: f"{float(found[0]):.4g}", text)


def _plain(char: str) -> bool:
    return char == " " or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")


def _spelled(char: str) -> str:
    if unicodedata.category(char) == "Zs":  # spaces that only look like one
        return " "
    return chr(0x2400 + ord(char)) if ord(char) < 32 else f"⟨U+{ord(char):04X}⟩"


def _bounded(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    head = max(limit * 2 // 3, 1)
    tail = max(limit - head, 0)
    return f"{text[:head]} … ({len(text) - limit:,} more characters) … {text[len(text) - tail :] if tail else ''}"
