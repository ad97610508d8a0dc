"""Actions on alerts: silence one, for a stated time, and end a silence of ours again. Through Alertmanager."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from tools.context import Backend, Context, Json, Target
from tools.errors import Refused, ToolError, ToolFailed
from tools.formatting import iso
from tools.http_write import answered_json, look, send
from tools.spec import Action, Identifier, Receipt, Risk, State

AlertName = Annotated[
    str,
    Identifier("alert"),
    Field(min_length=1, max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_:. -]*$", description="the label alertname"),
]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
_ALIVE = ("active", "pending")


class SilenceAlert(Action):
    """Silence an alert, by its name and labels, for some minutes (24 hours at most). It mends nothing: people are only
    not told again. Name the labels of the one thing that is ill, or all alerts of that name fall silent."""

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    needs: ClassVar[str] = "alertmanager"
    settle: ClassVar[timedelta | None] = timedelta(seconds=10)
    mitigates: ClassVar[bool] = False
    alertname: AlertName
    labels: Annotated[
        dict[LabelName, Annotated[str, Field(max_length=200)]], Field(default_factory=dict, max_length=20)
    ]
    minutes: Annotated[int, Field(ge=1, le=1440)]
    reason: Annotated[str, Field(min_length=3, max_length=500)]

    @field_validator("labels")
    @classmethod
    def _named_once(cls, labels: dict[str, str]) -> dict[str, str]:
        if "alertname" in labels:
            raise ValueError("alertname is an argument of its own")
        return dict(sorted(labels.items()))

    def target(self, context: Context) -> Target:
        service = context.catalog.service_for({"alertname": self.alertname, **self.labels})
        return Target(
            "alert",
            self.alertname,
            _backend(context, self.labels).name,
            self.labels.get("namespace", ""),
            service.environment if service else "",
            service.name if service else self.labels.get("service", ""),
        )

    def resolved(self, context: Context) -> Action:
        """With the labels of the incident's own alert where none are given: never all alerts of a name."""
        if self.labels:
            return self
        mine = {name: value for name, value in context.labels.items() if name not in ("alertname", "severity")}
        if not mine or context.labels.get("alertname", self.alertname) != self.alertname:
            raise Refused(
                f"Without labels every alert called {self.alertname} would fall silent. Name the labels of what is ill."
            )
        return self.model_copy(update={"labels": dict(sorted(mine.items())[:20])})

    async def observe(self, context: Context) -> State:
        """The key of the silence that stands for exactly these matchers, or its id where it is not one of ours."""
        backend = _backend(context, self.labels)
        mine = [
            one
            for one in await _silences(backend)
            if _state_of(one) in _ALIVE and _same(one.get("matchers"), self.matchers())
        ]
        newest = max(mine, key=lambda one: str(one.get("endsAt")), default=None)
        held = (_key_of(newest) or str(newest.get("id"))) if newest else None
        return State({"silence": held, "alertmanager": backend.name})

    def change(self, before: State, key: str) -> State:
        return State({**before.fields, "silence": key})

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        backend = _backend(context, self.labels)
        now = context.clock.now()
        end = now + timedelta(minutes=self.minutes)
        body = {
            "matchers": self.matchers(),
            "startsAt": iso(now),
            "endsAt": iso(end),
            "createdBy": "stanch",
            "comment": f"{self.reason} {_mark(key)}",
        }
        response = await send(backend.http, "POST", "/api/v2/silences", to=_name(backend), json=body)
        answer = answered_json(response, _name(backend))
        silence = answer.get("silenceID") if isinstance(answer, dict) else None
        if not isinstance(silence, str):
            raise ToolFailed(f"{_name(backend)} did not say which silence it made. Look for {_mark(key)} in its list.")
        return Receipt(f"{self.alertname} is silent until {iso(end)} (silence {silence})", {"silence_id": silence})

    async def probe(self, context: Context, key: str) -> bool | None:
        """Whether a silence carries our key in its comment, expired ones included (Alertmanager keeps them for days)."""
        return any(_key_of(one) == key for one in await _silences(_backend(context, self.labels)))

    def undo(self, before: State) -> Action | None:
        return ExpireSilence(
            silence_id="{receipt.silence_id}",
            alertmanager=str(before.fields["alertmanager"]),
            silences={"alertname": self.alertname, **self.labels},
        )

    def command(self, context: Context) -> str:
        words = ["amtool", "silence", "add", *_matchers_typed({"alertname": self.alertname, **self.labels})]
        words += [f"--duration={self.minutes}m", f"--comment={self.reason}"]
        return f"{shlex.join(words)} {_url(context, self.labels, '')}"

    def matchers(self) -> list[dict[str, Json]]:
        wanted = {"alertname": self.alertname, **self.labels}
        return [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in wanted.items()]


