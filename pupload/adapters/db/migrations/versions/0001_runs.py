"""Runs, their journals and logs, and projects."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _of_a_run() -> sa.Column[str]:
    return sa.Column("run_id", TEXT, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, unique=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
    )
    op.create_index("runs_by_age", "runs", ["created_at", "id"])
    op.create_index("runs_by_status", "runs", ["status", "created_at", "id"])
    op.create_index("runs_by_flow", "runs", ["flow", "created_at", "id"])
    op.create_table(
        "plans",
        _of_a_run(),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "node_runs",
        _of_a_run(),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "node_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "artifacts",
        _of_a_run(),
        sa.Column("edge", TEXT, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "edge"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal",
        _of_a_run(),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_batches",
        _of_a_run(),
        sa.Column("last_cursor", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("node", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("last_number", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "last_cursor"),
    )
    op.create_index("log_batches_by_node", "log_batches", ["run_id", "node", "last_cursor"])
    op.create_table(
        "projects",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
    )
