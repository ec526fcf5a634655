"""When something of a run is to be deleted, and what is gone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("runs", sa.Column("tidy_at", sa.BigInteger))
    op.add_column("runs", sa.Column("doomed_at", sa.BigInteger))
    op.create_index("runs_to_tidy", "runs", ["tidy_at"])
    op.add_column("artifacts", sa.Column("gone_at", sa.BigInteger))