class ExpireSilence(Action):
    """End a silence before its time, so that its alerts are told again."""

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    needs: ClassVar[str] = "alertmanager"
    settle: ClassVar[timedelta | None] = timedelta(seconds=10)
    undo_only: ClassVar[bool] = True
    silence_id: Annotated[str, Identifier("silence"), Field(pattern=r"^(\{receipt\.silence_id\}|[0-9a-fA-F-]{8,64})$")]
    alertmanager: Annotated[str, Field(max_length=200)] = ""
    silences: Annotated[dict[str, str], Field(default_factory=dict, max_length=21)]  # its matchers, to find it by hand

    def target(self, context: Context) -> Target:
        return Target("alert", self.silence_id, self._backend(context).name)

    async def observe(self, context: Context) -> State:
        backend = self._backend(context)
        found = await look(backend.http, f"/api/v2/silence/{self.silence_id}", at=_name(backend))
        if not isinstance(found, dict):
            raise Refused(
                f"{_name(backend)} has no silence {self.silence_id}; it may have been dropped after expiring."
            )
        return State({"state": _state_of(found)})

    def change(self, before: State, key: str) -> State:
        return State({"state": "expired"})

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        backend = self._backend(context)
        await send(backend.http, "DELETE", f"/api/v2/silence/{self.silence_id}", to=_name(backend))
        return Receipt(f"silence {self.silence_id} has ended")

    def command(self, context: Context) -> str:
        """By its id; before the silence is made, by what it silences."""
        url = _url(context, context.labels, self.alertmanager)
        if not self.silence_id.startswith("{receipt."):
            return f"amtool silence expire {shlex.quote(self.silence_id)} {url}"
        query = shlex.join(["amtool", "silence", "query", "--quiet", *_matchers_typed(self.silences)])
        return f"amtool silence expire $({query} {url}) {url}"

    def _backend(self, context: Context) -> Backend:
        return context.backends.pick("alertmanager", context.labels, self.alertmanager)


def _backend(context: Context, labels: Mapping[str, str]) -> Backend:
    return context.backends.pick("alertmanager", {**context.labels, **labels})


def _url(context: Context, labels: Mapping[str, str], name: str) -> str:
    try:
        backend = context.backends.pick("alertmanager", {**context.labels, **labels}, name)
    except ToolError:
        return '--alertmanager.url="$ALERTMANAGER_URL"'
    return shlex.quote(f"--alertmanager.url={backend.link_base}")


def _matchers_typed(labels: Mapping[str, str]) -> list[str]:
    """`name="value"`, as amtool reads it whatever the value holds."""
    return [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]


async def _silences(backend: Backend) -> list[Mapping[str, Any]]:
    found = await look(backend.http, "/api/v2/silences", at=_name(backend))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ToolFailed(
            f"{_name(backend)} answered /api/v2/silences with something that is no list. Check the address."
        )
    return found


def _name(backend: Backend) -> str:
    return f"Alertmanager at {backend.url}"


def _mark(key: str) -> str:
    return f"[stanch {key}]"


def _key_of(silence: Mapping[str, Any]) -> str | None:
    comment = str(silence.get("comment", ""))
    return comment.rpartition("[stanch ")[2][:-1] if "[stanch " in comment and comment.endswith("]") else None


def _state_of(silence: Mapping[str, Any]) -> str:
    return str((silence.get("status") or {}).get("state", ""))


def _same(found: object, wanted: list[dict[str, Json]]) -> bool:
    """Whether two lists of matchers are the same, whatever their order. An old server leaves out isEqual."""
    if not isinstance(found, list):
        return False
    read = {(m.get("name"), m.get("value"), bool(m.get("isRegex")), m.get("isEqual", True)) for m in found}
    return read == {(m["name"], m["value"], m["isRegex"], m["isEqual"]) for m in wanted}
