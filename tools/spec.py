"""What a tool is. A read is a function, an action is a class; both carry their own schema.

A read looks and answers. An action changes something, and only the executor may call its `apply`.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeAlias, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tools.context import Context, Json, Labels, Target
from tools.errors import BadArguments

__all__ = [
    "Action",
    "Answer",
    "Emptiness",
    "Fact",
    "Identifier",
    "Json",
    "Labels",
    "ModelName",
    "Read",
    "Receipt",
    "Risk",
    "State",
    "Target",
    "WorkloadName",
    "read",
]


class Risk(StrEnum):
    """The worst an action can do, declared by its author."""

    REVERSIBLE = "reversible"
    DISRUPTIVE = "disruptive"
    DESTRUCTIVE = "destructive"


class Emptiness(StrEnum):
    """Why an answer is empty. None of the three means that the read failed, and none means zero."""

    NO_METRIC = "no such metric"
    NO_SERIES = "no series with these labels"
    NO_SAMPLES = "no samples in the window"
    NOTHING = "nothing found"


@dataclass(frozen=True, slots=True)
class Fact:
    """One named value. `id` is unique within its evidence and dotted: `p99.last`. A value of None is unknown."""

    id: str
    name: str
    value: float | int | str | bool | None
    unit: str = ""  # s, ms, 1/s, bytes, cores, ratio, count, unix (seconds), or "" for plain
    labels: Labels = field(default_factory=dict)
    window: str = ""  # ISO interval "start/end", or an instant


@dataclass(frozen=True, slots=True)
class Answer:
    """What a read says: a short summary for a reader with little room, facts, and the whole in `data` (JSON)."""

    summary: str
    facts: tuple[Fact, ...] = ()
    data: Json = None
    link: str | None = None  # opens Prometheus, Grafana, MLflow … at exactly this window
    empty: Emptiness | None = None


@dataclass(frozen=True, slots=True)
class Identifier:
    """Marks an argument that names a thing, so that the gate asks where the name came from (provenance)."""

    kind: str


WorkloadName = Annotated[
    str,
    Identifier("workload"),
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?$",
        description="[cluster/][namespace/]name of a workload",
    ),
]
ModelName = Annotated[
    str, Identifier("model"), Field(min_length=1, max_length=200, description="a model's name in the catalog")
]

Function: TypeAlias = Callable[..., Awaitable[Answer]]


class Read:
    """A read: its name, its words, its arguments as a pydantic model, and the function behind it."""

    def __init__(
        self, function: Function, needs: str = "", offered: bool = True, vouches: bool = False, maps: bool = False
    ) -> None:
        self.name = function.__name__
        self.doc = inspect.getdoc(function) or ""
        self.needs = needs
        self.offered = offered
        self.vouches = vouches
        self.maps = maps
        self._function = function
        self.arguments = _arguments_of(function)

    def parse(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Checked arguments; BadArguments says which one is wrong and how."""
        try:
            model = self.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise BadArguments(_explain(self.name, self.arguments, error)) from None
        return {name: getattr(model, name) for name in type(model).model_fields}

    async def __call__(self, context: Context, **arguments: Any) -> Answer:
        return await self._function(context, **self.parse(arguments))

    def arguments_schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, as small as it gets."""
        slim: dict[str, Any] = _slim(self.arguments.model_json_schema())
        return slim


@overload
def read(function: Function) -> Read: ...
@overload
def read(
    *, needs: str = "", offered: bool = True, vouches: bool = False, maps: bool = False
) -> Callable[[Function], Read]: ...
def read(
    function: Function | None = None,
    *,
    needs: str = "",
    offered: bool = True,
    vouches: bool = False,
    maps: bool = False,
) -> Read | Callable[[Function], Read]:
    """Describe a coroutine function `(context, …) -> Answer` as a read. `needs` names the kinds of backend it can ask
    (`a|b`); one that is not `offered` is code's own, and no reasoner is told of it. `vouches`: it answers from a platform's
    own API about that platform's objects, so that an action may act on what its labels name. Never for what somebody outside
    can write into: telemetry, logs, text. `maps`: it goes by the platform map, which is asked for beforehand."""
    if function is not None:
        return Read(function)
    return lambda f: Read(f, needs, offered, vouches, maps)


@dataclass(frozen=True, slots=True)
class State:
    """What is, or what should be: only the fields an action owns, and the version the platform gives them."""

    fields: Mapping[str, Json]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the target answered. `values` are names an undo may refer to as `{receipt.NAME}`."""

    text: str
    values: Mapping[str, str] = field(default_factory=dict)


