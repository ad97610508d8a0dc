"""Slack user groups that the catalog names as members of its groups, read live. What cannot be read has nobody in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

FRESH_S = 10.0  # a decision reads again what is older
KEPT_S = 120.0  # an execution trusts what is younger
AGAIN_S = 45.0  # between two reads while nobody decides
PATIENCE_S = 4.0


@dataclass
class _Read:
    members: frozenset[str]  # principals
    at: float


@dataclass
class UserGroups:
    """`members` is what the catalog asks; `refresh` is what fills it."""

    client: AsyncWebClient
    names: frozenset[str]  # slack-group:S0123
    tick: Callable[[], float] = time.monotonic
    problems: dict[str, str] = field(default_factory=dict)
    _team: str = ""
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)  # an answer that took long never replaces a newer one
    _read: dict[str, _Read] = field(default_factory=dict)

    def members(self, name: str) -> frozenset[str]:
        found = self._read.get(name)
        return found.members if found and self.tick() - found.at <= KEPT_S else frozenset()

    async def refresh(self, names: Iterable[str], older_than: float = FRESH_S) -> None:
        """Read again what is older; what cannot be read is emptied, and `problems` says why."""
        async with self._reading:
            now = self.tick()
            due = [n for n in names if n in self.names and (n not in self._read or now - self._read[n].at > older_than)]
            await asyncio.gather(*(self._refresh(name) for name in due))

    async def _refresh(self, name: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                team = self._team = self._team or str((await self.client.auth_test())["team_id"])
                answer = await self.client.usergroups_users_list(usergroup=name.removeprefix("slack-group:"))
        except SlackApiError as error:
            self._lost(name, str(error.response.get("error", "")))
        except (SlackClientError, TimeoutError, OSError) as error:
            self._lost(name, str(error) or type(error).__name__)
        else:
            self.problems.pop(name, None)
            users = answer.get("users") or []
            self._read[name] = _Read(frozenset(f"slack:{team}/{user}" for user in users), self.tick())

    def _lost(self, name: str, why: str) -> None:
        self._read.pop(name, None)
        more = " (add the scope usergroups:read and install the app again)" if why == "missing_scope" else ""
        self.problems[name] = f"{name} cannot be read from Slack: {why}{more}. Until it can, nobody counts as in it."

    async def follow(self) -> None:
        """Keep what is read young, so that an execution still knows whom a decision was made by. Runs until cancelled."""
        while self.names:
            await self.refresh(self.names, older_than=AGAIN_S / 2)
            await asyncio.sleep(AGAIN_S)
