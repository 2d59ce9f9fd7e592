"""What feeds say of patients."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "patient_demographics",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("name", exact, nullable=False, server_default=""),
        sa.Column("birth_date", exact, nullable=False, server_default=""),
        sa.Column("sex", exact, nullable=False, server_default=""),
        sa.Column("source", exact, nullable=False, server_default=""),
        sa.Column("created", exact, nullable=False),
        sa.Column("updated", exact, nullable=False),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_patient_demographics_patient_key"),
        sa.PrimaryKeyConstraint("patient_key", name="pk_patient_demographics"),
    )


def downgrade() -> None:
    op.drop_table("patient_demographics")
