"""A database for the exporters to report on."""

from __future__ import annotations

from tests.postgres_server import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
