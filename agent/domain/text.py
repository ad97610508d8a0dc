"""Text from outside, made safe to show: nothing hidden, nothing that drives a terminal, nothing silently cut."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# letters of other scripts that a reader takes for the ASCII letter at the same place
_FOREIGN = "АВЕКМНОРСТХУІЈЅԌԚԜавекмнорстхуіјѕԁһԛԝѵΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχϲϳՕՏոսօցАΒϹᎪᏴᏟᎬᎻᎫᏦᏞᎷᏢᏚᎢᏙᎳᏃ"
_WORD = re.compile(r"[^\s,;()\[\]{}\"'`]+")
_NAMED = {"\n": "⏎", "\t": " ", "\r": "␍", "\x1b": "␛", "\x7f": "␡"}


def visible(text: str, limit: int | None = None) -> str:
    """One line without control, format (bidi, zero-width) or surrogate characters; each is shown for what it is.

    A letter of another script that looks like an ASCII one is spelled out where it stands in an otherwise Latin word.
    Over `limit` characters the middle goes and its length is said.
    """
    shown = _bounded(text, limit)
    if not shown.isascii():
        shown = _WORD.sub(lambda word: _unmasked(word[0]) if _has_latin(word[0]) else word[0], shown)
    return "".join(c if _plain(c) else _NAMED.get(c) or _spelled(c) for c in shown)


def exact(text: str) -> str:
    """A value that people approve, in full: as visible, and every lookalike spelled out, also in a word of nothing else."""
    return visible(text if text.isascii() else _unmasked(text))


def oddities(text: str) -> list[str]:
    """What in a value could deceive a reader, each kind once: `U+202E RIGHT-TO-LEFT OVERRIDE`, `a line break`."""
    found = ["a line break"] if set(text) & set("\n\r\u2028\u2029") else []
    for char in dict.fromkeys(text):
        if char not in "\n\r\t" and (not _plain(char) or _looks_ascii(char)):
            found.append(f"U+{ord(char):04X} {unicodedata.name(char, 'a control character')}")
    return found


def paragraph(text: str, limit: int | None = None) -> str:
    """As visible, but line breaks stay."""
    return "\n".join(visible(line) for line in _bounded(text, limit).replace("\r\n", "\n").split("\n"))


def rounded(text: str) -> str:
    """Long decimals, as a template without a format writes them, to four digits: `2.1251639344262383 s` → `2.125 s`."""
    return re.sub(r"(?<![\w.])-?\d+\.\d{5,}(?:[eE][-+]?\d+)?(?![\w.])", lambda found: f"{float(found[0]):.4g}", text)


def _looks_ascii(char: str) -> bool:
    """Whether a reader would take it for an ASCII letter or digit: foreign letters, full-width and mathematical ones."""
    if char.isascii():
        return False
    if char in _FOREIGN:
        return True
    alike = unicodedata.normalize("NFKC", char)
    return unicodedata.category(char) in ("Lu", "Ll", "Nd") and len(alike) == 1 and alike.isascii()


def _has_latin(word: str) -> bool:
    return any(char.isascii() and char.isalpha() for char in word)


def _unmasked(word: str) -> str:
    return "".join(_spelled(char) if _looks_ascii(char) else char for char in word)


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


def whole(value: Any) -> Any:
    """A JSON value without halves of surrogate pairs, which JSON can spell: nothing that is written or sent can hold one."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(name): whole(one) for name, one in value.items()}
    return [whole(one) for one in value] if isinstance(value, list) else value
