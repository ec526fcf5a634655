"""Which home a database's URL means. Known without loading what serves PostgreSQL: most servers need none of it."""

POSTGRESQL = ("postgresql", "postgres", "postgresql+asyncpg")


def is_postgresql(where: object) -> bool:
    """Whether it names a PostgreSQL database."""
    return isinstance(where, str) and where.partition("://")[0] in POSTGRESQL
