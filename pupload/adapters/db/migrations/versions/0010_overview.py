"""An index of what became of runs, by when they started."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("finished_at IS NOT NULL AND doomed_at IS NULL")
    op.create_index(
        "runs_ended",
        "runs",
        # The last two are the same in all of it, but without them it would not do without the rows.
        ["started_at", "status", "flow_id", "finished_at", "doomed_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
