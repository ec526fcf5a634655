"""When something of a run is to be deleted, what is gone, and who shares objects with whom."""

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
    op.add_column("runs", sa.Column("family", TEXT))
    op.add_column("artifacts", sa.Column("gone_at", sa.BigInteger))
    op.create_index("runs_to_tidy", "runs", ["tidy_at"])
    for name, columns, condition in (
        ("runs_untidied", ["finished_at"], "tidy_at IS NULL AND finished_at IS NOT NULL"),
        ("runs_doomed", ["doomed_at"], "doomed_at IS NOT NULL"),
        ("runs_by_family", ["family"], "family IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "runs", columns, sqlite_where=where, postgresql_where=where)
