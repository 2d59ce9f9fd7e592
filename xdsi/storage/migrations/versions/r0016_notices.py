"""What persons are to be told, and whether they were."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("recipient", exact, nullable=False),
        sa.Column("patient", exact, nullable=False),
        sa.Column("at", exact, nullable=False),
        sa.Column("content", exact, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", exact, server_default="", nullable=False),
        sa.Column("reason", exact, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index(op.f("ix_notice_patient"), "notice", ["patient"])
    waiting = sa.text("sent_at = ''")
    op.create_index("ix_notice_waiting", "notice", ["recipient", "id"], sqlite_where=waiting, postgresql_where=waiting)
