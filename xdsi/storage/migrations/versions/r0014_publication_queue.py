"""The queue of studies to be published, and what is known of the archive."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "publication_job",
        sa.Column("study_instance_uid", exact, nullable=False),
        sa.Column("state", exact, nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("origin", exact, nullable=False),
        sa.Column("reason", exact, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_publication_job"),
    )
    op.create_index("ix_publication_job_due", "publication_job", ["state", "due"])
    op.create_table(
        "archive_study",
        sa.Column("study_instance_uid", exact, nullable=False),
        sa.Column("state", exact, nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_archive_study"),
    )
    op.create_table(
        "archive_cursor",
        sa.Column("archive", exact, nullable=False),
        sa.Column("cursor", exact, nullable=False),
        sa.PrimaryKeyConstraint("archive", name="pk_archive_cursor"),
    )
    op.create_table(
        "study_accession",
        sa.Column("accession", exact, nullable=False),
        sa.Column("study_instance_uid", exact, nullable=False),
        sa.PrimaryKeyConstraint("accession", "study_instance_uid", name="pk_study_accession"),
    )
    op.create_table(
        "final_report",
        sa.Column("reference", exact, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name="pk_final_report"),
    )
