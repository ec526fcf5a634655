"""Drawings, and the numbers that their nodes and edges are given."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sequences",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "drawings",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("slug", TEXT, nullable=False),
        sa.Column("public", sa.Integer, nullable=False),
        sa.Column("is_default", sa.Integer, nullable=False),
        sa.Column("nodes", sa.Integer, nullable=False),
        sa.Column("edges", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "drawings_by_slug", "drawings", ["slug", "account_id"], unique=True, sqlite_where=there, postgresql_where=there
    )
    op.create_index("drawings_of_account", "drawings", ["account_id", "id"], sqlite_where=there, postgresql_where=there)
