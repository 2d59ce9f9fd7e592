"""Alembic revisions of the schema; `database.upgrade` applies them."""
