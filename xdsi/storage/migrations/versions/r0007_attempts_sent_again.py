"""What is needed to send an attempt to publish again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("publication", sa.Column("series", exact, server_default="", nullable=False))
    op.add_column("publication", sa.Column("created", exact, server_default="", nullable=False))
    op.add_column("publication", sa.Column("confidentiality_codes", exact, server_default="[]", nullable=False))
