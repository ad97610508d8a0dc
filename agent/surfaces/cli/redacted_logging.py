"""What goes to a person's terminal besides answers: warnings, and the traceback of a defect of ours. No secret passes."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

Redact = Callable[[str], str]


class Plain(logging.Formatter):
    """A line for a person. `redact` makes the redactor when the first line is written, since that reads the configuration."""

    def __init__(self, redact: Callable[[], Redact]) -> None:
        super().__init__("stanch: %(levelname)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact()(super().format(record))


def discreet(redact: Callable[[], Redact]) -> None:
    """Warnings and worse to stderr; tracebacks, which people send around, without secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain(redact))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(redact()("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = told
