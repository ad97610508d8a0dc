"""Incidents of the wild as data: what a Kubernetes API shows at the time an alert fires, and what was the matter.

Even numbers are for development, odd ones are held out. The kinds of causes are spread over both.
"""

from __future__ import annotations

from tests.wild import (
    incidents_capacity,
    incidents_dependencies,
    incidents_images,
    incidents_quiet,
    incidents_releases,
)
from tests.wild.build import Document

BOOKS = (incidents_images, incidents_dependencies, incidents_capacity, incidents_releases, incidents_quiet)


def incidents() -> list[Document]:
    """All incidents in a fixed order, each with its `number` (from 1) and `name`."""
    told = [one for book in BOOKS for one in book.INCIDENTS]
    return [
        {"number": n, "name": f"{n:02d}-{one.__name__.replace('_', '-')}", **one()} for n, one in enumerate(told, 1)
    ]
