"""Saved flows with their versions, and which of them a run is of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "saved_flows",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("namespace", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("words", TEXT, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("saved_flows_by_name", "saved_flows", ["namespace", "name"], unique=True)
    op.create_table(
        "saved_versions",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("flow_id", TEXT, sa.ForeignKey("saved_flows.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("about", sa.LargeBinary, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("saved_versions_by_flow", "saved_versions", ["flow_id", "number"], unique=True)
    op.add_column("runs", sa.Column("flow_id", TEXT))
    where = sa.text("flow_id IS NOT NULL")
    op.create_index(
        "runs_by_saved_flow",
        "runs",
        ["flow_id", "created_at", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )
