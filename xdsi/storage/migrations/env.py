"""Run by Alembic: applies revisions on the connection that `database.upgrade` gives."""

from __future__ import annotations

from alembic import context

from xdsi.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
