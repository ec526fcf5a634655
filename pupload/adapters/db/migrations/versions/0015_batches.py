"""Batches of runs that are planned together, and their tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("account_id", sa.BigInteger),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("batches_of_account", "batches", ["account_id", "created_at", "id"])
    op.create_table(
        "tasks",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("batch_id", TEXT, sa.ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
        sa.Column("account_id", sa.BigInteger),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("run_id", TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("tasks_of_batch", "tasks", ["batch_id", "created_at", "id"])
    op.create_index("tasks_of_account", "tasks", ["account_id", "created_at", "id"])
    linked = sa.text("run_id IS NOT NULL")
    op.create_index("tasks_of_run", "tasks", ["run_id"], sqlite_where=linked, postgresql_where=linked)
