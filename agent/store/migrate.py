"""Bringing the tables up to date. Alembic is imported only when there is something to do: it costs a tenth of a second."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x57A7C4  # of ours among PostgreSQL's advisory locks


def head() -> str:
    """The newest revision: files are named `NNNN_what.py` and the number is the revision."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def outdated(connection: Connection) -> bool:
    return _revision(connection) != head()


def up(connection: Connection) -> None:
    """Run the migrations that are missing, in the transaction at hand, under a lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK})
    _upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
