"""What may go wrong in a tool. agent.errors grows from the same root.

StanchError
└── ToolError
    ├── BadArguments      the call does not fit the schema: ask again
    ├── ToolFailed        a backend answered with an error
    │   ├── Unreachable   a backend did not answer at all
    │   ├── NotConfigured no such backend
    │   └── NotRecorded   the read has no history and as_of lies in the past
    ├── TargetUnclear     none or several things fit a name: never a default
    └── Refused           an action certainly did not happen (4xx, no connection, someone else owns the target)
"""

from __future__ import annotations


class StanchError(Exception):
    """Root of everything we raise on purpose. The text says what happened, to what, and what to do next."""


class ToolError(StanchError):
    pass


class BadArguments(ToolError):
    pass


class ToolFailed(ToolError):
    pass


class Unreachable(ToolFailed):
    pass


class NotConfigured(ToolFailed):
    pass


class NotRecorded(ToolFailed):
    pass


class TargetUnclear(ToolError):
    pass


class Refused(ToolError):
    pass
