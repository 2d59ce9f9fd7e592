"""Copies of documents in a store that has no journal of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "copy_in_doubt",
        sa.Column("copy", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("copy", name="pk_copy_in_doubt"),
    )
    op.create_index("ix_copy_in_doubt_since", "copy_in_doubt", ["since"])
