"""Logs of a service: one line of JSON an event, with the incident's id."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from agent.clock import iso
from agent.domain.redact import Redactor
from agent.domain.timeline import Event

_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
events = logging.getLogger("stanch.timeline")


class JsonLines(logging.Formatter):
    """`{"at", "level", "logger", "message", …}`; what was given as `extra` stands beside them. No secret passes."""

    def __init__(self, redact: Redactor | None = None) -> None:
        super().__init__()
        self._redact = redact or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        plain = said if all(isinstance(one, str | int | None) for one in said.values()) else _plain(said)
        return json.dumps(self._redact.value(plain), ensure_ascii=False)


def _plain(said: dict[str, Any]) -> dict[str, Any]:
    """As JSON spells it, so that what stands deeper passes the redactor as well."""
    plain: dict[str, Any] = json.loads(json.dumps(said, ensure_ascii=False, default=str))
    return plain


def log_as_json(redact: Redactor) -> None:
    """Everything from INFO on to stderr; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(redact))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("stanch").setLevel(logging.INFO)


def logged(event: Event) -> None:
    """One event of a timeline."""
    extra = {"incident": event.incident, "n": event.n, "actor": event.actor, **event.brief()}
    events.info(str(event.kind), extra=extra)
