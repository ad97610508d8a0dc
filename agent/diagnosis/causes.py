"""The table of causes: which symptoms speak for which fault. It is data, in causes.yaml."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from agent.domain.cause import Fault
from tools.symptoms import Symptom

TABLE = Path(__file__).with_name("causes.yaml")
SUFFERING, TIMELY, ITS_OWN, FURTHER_DOWN = "suffering", "timely", "own", "below"


class Sign(BaseModel):
    """One symptom that speaks for a fault. `at` is whose fault it is: the symptom's own subject, or the one it accuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    reasons: tuple[str, ...] = ()
    state: Literal["high", "low"] | None = None
    dose: Literal["new"] | None = None
    weight: float = Field(gt=0, le=4)
    at: Literal["subject", "accused"] = "subject"
    needs: tuple[Literal["suffering", "timely", "own", "below"], ...] = ()

    def fits(self, symptom: Symptom) -> bool:
        if symptom.kind != self.kind or (self.reasons and symptom.reason not in self.reasons):
            return False
        if self.dose is not None and symptom.labels.get("dose") != self.dose:
            return False
        if self.state is not None and symptom.labels.get("state") != self.state:
            return False
        return self.at == "subject" or symptom.accuses is not None


class Entry(BaseModel):
    """A fault with the symptoms that speak for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Fault
    signs: tuple[Sign, ...] = Field(min_length=1)


@lru_cache(maxsize=1)
def table() -> tuple[Entry, ...]:
    """The entries of causes.yaml, in its order."""
    return tuple(Entry.model_validate(one) for one in yaml.safe_load(TABLE.read_text()))
