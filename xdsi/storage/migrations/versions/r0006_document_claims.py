"""How many submissions published a document."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("document", sa.Column("claims", sa.Integer(), server_default=sa.text("1"), nullable=False))
