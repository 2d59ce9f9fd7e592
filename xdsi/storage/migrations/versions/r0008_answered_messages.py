"""What messages were answered, to answer them the same when they come again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "answered_message",
        sa.Column("sender", exact, nullable=False),
        sa.Column("message_id", exact, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("trace", exact, nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "message_id", "digest", name="pk_answered_message"),
    )
    op.create_index("ix_answered_message_at", "answered_message", ["at"])
