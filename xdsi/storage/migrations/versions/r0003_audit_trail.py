"""The audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_chain_head",
        sa.Column("chain", exact, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("time", sa.String(length=27), nullable=False),
        sa.Column("linked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("closed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_audit_chain_head")),
    )
    op.create_table(
        "audit_record",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("chain", exact, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.String(length=27), nullable=False),
        sa.Column("trace", exact, server_default="", nullable=False),
        sa.Column("transaction", exact, nullable=False),
        sa.Column("patient", exact, server_default="", nullable=False),
        sa.Column("user_id", exact, server_default="", nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("direction", exact, nullable=False),
        sa.Column("peer", exact, server_default="", nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("forwarded_at", sa.String(length=27), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_record")),
        sa.UniqueConstraint("chain", "sequence", name=op.f("uq_audit_record_chain_sequence")),
    )
    op.create_index(
        "ix_audit_record_digest",
        "audit_record",
        ["digest"],
        unique=False,
        sqlite_where=sa.text("digest IS NOT NULL"),
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    op.create_index("ix_audit_record_patient_time", "audit_record", ["patient", "time"], unique=False)
    op.create_index(
        "ix_audit_record_pending",
        "audit_record",
        ["id"],
        unique=False,
        sqlite_where=sa.text("forwarded_at IS NULL AND direction = 'sent'"),
        postgresql_where=sa.text("forwarded_at IS NULL AND direction = 'sent'"),
    )
    op.create_index("ix_audit_record_time", "audit_record", ["time"], unique=False)
    op.create_index("ix_audit_record_trace", "audit_record", ["trace"], unique=False)
    op.create_index("ix_audit_record_user_id_time", "audit_record", ["user_id", "time"], unique=False)
