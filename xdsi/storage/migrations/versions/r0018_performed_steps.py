"""Performed procedure steps: which studies a modality works on."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "performed_step",
        sa.Column("uid", exact, nullable=False),
        sa.Column("study_instance_uid", exact, nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "study_instance_uid", name="pk_performed_step"),
    )
