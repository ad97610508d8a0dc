"""Prompt files: Markdown with front matter; version and hash stand on every event that came from one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.domain.cause import Fault
from agent.errors import BadConfiguration

FAULTS = "{{ faults }}"  # in a prompt: the names of all faults


class _Front(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    version: int
    purpose: str
    inputs: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """`sha256` is of the whole file, with the faults filled in."""

    name: str
    version: int
    purpose: str
    inputs: str
    text: str
    sha256: str

    def to_json(self) -> dict[str, str | int]:
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


def load(folder: Path, name: str) -> Prompt:
    """The prompt of a name; BadConfiguration says which file is wrong and how."""
    path = folder / f"{name}.md"
    try:
        raw = path.read_text(encoding="utf-8").replace(FAULTS, " ".join(Fault))
        _, front, text = raw.split("---\n", 2)
        found = _Front.model_validate(yaml.safe_load(front))
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError, ValidationError) as error:
        raise BadConfiguration(
            f"{path}: not a prompt: {error}. It needs front matter with name, version, purpose and inputs, then the text."
        ) from None
    return Prompt(
        found.name, found.version, found.purpose, found.inputs, text.strip(), hashlib.sha256(raw.encode()).hexdigest()
    )
