"""Legal holds that were ended stay, so that their numbers are not given out again."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("hold", sa.Column("ended", exact, nullable=False, server_default=""))
