"""Runs that are not remembered as episodes any more."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "forgotten_runs",
        sa.Column("run_id", TEXT, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    )
