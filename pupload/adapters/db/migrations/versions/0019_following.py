"""Runs from which something follows, those on behalf of others, and what was said in threads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("runs", sa.Column("followed", sa.Integer))
    for name in ("parent_id", "parent_edge"):
        op.add_column("runs", sa.Column(name, TEXT))
    _index("runs_unsettled", ["id"], "followed IS NOT NULL AND finished_at IS NOT NULL")
    _index("runs_by_parent", ["parent_id", "id"], "parent_id IS NOT NULL")
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("key", TEXT, nullable=False, unique=True),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("flow", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_of_run", "messages", ["run_id", "id"])
    op.create_index("messages_of_thread", "messages", ["account_id", "flow", "at", "id"])


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "runs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
