"""A hash of each document that costs less than SHA-256 when it leaves."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("document", sa.Column("blake3", sa.String(64), nullable=False, server_default=""))
