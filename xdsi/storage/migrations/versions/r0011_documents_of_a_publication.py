"""Which documents were submitted together to tell of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("publication", sa.Column("documents", exact, server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("publication", "documents")
