"""Legal holds, and when each document came."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("number", key, autoincrement=True, nullable=False),
        sa.Column("kind", exact, nullable=False),
        sa.Column("target", exact, nullable=False),
        sa.Column("patient_key", key),
        sa.Column("reason", exact, nullable=False),
        sa.Column("placed_by", exact, nullable=False),
        sa.Column("placed_at", exact, nullable=False),
        sa.Column("until", exact, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_hold"),
    )
    op.create_index("ix_hold_target", "hold", ["target"])
    op.create_index("ix_hold_patient_key", "hold", ["patient_key"])
    op.add_column("document", sa.Column("stored", exact, server_default="", nullable=False))
    # Of what is there nobody knows: it counts from now.
    document = sa.table("document", sa.column("stored"))
    op.execute(document.update().values(stored=datetime.now(UTC).isoformat(timespec="seconds")))
