"""What a hospital published, and traces of exchanges."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "publication",
        sa.Column("number", key, autoincrement=True, nullable=False),
        sa.Column("study_instance_uid", exact, nullable=False),
        sa.Column("content", exact, nullable=False),
        sa.Column("state", exact, nullable=False),
        sa.Column("unique_id", exact, nullable=False),
        sa.Column("entry_uuid", exact, nullable=False),
        sa.Column("submission_set", exact, nullable=False),
        sa.Column("repository_unique_id", exact, nullable=False),
        sa.Column("patient", exact, nullable=False),
        sa.Column("source_patient", exact, nullable=False),
        sa.Column("replaces", exact, server_default="", nullable=False),
        sa.Column("at", exact, nullable=False),
        sa.Column("reason", exact, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_publication")),
    )
    op.create_index("ix_publication_study", "publication", ["study_instance_uid", "number"], unique=False)
    op.create_table(
        "trace",
        sa.Column("number", key, autoincrement=True, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("at", exact, nullable=False),
        sa.Column("record", exact, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_trace")),
    )
    op.create_index(op.f("ix_trace_id"), "trace", ["id"], unique=False)
