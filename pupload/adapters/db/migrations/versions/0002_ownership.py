"""Who owns a run: controllers, their leases, fencing tokens and letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("runs", sa.Column("owner", TEXT, nullable=False, server_default=""))
    op.add_column("runs", sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("closed_at", sa.BigInteger))
    op.execute("UPDATE runs SET closed_at = finished_at")  # what is over by now holds nothing any more
    unclosed = sa.text("closed_at IS NULL")
    op.create_index("runs_unclosed", "runs", ["owner", "created_at"], sqlite_where=unclosed, postgresql_where=unclosed)
    op.create_table(
        "controllers",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("engine", TEXT, nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("claim", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("run_id", TEXT, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("letters_by_run", "letters", ["run_id", "id"])
