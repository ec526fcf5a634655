"""Callbacks to deliver, and what became of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("run_id", TEXT, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("deliveries_by_run", "deliveries", ["run_id", "id"])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("deliveries_due", "deliveries", ["due_at"], sqlite_where=due, postgresql_where=due)
