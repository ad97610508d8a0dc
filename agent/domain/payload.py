"""What an event carries: a frozen class a kind, and its JSON, spelled by the fields of the class and nowhere else.

A field's key is its name. `Annotated` says the rest:

    at: Time                                     a type with a Spelling: how to read it and how to write it
    halt: Annotated[str, SPARSE] = ""            left out of the JSON while it holds its default
    evidence: Annotated[Evidence, Flat(…)]       its keys stand beside the others, not in an object of their own

A default is what an event of an older version means where it lacks the key. Keys that a newer version wrote are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_args, get_origin, get_type_hints

from agent.clock import iso, parse_time
from tools.context import Json

P = TypeVar("P", bound="Payload")


class EventKind(StrEnum):
    """Each kind's data is the JSON of its class in `events.py`; a note's is that of one of the classes in `notes.py`."""

    ALERT = "alert"
    EVIDENCE = "evidence"
    FINDING = "finding"
    QUESTION = "question"
    REPLY = "reply"
    PROPOSAL = "proposal"
    VERDICT = "verdict"
    DECISION = "decision"
    INTENT = "intent"
    OUTCOME = "outcome"
    VERIFICATION = "verification"
    STATE = "state"
    NOTE = "note"
    COMPACTION = "compaction"  # rendering for a language model starts anew here


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a value stands in JSON. `read` may raise ValueError, KeyError or TypeError on what it is not."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Json]


@dataclass(frozen=True, slots=True)
class Flat:
    """As Spelling, over the whole of the event's data. `keys` are those of a value."""

    read: Callable[[Mapping[str, Json]], Any]
    write: Callable[[Any], Mapping[str, Json]]
    keys: Callable[[Any], frozenset[str]]


class _Sparse:
    pass


SPARSE: Final = _Sparse()

Time = Annotated[datetime, Spelling(lambda text: parse_time(str(text)), iso)]
Texts = Annotated[tuple[str, ...], Spelling(tuple, list)]
Whole = Annotated[dict[str, Json], Spelling(dict, dict)]
Flag = Annotated[bool, Spelling(bool, bool)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What one event tells. `unknown` are keys of another version, `absent` those that an older one did not write."""

    KIND: ClassVar[EventKind]
    unknown: Mapping[str, Json] = field(default_factory=dict)
    absent: frozenset[str] | None = field(default=None, compare=False, repr=False)  # None: it was not read

    @classmethod
    def from_json(cls: type[P], data: Mapping[str, Json]) -> P:
        """The inverse of to_json. ValueError, KeyError or TypeError where the data is not of this class."""
        values: dict[str, Any] = {}
        shape = _shape(cls)
        known = shape.keys
        for one in shape.fields:
            if one.flat is not None:
                values[one.name] = found = one.flat.read(data)
                known = known | one.flat.keys(found)
            elif one.key in data:
                value = data[one.key]
                values[one.name] = one.spelling.read(value) if one.spelling and value is not None else value
        if data.keys() == known:
            return cls(**values, absent=_NONE)
        unknown = {key: value for key, value in data.items() if key not in known}
        return cls(**values, unknown=unknown, absent=known.difference(data))

    def to_json(self) -> dict[str, Json]:
        """As the timeline keeps it."""
        written: dict[str, Json] = {}
        for one in _shape(type(self)).fields:
            value = getattr(self, one.name)
            if one.flat is not None:
                written |= one.flat.write(value)
            elif not (one.sparse and self.absent is None and value == one.default):
                written[one.key] = one.spelling.write(value) if one.spelling and value is not None else value
        for key in self.absent or ():
            written.pop(key, None)
        return {**written, **self.unknown}


_NONE: frozenset[str] = frozenset()
_OWN = frozenset(one.name for one in fields(Payload))


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    spelling: Spelling | None
    flat: Flat | None
    sparse: bool
    default: Any


@dataclass(frozen=True, slots=True)
class _Shape:
    fields: tuple[_Field, ...]
    keys: frozenset[str]


_SHAPES: dict[type, _Shape] = {}


def _shape(cls: type[Payload]) -> _Shape:
    if cls not in _SHAPES:
        _SHAPES[cls] = _shaped(cls)
    return _SHAPES[cls]


def _shaped(cls: type[Payload]) -> _Shape:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for one in fields(cls):
        if one.name in _OWN:
            continue
        marks = list(_marks(hints[one.name]))
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        found.append(
            _Field(
                name=one.name,
                key=one.name.removesuffix("_"),  # `from` is no name in Python
                spelling=next((mark for mark in marks if isinstance(mark, Spelling)), None),
                flat=next((mark for mark in marks if isinstance(mark, Flat)), None),
                sparse=SPARSE in marks,
                default=default,
            )
        )
    return _Shape(tuple(found), frozenset(one.key for one in found if one.flat is None))


def _marks(hint: Any) -> Iterator[Any]:
    """What `Annotated` says of a type, also inside `… | None`."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        yield from marks
        yield from _marks(inner)
    elif type(None) in get_args(hint):
        for part in get_args(hint):
            yield from _marks(part)
