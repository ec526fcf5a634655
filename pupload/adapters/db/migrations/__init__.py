"""
The schema's history, one file per step in `versions/`, carried out by Alembic.

They run when a database is opened (`upgrade`), in one transaction: a step that fails leaves the database as it was.
A database that is up to date, as it is at all starts but one, does not cost what it takes to load Alembic.
"""

import threading
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection

from pupload import errors

_HERE = Path(__file__).parent
_NEWEST = max(path.stem for path in (_HERE / "versions").glob("[0-9]*.py")).partition("_")[0]
"""The revision of the last step: its file's name begins with it."""
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in a global."""


def upgrade(connection: Connection) -> None:
    """The schema is today's afterwards. Raises `errors.Misconfigured` when a newer pupload wrote the database."""
    if not _is_todays(connection):
        _upgrade(connection)


def _is_todays(connection: Connection) -> bool:
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return False
    found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalars().all()
    return [*found] == [_NEWEST]


def _upgrade(connection: Connection) -> None:
    import alembic.command  # noqa: PLC0415 - half a second, see above
    import alembic.config  # noqa: PLC0415
    import alembic.util  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        with _ONE_AT_A_TIME:
            alembic.command.upgrade(config, "head")
    except alembic.util.CommandError as error:
        raise errors.Misconfigured(
            reason=f"the database was written by another version of pupload ({error}): use that one, or a newer one"
        ) from error
