"""A runbook as a language model reads it: its blocks in one line each, with the names of this incident in place.

For reading only. What is run comes from the model's own arguments, or from the library's rendering with its quoting.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from agent.library.render import Names, names_for
from agent.library.runbook import Runbook
from agent.reasoner.protocol import View
from agent.reasoner.rules.evidence_index import labels_of

_BLOCK = re.compile(r"^(~~~|```)\s*yaml (check|action)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(=~?\s*)?\{\{\s*(service|workload|model|namespace|cluster)\s*\}\}")


def readable(book: Runbook, view: View) -> str:
    """The text with short blocks; a block that is no YAML mapping stays as it is written."""
    names = names_for(view.service, view.model, labels_of(view))

    def block(found: re.Match[str]) -> str:
        try:
            written = yaml.safe_load(found[3])
        except yaml.YAMLError:
            return found[0]
        return _line(found[2], written) if isinstance(written, dict) else found[0]

    return _named(_BLOCK.sub(block, book.text), names)


def _line(kind: str, written: dict[str, Any]) -> str:
    """`check: query_metrics {…} expect > 0.25, suggests cpu_contention`."""
    head = f"{kind}: {written.pop('read', None) or written.pop('action', '')} {_json(written.pop('args', None) or {})}"
    return ", ".join(
        [head, *(f"{key} {value if isinstance(value, str) else _json(value)}" for key, value in written.items())]
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _named(text: str, names: Names) -> str:
    """Names that are known, quoted where PromQL wants them quoted (after `=`)."""
    values = {name: getattr(names, name) for name in ("service", "workload", "model", "namespace", "cluster")}

    def name(found: re.Match[str]) -> str:
        value = values[found[2]]
        if value is None:
            return found[0]
        return f"{found[1]}{json.dumps(value)}" if found[1] else str(value)

    return _NAME.sub(name, text)
