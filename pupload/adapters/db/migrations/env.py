"""What Alembic runs: the steps, on the connection it was given, in one transaction."""

from alembic import context

from pupload.adapters.db import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    transactional_ddl=True,  # SQLite can, when nobody commits behind its back
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
