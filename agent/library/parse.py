"""A Markdown file as a Runbook. What cannot be read is passed over with its reason; nothing here ends the program."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from frontmatter.default_handlers import YAMLHandler
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel

from agent import yaml_file
from agent.domain.cause import Fault
from agent.errors import BadConfiguration, UnusableInput
from agent.library.blocks import ActionModel, CheckModel, FrontMatter
from agent.library.runbook import ActionBlock, CheckBlock, Runbook, Section
from tools.context import Json

LARGEST_BYTES = 1_000_000
DEEPEST = 12  # of nested YAML in a block
SECTION_LEVEL = 3  # deeper headings stay within their section
M = TypeVar("M", bound=BaseModel)
_KEY = re.compile(r"\s*[\w.\"'-]+\s*:")


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that was passed over, and why (with the line and what to do)."""

    path: Path
    why: str


def read_folder(folder: Path) -> tuple[list[Runbook], list[Passed]]:
    """Every `*.md` below a folder, by path. Two files of one name: the first counts, the second is passed over."""
    books: dict[str, Runbook] = {}
    passed: list[Passed] = []
    if not folder.is_dir():
        return [], [Passed(folder, "is no folder. Name a folder of Markdown files.")]
    for path in sorted(p for p in folder.rglob("*.md") if not _hidden(p, folder)):
        try:
            book = read_file(path)
        except UnusableInput as error:
            passed.append(Passed(path, str(error)))
            continue
        if (first := books.get(book.name)) is not None:
            passed.append(Passed(path, f"has the name of {first.path}. Rename one of the two."))
        else:
            books[book.name] = book
    return list(books.values()), passed


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_file(path: Path) -> Runbook:
    """One file as a Runbook; UnusableInput says line, mistake and mend."""
    try:
        raw = path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST_BYTES else None
    except OSError as error:
        raise UnusableInput(f"cannot be read: {error.strerror}. Make it readable.") from None
    if raw is None:
        raise UnusableInput(f"is no file of at most {LARGEST_BYTES:,} bytes. Split it or move it away.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableInput(f"byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    return parse(text, book_name(path), str(path), hashlib.sha256(raw).hexdigest())


def book_name(path: Path) -> str:
    """The file's stem; for a skill's `SKILL.md` the folder's name."""
    return path.parent.name if path.name == "SKILL.md" else path.stem


def parse(text: str, name: str, path: str = "", sha256: str = "") -> Runbook:
    """Text as a Runbook; UnusableInput says line, mistake and mend. Without `stanch.` metadata it is a foreign file."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front, body = split_front(text)
    data = safe_yaml(front, 1) if front else None
    sha256 = sha256 or hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    below = text[: len(text) - len(body)].count("\n")
    if not isinstance(data, dict):
        return _foreign({}, text if front and data is not None else body, name, path, sha256)
    if not _ours(data):
        return _foreign(data, body, name, path, sha256)
    matter = checked(front, FrontMatter, 1)
    if matter.name != name:
        line = next((n for n, row in enumerate(front.splitlines(), 1) if row.startswith("name:")), 1)
        raise UnusableInput(f"line {line}: name {matter.name!r} is not the file's name {name!r}. Make them the same.")
    page = _read_page(body, below)
    return Runbook(
        name=name,
        title=page.title or name,
        description=matter.description,
        text=body,
        sections=tuple(page.sections),
        alerts=matter.metadata.alert_names,
        faults=matter.metadata.fault_names,
        signals=matter.metadata.signal_names,
        matchers=matter.metadata.labels,
        kind=matter.metadata.incident_kind,
        owner=matter.metadata.owner,
        reviewed=matter.metadata.reviewed,
        checks=tuple(page.checks),
        actions=tuple(page.actions),
        sha256=sha256,
        path=path,
    )


def split_front(text: str) -> tuple[str, str]:
    """(front matter, body). A rule of dashes above prose is no front matter."""
    handler = YAMLHandler()
    if not handler.detect(text):
        return "", text
    inside = text.split("\n", 1)[1] if "\n" in text else ""
    if not _KEY.match(inside):
        return "", text
    try:
        front, body = handler.split(text)
    except ValueError:
        raise UnusableInput("line 1: the front matter has no end. Close it with a line of ---.") from None
    return front, body


def _ours(data: dict[Json, Json]) -> bool:
    metadata = data.get("metadata")
    return isinstance(metadata, dict) and any(str(key).startswith("stanch.") for key in metadata)


def _foreign(data: dict[Json, Json], body: str, name: str, path: str, sha256: str) -> Runbook:
    sections, title = _sections(body, _markdown().parse(body))
    prose = (line.strip() for section in sections for line in section.text.splitlines())
    first = next((line for line in prose if line and not line.startswith(("#", "<", "!", "|", "```", "---"))), "")
    return Runbook(
        name=name,
        title=str(data.get("title") or title or name),
        description=str(data.get("description") or first)[:1024],
        text=body,
        sections=tuple(sections),
        sha256=sha256,
        path=path,
    )


def safe_yaml(text: str, line: int) -> Json:
    """YAML that can neither grow (no aliases) nor nest without end; UnusableInput with the line in the file."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml_file.Loader):
            here = line + (event.start_mark.line if event.start_mark else 0)
            if isinstance(event, yaml.AliasEvent):
                raise UnusableInput(f"line {here}: YAML aliases (*name) are not taken. Write the value out.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise UnusableInput(f"line {here}: nested more than {DEEPEST} deep. Flatten it.")
        return yaml.load(text, Loader=yaml_file.Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UnusableInput(f"line {line + (mark.line if mark else 0)}: not YAML: {what}. {_mend(text)}") from None
    except yaml_file.UNREADABLE as error:
        raise UnusableInput(f"line {line}: not YAML: {error}. Quote the value.") from None


def _mend(text: str) -> str:
    if re.search(r"^\s*expect:\s*>", text, re.MULTILINE):
        return 'Quote what is expected: expect: "> 0.25".'
    return 'Quote values that hold {{ … }}: "{{ service }}".' if "{{" in text else "Correct the YAML."


def checked(text: str, model: type[M], line: int) -> M:
    """YAML that stands at `line` of the file as a model; UnusableInput lists the mistakes by line."""
    if not isinstance(safe_yaml(text, line), dict):
        raise UnusableInput(f"line {line}: is no mapping. Write `key: value` lines.")
    try:
        return yaml_file.parse("\n" * (line - 1) + text, model, "line")
    except BadConfiguration as error:
        mistakes = re.sub(r"^line:(\d+)", r"line \1", str(error), flags=re.MULTILINE)
        raise UnusableInput("; ".join(mistakes.splitlines())) from None


@dataclass(slots=True)
class _Page:
    """What was read so far: where we are among the headings, and what was found."""

    title: str = ""
    sections: list[Section] = field(default_factory=list)
    checks: list[CheckBlock] = field(default_factory=list)
    actions: list[ActionBlock] = field(default_factory=list)
    part: str = ""  # the `##` heading above
    topic: str = ""  # the `###` heading above
    prose: str = ""  # last line of the paragraph above


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark")


def _read_page(body: str, below: int) -> _Page:
    page = _Page()
    tokens = _markdown().parse(body)
    page.sections, page.title = _sections(body, tokens)
    for n, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0:
            _enter(page, token, tokens[n + 1].content.strip())
        elif token.type == "inline" and token.content.strip():
            page.prose = token.content.strip().splitlines()[-1]
        elif token.type == "fence" and token.map:
            _take_block(page, token, below + token.map[0] + 2)
    return page


def _enter(page: _Page, token: Token, heading: str) -> None:
    level = int(token.tag[1])
    if level <= 2:
        page.part, page.topic = heading if level == 2 else "", ""
    elif level == 3:
        page.topic = heading
    page.prose = ""


def _take_block(page: _Page, token: Token, line: int) -> None:
    words = token.info.split()
    if len(words) < 2 or words[0] not in ("yaml", "yml"):
        return
    if words[1] == "check":
        page.checks.append(_check(page, token.content, line))
    elif words[1] == "action":
        page.actions.append(_action(page, token.content, line))
    else:
        raise UnusableInput(
            f"line {line - 1}: unknown block {token.info!r}. Blocks are `yaml check` and `yaml action`."
        )
    page.prose = ""


def _check(page: _Page, text: str, line: int) -> CheckBlock:
    if page.part.lower() != "diagnosis":
        raise UnusableInput(f"line {line - 1}: a check stands under {page.part!r}. Move it under ## Diagnosis.")
    one = checked(text, CheckModel, line)
    title = page.prose.rstrip(":")
    return CheckBlock(title, one.read, one.args, one.expect, one.suggests, one.rules_out, one.fact, line)


def _action(page: _Page, text: str, line: int) -> ActionBlock:
    faults = [str(fault) for fault in Fault if fault not in (Fault.NONE, Fault.UNKNOWN)]
    if page.part.lower() != "mitigation" or page.topic not in faults:
        raise UnusableInput(
            f"line {line - 1}: an action stands under {page.part!r}, {page.topic!r}. Move it under a ### heading of "
            f"## Mitigation that is a fault: {', '.join(faults)}."
        )
    one = checked(text, ActionModel, line)
    success = one.success.model_dump(exclude_none=True)
    guards = tuple(guard.model_dump(exclude_none=True) for guard in one.guards)
    return ActionBlock(Fault(page.topic), one.action, one.args, success, guards, line)


def _sections(body: str, tokens: Sequence[Token]) -> tuple[list[Section], str]:
    """Sections down to `###` (named `Part / topic`), and the first `#` heading."""
    lines = body.split("\n")
    cuts = list(_headings(tokens))
    title = next((text for level, text, _, _ in cuts if level == 1), "")
    found: list[Section] = []
    part = ""
    before = "\n".join(lines[: cuts[0][2]]) if cuts else body
    if before.strip():
        found.append(Section(title, before.strip()))
    for n, (level, text, _, start) in enumerate(cuts):
        end = cuts[n + 1][2] if n + 1 < len(cuts) else len(lines)
        part = text if level <= 2 else part
        inside = "\n".join(lines[start:end]).strip()
        if inside:
            found.append(Section(text if level <= 2 or part == title else f"{part} / {text}", inside))
    return found, title


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[int, str, int, int]]:
    """(level, text, first line, line after) of the headings that part sections."""
    for n, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map and int(token.tag[1]) <= SECTION_LEVEL:
            yield int(token.tag[1]), tokens[n + 1].content.strip(), token.map[0], token.map[1]


def advice(book: Runbook, fault: Fault) -> str:
    """The prose under `### fault` of Mitigation: what a person is to do; "" where there is none."""
    wanted = f"mitigation / {fault}"
    return next((section.text for section in book.sections if section.heading.lower() == wanted), "")
