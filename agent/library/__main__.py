"""`python -m agent.library`: embed the shipped runbooks anew, after one of them or the model has changed."""

from __future__ import annotations

from agent.library.index import Library
from agent.settings import shipped

if __name__ == "__main__":
    print(Library.open((shipped("runbooks"),), None).ship(shipped("runbooks")))  # noqa: T201 (a command of ours)
