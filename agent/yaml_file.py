"""A YAML file that people write: read into a pydantic model, with every mistake named by file, line and mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, RootModel, ValidationError

from agent.errors import BadConfiguration

M = TypeVar("M", bound=BaseModel)
DEEPEST, MOST_VALUES = 50, 100_000  # levels and values of one file, aliases followed
# what PyYAML's constructors raise for a date, a number or a boolean that only looks like one
UNREADABLE = (ValueError, OverflowError, LookupError, AttributeError)
Place = tuple[str | int, ...]
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast


def load(path: Path, model: type[M]) -> M:
    """The file as a model; BadConfiguration lists every mistake as `file:line: what: mend`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: cannot be read: {error}. Give a readable UTF-8 file.") from None
    return parse(text, model, str(path))


def parse(text: str, model: type[M], name: str) -> M:
    """As `load`, from text; `name` stands for the file in messages."""
    node: yaml.Node | None = None
    try:
        if (endless := _endless(text)) is not None:
            raise BadConfiguration(f"{name}:{endless[0]}: {endless[1]}")
        node = yaml.compose(text, Loader=Loader)
        data = yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise BadConfiguration(f"{name}:{line}: not YAML: {getattr(error, 'problem', None) or error}.") from None
    except UNREADABLE as error:
        line = next((one.start_mark.line + 1 for one in _scalars(node) if not _readable(one)), 1)
        raise BadConfiguration(f"{name}:{line}: not YAML: {error}. Quote the value.") from None
    if (twice := _duplicate(node)) is not None:
        raise BadConfiguration(f"{name}:{twice[1]}: {twice[0]!r} stands twice; keep one.")
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError as error:
        raise BadConfiguration("\n".join(_mistakes(error, node, model, name))) from None


def _endless(text: str) -> tuple[int, str] | None:
    """Line and mistake where the text nests too deep, holds itself, or grows without end when its aliases are followed.

    Told from the events, before anything is built: libyaml builds nested nodes by recursion in C.
    """
    open_ones: list[tuple[str | None, int]] = [(None, 0)]  # anchor and size of each collection that is open
    sizes: dict[str, int | None] = {}  # of what stands under an anchor; None while it is open
    for event in yaml.parse(text, Loader=Loader):
        line, size = (event.start_mark.line if event.start_mark else 0) + 1, 0
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            if len(open_ones) > DEEPEST:
                return line, f"nested more than {DEEPEST} deep. Flatten it."
            sizes |= {event.anchor: None} if event.anchor else {}
            continue
        if isinstance(event, yaml.AliasEvent):
            found = sizes.get(event.anchor or "", 0)
            if found is None:
                return line, f"*{event.anchor} stands within what it names. Write the value out."
            size = found
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            sizes |= {anchor: size} if anchor else {}
        anchor, before = open_ones[-1]
        open_ones[-1] = (anchor, before + size)
        if before + size > MOST_VALUES:
            return line, f"more than {MOST_VALUES:,} values. Split it, or use fewer aliases."
    return None


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.CollectionNode):
        for one in node.value:
            for part in one if isinstance(one, tuple) else (one,):
                yield from _scalars(part)


def _readable(node: yaml.ScalarNode) -> bool:
    try:
        yaml.SafeLoader("").construct_object(node)
    except UNREADABLE:
        return False
    return True


def _mistakes(error: ValidationError, node: yaml.Node | None, model: type[BaseModel], name: str) -> Iterator[str]:
    for one in error.errors(include_url=False):
        place = tuple(one["loc"])
        where = ".".join(str(part) for part in place) or "the file"
        mend = ""
        if one["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(place[-1]), _names(model, place[:-1]), 1)
            mend = f" Did you mean {close[0]!r}?" if close else f" Known here: {', '.join(_names(model, place[:-1]))}."
            yield f"{name}:{line_of(node, place)}: {where}: unknown key.{mend}"
            continue
        if one["type"] in ("literal_error", "enum") and isinstance(one["input"], str):
            known = str(one.get("ctx", {}).get("expected", ""))
            options = [part.strip("' ") for part in known.replace(" or ", ",").split(",")]
            close = difflib.get_close_matches(one["input"], options, 1)
            mend = f" Did you mean {close[0]!r}?" if close else ""
        yield f"{name}:{line_of(node, place)}: {where}: {one['msg']}.{mend}"


def line_in(text: str, place: Place) -> int:
    """As `line_of`, of a text that is known to be YAML."""
    return line_of(yaml.compose(text, Loader=Loader), place)


def line_of(node: yaml.Node | None, place: Place) -> int:
    """1-based line at which a place in the file stands, or the nearest thing around it."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue  # a part pydantic added, such as a union's branch
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _names(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place: follows fields and their item types."""
    current: type[BaseModel] = model
    if issubclass(model, RootModel):
        current = _model_in(model.model_fields["root"].annotation) or model
    for part in place:
        info = current.model_fields.get(str(part)) or next(
            (f for f in current.model_fields.values() if f.alias == part), None
        )
        inner = _model_in(info.annotation) if info else None
        current = inner or current
    return [info.alias or key for key, info in current.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)


def _duplicate(node: yaml.Node | None) -> tuple[str, int] | None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return str(key.value), key.start_mark.line + 1
            seen.add(key.value)
            if (inner := _duplicate(value)) is not None:
                return inner
    elif isinstance(node, yaml.SequenceNode):
        return next((found for item in node.value if (found := _duplicate(item))), None)
    return None
