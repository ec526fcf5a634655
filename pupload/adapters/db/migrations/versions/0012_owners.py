"""Whose each run, saved flow, schedule, secret and project is."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("account_id", sa.BigInteger))
    ended = ["account_id", "started_at", "status", "flow_id", "finished_at", "doomed_at"]
    _index("runs_by_account", ["account_id", "created_at", "id"], "account_id IS NOT NULL")
    _index("runs_of_account", ["account_id", "id"], "account_id IS NOT NULL")
    _index("runs_of_account_by_status", ["account_id", "status", "created_at", "id"], "account_id IS NOT NULL")
    _index("runs_ended_by_account", ended, "account_id IS NOT NULL AND finished_at IS NOT NULL AND doomed_at IS NULL")
    op.add_column("schedules", sa.Column("account_id", sa.BigInteger))
    op.create_index("schedules_by_account", "schedules", ["account_id", "id"])
    op.add_column("saved_flows", sa.Column("account_id", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("saved_flows", sa.Column("public", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("saved_flows_by_name", "saved_flows")
    op.create_index("saved_flows_by_name", "saved_flows", ["namespace", "name", "account_id"], unique=True)
    op.execute("ALTER TABLE secrets RENAME COLUMN name TO id")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "runs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
