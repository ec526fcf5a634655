"""When runs of saved flows are to be started."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("flow_id", TEXT, nullable=False),
        sa.Column("enabled", sa.Integer, nullable=False),
        sa.Column("look_at", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("schedules_by_flow", "schedules", ["flow_id", "id"])
    there = sa.text("look_at IS NOT NULL")
    op.create_index("schedules_due", "schedules", ["look_at"], sqlite_where=there, postgresql_where=there)
