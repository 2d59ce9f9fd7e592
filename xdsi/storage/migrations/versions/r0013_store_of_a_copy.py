"""In which store a copy in doubt lies: during a move there are two."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("copy_in_doubt", sa.Column("store", exact, server_default="", nullable=False))