class Action(BaseModel, ABC):
    """One change of production. The fields are its arguments, the docstring is what people and reasoners read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    risk: ClassVar[Risk]
    needs: ClassVar[str] = ""
    settle: ClassVar[timedelta | None] = timedelta(
        seconds=30
    )  # how long the effect may take to be seen; None = never seen
    mitigates: ClassVar[bool] = True  # False: it changes nothing of what ails, so nobody asks whether it recovered
    undo_only: ClassVar[bool] = False  # exists as another action's undo; never offered to a reasoner

    @classmethod
    def name(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def doc(cls) -> str:
        return inspect.getdoc(cls) or ""

    @classmethod
    def parse(cls, arguments: Mapping[str, Any]) -> Action:
        try:
            return cls.model_validate(dict(arguments))
        except ValidationError as error:
            raise BadArguments(_explain(cls.name(), cls, error)) from None

    @classmethod
    def arguments_schema(cls) -> dict[str, Any]:
        slim: dict[str, Any] = _slim(cls.model_json_schema())
        return slim

    @classmethod
    def identifiers(cls) -> dict[str, str]:
        """Argument name → kind of thing it names."""
        return {
            name: mark.kind
            for name, info in cls.model_fields.items()
            for mark in info.metadata
            if isinstance(mark, Identifier)
        }

    @abstractmethod
    def target(self, context: Context) -> Target:
        """The one thing this would act on; TargetUnclear for none or several."""

    def resolved(self, context: Context) -> Action:
        """The same action with every name written out in full, so that what is sealed and copied is unambiguous."""
        return self

    @abstractmethod
    async def observe(self, context: Context) -> State:
        """What is now. Raises Refused where another controller owns the target."""

    @abstractmethod
    def change(self, before: State, key: str) -> State:
        """What should be. `key` is the execution's idempotency key, fixed before sealing."""

    async def dry_run(self, context: Context, before: State) -> str | None:
        """The platform's own opinion, if it has one; raises Refused when it says no."""
        return None

    @abstractmethod
    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        """Do it, once, sending version and key where the target takes them. Refused = certainly not done."""

    async def probe(self, context: Context, key: str) -> bool | None:
        """Did the execution with this key happen? None = the target cannot say."""
        return None

    def undo(self, before: State) -> Action | None:
        """What takes it back, sealed beforehand. A value known only later is written `{receipt.NAME}`."""
        return None

    @abstractmethod
    def command(self, context: Context) -> str:
        """What a person would type instead: one line for a shell, every value quoted, with the addresses and names that
        are configured here. It never fails; what is not configured stands in it as a variable or a word in capitals."""


def _arguments_of(function: Function) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    name = function.__name__
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)
    return model


def _explain(name: str, model: type[BaseModel], error: ValidationError) -> str:
    problems = "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
        for one in error.errors(include_url=False)
    )
    known = ", ".join(f"{key}{'' if info.is_required() else '?'}" for key, info in model.model_fields.items())
    return f"{name}: {problems}. It takes: {known or 'nothing'}."


def _slim(schema: Any) -> Any:
    """A JSON schema without the titles pydantic adds and the reader does not need."""
    if isinstance(schema, dict):
        return {key: _slim(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return [_slim(item) for item in schema] if isinstance(schema, list) else schema
