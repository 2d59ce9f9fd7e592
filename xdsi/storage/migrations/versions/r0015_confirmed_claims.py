"""How many submissions of a document are known to be registered, and when the newest came."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("document", sa.Column("confirmed", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("document", sa.Column("claimed", exact, server_default="", nullable=False))
    # What is there has been acknowledged long ago, or taken back.
    document = sa.table("document", sa.column("confirmed"), sa.column("claims"))
    op.execute(document.update().values(confirmed=document.c.claims))
    open_ones = sa.text("claims > confirmed")
    op.create_index("ix_document_claimed", "document", ["claimed"], sqlite_where=open_ones, postgresql_where=open_ones)
