"""Assertions that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "assertion_use",
        sa.Column("issuer", exact, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("until", exact, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "id", name=op.f("pk_assertion_use")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_assertion_use_until"), "assertion_use", ["until"], unique=False)
