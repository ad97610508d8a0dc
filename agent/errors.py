"""What may go wrong, and the exit code a person at a terminal gets for it.

StanchError
├── ToolError …              see tools.errors
├── UnusableInput       2    what came in cannot be read: not JSON, no alert, an unknown name
│   └── TooMany              more alerts in one notification than are taken
├── BadConfiguration    4    stanch.yaml, policy.yaml or catalog.yaml has a mistake
├── NotEntitled         4    this person may not decide this (unmapped, or not an approver)
├── Outdated            2    a decision on a proposal that has changed, ended or expired
├── Unsettled           3    the database and what vouches for it outside differ: nothing starts until a person has settled it
├── Overtaken           3    another runner has taken over this incident; what was in hand is dropped
├── Busy                3    another process runs this incident
├── Overloaded               more waits to be written than may wait; the sender sends it again
├── ReasonerFailed           the reasoner gave nothing usable; fail-over answers it
│   ├── BudgetSpent          steps, tokens, seconds or money are used up
│   └── ModelFailed          see agent.reasoner.protocol: with what the attempt cost
└── IllegalTransition   1    a defect of ours: a state that cannot follow from the one before
"""

from __future__ import annotations

from tools.errors import (
    BadArguments,
    NotConfigured,
    NotRecorded,
    Refused,
    StanchError,
    TargetUnclear,
    ToolError,
    ToolFailed,
    Unreachable,
)

__all__ = [
    "BadArguments",
    "BadConfiguration",
    "BudgetSpent",
    "Busy",
    "IllegalTransition",
    "NotConfigured",
    "NotEntitled",
    "NotRecorded",
    "Outdated",
    "Overloaded",
    "Overtaken",
    "ReasonerFailed",
    "Refused",
    "StanchError",
    "TargetUnclear",
    "TooMany",
    "ToolError",
    "ToolFailed",
    "Unreachable",
    "Unsettled",
    "UnusableInput",
]


class UnusableInput(StanchError):
    pass


class TooMany(UnusableInput):
    pass


class BadConfiguration(StanchError):
    pass


class NotEntitled(StanchError):
    pass


class Outdated(StanchError):
    pass


class Overtaken(StanchError):
    pass


class Unsettled(StanchError):
    pass


class Busy(StanchError):
    pass


class Overloaded(StanchError):
    pass


class ReasonerFailed(StanchError):
    pass


class BudgetSpent(ReasonerFailed):
    pass


class IllegalTransition(StanchError):
    pass
