"""What runs leave behind for later ones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "known_facts",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("place", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("account_id", sa.BigInteger),
        sa.Column("run_id", TEXT, sa.ForeignKey("runs.id", ondelete="CASCADE")),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("access_count", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_index("known_facts_by_place", "known_facts", ["place", "key"], unique=True)
    op.create_index("known_facts_of_account", "known_facts", ["account_id", "updated_at", "id"])
    of_runs = sa.text("run_id IS NOT NULL")
    op.create_index("known_facts_of_run", "known_facts", ["run_id"], sqlite_where=of_runs, postgresql_where=of_runs)
