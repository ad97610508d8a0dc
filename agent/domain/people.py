"""How people are identified. A surface verifies who somebody is; the catalog says who that is here, and the gate counts
nobody whose kind of identity is not in IDENTITIES. A surface brings its own: one more here, and it may stand under `people`
in catalog.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


class SlackUser(BaseModel):
    model_config = ConfigDict(extra="forbid")

    team: str
    user: str

    def __str__(self) -> str:
        return f"{self.team}/{self.user}"


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal is written `kind:value`. In catalog.yaml the value stands under `key` of a person, as a `type` whose text
    it is. `groups` is how a group is written that the same system keeps, where it keeps groups."""

    kind: str
    key: str
    type: Any = str
    groups: re.Pattern[str] | None = None

    def principal(self, value: object) -> str:
        return f"{self.kind}:{value}"


OS_USER = Identity("os", "os_user")
SLACK_USER = Identity("slack", "slack", SlackUser, re.compile(r"slack-group:S[A-Z0-9]+"))
IDENTITIES: tuple[Identity, ...] = (OS_USER, SLACK_USER)


def is_person(principal: str) -> bool:
    """Whether a surface has verified a person under this name; a reasoner, an agent and Stanch itself are none."""
    kind, colon, value = principal.partition(":")
    return bool(colon and value) and any(kind == one.kind for one in IDENTITIES)


def is_group_elsewhere(member: str) -> bool:
    """Whether a member of a group is a group itself that another system keeps, such as slack-group:S0123."""
    return any(one.groups is not None and one.groups.fullmatch(member) for one in IDENTITIES)
