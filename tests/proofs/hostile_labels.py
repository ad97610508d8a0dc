"""Label values that try to become queries: a published list, and as many more as are wanted, made of the same parts by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

LISTED: tuple[str, ...] = (
    'x"}) or count(up{tenant="rival', '"} or vector(1)', '" or vector(1) #', "' or vector(1) or '", "` or vector(1) or `",
    '"', "'", "`", "\\", '\\"', '\\\\"', "\\'", '"\\', "\\n", "\\x22", "\\u0022", "\\042", "\\", "\\\\", '\\\\\\"',
    "}", "{", "{}", "}}", "{{ service }}", "{% raw %}", "{{ 7*7 }}", "${jndi:ldap://x}", "$1", "$(id)", "%s%n", "%22%7D",
    "a\nb", "a\r\nb", "\n", "\r", "\t", "a\tb", "\x0b", "\x0c", "\x00", "a\x00b", '\x00"}', "\x7f", "\x1b[31m", "\x08",
    ".*", ".+", "a|b", "(", ")", "[", "]", "[a-z]+", "^a$", "a{3}", "(?i)a", "(a+)+$", "\\d+", "\\", "\\E", "\\Qa\\E", "a?", "a*+",
    '",job=~".+', '",__name__=~".+', '"}[1d', '"}[5m]) or rate(up[5m', '"} offset 1d #', '"} @ end() #', "# comment",
    "\u2028", "\u2029", "\u202e", "\u200b", "\ufeff", "\u00a0", "\u0085", "\uff02", "\u201c", "\u2019", "\u02bc", "\ufe63",
    "\u0301", "e\u0301", "Å", "İ", "ß", "ﬀ", "日本語", "😀", "👩‍👩‍👧", "\U0010ffff", "\ufffe", "\ud800", "a\udfffb", "\udc80",
    "", " ", "  a  ", "a b", "=", "=~", "!=", "!~", ",", ";", ":", "/", "//", "..", "../../etc/passwd", "?query=up", "&match[]=up",
    "%00", "%0a", "&query=up#", "null", "true", "NaN", "+Inf", "-1", "0x1f", "1e999", "by", "on", "offset", "bool", "and", "unless",
    "a" * 500, '"' * 100, "\\" * 101, "}" * 100, "(" * 100, "eu-1", "eu-1.a", "eu-1|us-1", "eu-1|", "|", "", "-", "~", "&", "#", " #",
)  # fmt: skip
PARTS: tuple[str, ...] = (
    '"', "'", "`", "\\", "{", "}", "(", ")", "[", "]", "\n", "\r", "\x00", "\x7f", " or ", "vector(1)", "up", "=~", '="', ",", "#",
    ".*", ".+", "|", "^", "$", "?", "*", "+", "\\n", "\\u0022", "\\x22", "a", "Z", "0", "_", "-", ".", "/", ":", "é", "日", "😀", "\u2028",
    "\u202e", "\u200b", "\ud800", "{{", "}}", "{%", "%}", "$1", "%22", " ", "\t", "offset", "@", "[5m]", "by (x)",
)  # fmt: skip


def hostile(number: int, seed: int = 7) -> Sequence[str]:
    """The listed values and then made ones: `number` in all, none twice."""
    dice, found = random.Random(seed), dict.fromkeys(LISTED)
    while len(found) < number:
        found.setdefault("".join(dice.choices(PARTS, k=dice.randint(1, 12))))
    return list(found)[:number]
