"""
The schema's history, one file per step in `versions/`, carried out by Alembic.

They run when a database is opened (`upgrade`), in one transaction: a step that fails leaves the database as it was.
"""

import threading
from pathlib import Path

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import Connection

from pupload import errors

_HERE = Path(__file__).parent
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in a global."""


def upgrade(connection: Connection) -> None:
    """The schema is today's afterwards. Raises `errors.Misconfigured` when a newer pupload wrote the database."""
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
