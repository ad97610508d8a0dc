"""Alembic's entry. It runs on the connection it is handed, never on one of its own."""

from __future__ import annotations

from alembic import context

from agent.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
