"""Inputs that nobody meant, out of a seed: good ones with something changed in their text or in their tree."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Sequence
from typing import Any

TEXTS = (
    "",
    " ",
    "\x00",
    "\x1b[2J",
    "\ud800",
    "\udcff",
    "\u202e",
    "\u200b",
    "\ufeff",
    "é",
    "🤖",
    "\r\n",
    "\u2028",
    "'",
    '"',
    "\\",
    "`",
    "$(id)",
    "{{ 7*7 }}",
    "{% for x in range(9) %}",
    "{{ before.replicas }}",
    "{E1.value.last}",
    "{ratio(E1.value.last, E2.value.last)}",
    "{",
    "}}",
    "[",
    "]",
    "[E1.value.last > 1; ]",
    "-",
    "- ",
    ": ",
    "# ",
    "? [a]\n: b",
    "&a [*a]",
    "*a",
    "<<: *a",
    "---",
    "...",
    "|",
    ">",
    "%YAML 9.9",
    "!!int x",
    "!!float x",
    "!!timestamp x",
    "!!binary =",
    "!!set {a, b}",
    "!!python/object/apply:os.system [id]",
    "2026-13-45",
    "2026-11-24T03:00:00+99:99",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "12:30:45",
    "0o8",
    "0x",
    "1_000",
    "1e999",
    "-1e999",
    ".inf",
    ".nan",
    "NaN",
    "null",
    "~",
    "true",
    "yes",
    "-1",
    "0",
    "1" * 5000,
    "9" * 25,
    "../../etc/passwd",
    "/dev/null",
    "http://[::1",
    "http://a:b@c:99999/?g0.expr=%zz",
    "file:///etc/passwd",
    "*",
    "**",
    "a" * 20_000,
    "(a+)+$",
    "1h",
    "1y",
    "0s",
    "99999999999999d",
    "24:00",
    "25:61",
    "Mars/Olympus",
    "> ",
    "< NaN",
    "== 1e999",
    "up{",
    'up{a="\\',
    "rate(up[5m",
    "((((((((",
    "((" * 2000,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**200),
    0.1,
    -0.0,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    [],
    {},
    [[]],
    [None],
    [[[[1]]]],
    {"": None},
    {"a": {"b": {"c": []}}},
    ["x"] * 3000,
    {f"k{n}": n for n in range(300)},
    *TEXTS,
)


def deep(levels: int, kind: str) -> Any:
    """Nested so many levels."""
    made: Any = "x"
    for _ in range(levels):
        made = [made] if kind == "list" else {"a": made}
    return made


def text_of(good: str, chance: random.Random) -> str:
    """A good text after one to four changes."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        a, b = sorted(chance.choices(range(len(good) + 1), k=2))
        b = min(b, a + chance.choice((1, 8, 80, 100_000)))
        match chance.randrange(7):
            case 0:
                good = good[:a] + good[b:]
            case 1:
                good = good[:a] + chance.choice(TEXTS) + good[a:]
            case 2:
                good = good[:a] + chance.choice(TEXTS) + good[b:]
            case 3:
                good = good[:b] + good[a:b] * chance.choice((1, 2, 50)) + good[b:]
            case 4:
                good = good[:a]
            case 5:
                good = good[:a] + good[a:b][::-1] + good[b:]
            case 6:
                lines = good.split("\n")
                chance.shuffle(lines) if chance.random() < 0.3 else lines.insert(
                    chance.randrange(len(lines)), chance.choice(lines)
                )
                good = "\n".join(lines)
        good = good[:300_000]
    return good


def bytes_of(good: str, chance: random.Random) -> bytes:
    """As text, and sometimes no UTF-8, another encoding, or a bit flipped."""
    made = text_of(good, chance).encode("utf-8", "surrogatepass")
    match chance.randrange(8):
        case 0:
            return made.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-32", "utf-16-be", "utf-8-sig")))
        case 1 if made:
            at = chance.randrange(len(made))
            return made[:at] + bytes([made[at] ^ (1 << chance.randrange(8))]) + made[at + 1 :]
    return made


def tree_of(good: Any, chance: random.Random, others: Sequence[Any] = ()) -> Any:
    """A good JSON value after one to three changes somewhere in its tree."""
    root = [copy.deepcopy(good)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        holder, key = chance.choice(_places(root))
        match chance.randrange(6):
            case 0:
                del holder[key]
                if not root:
                    root.append(None)
            case 1 if isinstance(holder, dict):
                holder[chance.choice(TEXTS)[:2000]] = holder.pop(key)
            case 2 if isinstance(holder, list):
                holder.extend([copy.deepcopy(holder[key])] * chance.choice((1, 2, 40)))
            case 3:
                holder[key] = [holder[key]] if chance.random() < 0.5 else {"a": holder[key]}
            case 4 if others:
                holder[key] = copy.deepcopy(chance.choice(others))
            case _:
                levels = chance.choice((2, 15, 60, 400))
                nested = deep(levels, chance.choice(("list", "dict")))
                holder[key] = nested if chance.random() < 0.05 else copy.deepcopy(chance.choice(VALUES))
    return root[0]


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """Every (container, key) of the tree, at most 2,000."""
    found, left = [], [root]
    while left and len(found) < 2000:
        holder = left.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            found.append((holder, key))
            if isinstance(holder[key], dict | list) and holder[key]:
                left.append(holder[key])
    return found


def json_of(good: Any, chance: random.Random, others: Sequence[Any] = ()) -> bytes:
    """A JSON text: its tree changed, its text, or both."""
    how = chance.randrange(5)
    tree = tree_of(good, chance, others) if how else good
    text = json.dumps(tree, ensure_ascii=chance.random() < 0.7)
    return bytes_of(text, chance) if how in (0, 4) else text.encode("utf-8", "surrogatepass")
