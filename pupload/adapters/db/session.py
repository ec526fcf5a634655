"""
What the jobs that read and write ask of a database, whichever it is.

A job is a plain function of a session: the same one serves SQLite, in a thread, and PostgreSQL, in a greenlet. It may
run more than once, so it does nothing but read and write its session.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy

T = TypeVar("T")


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """The next row, None when there is none left."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """A transaction under way, of which a job knows neither beginning nor end."""

    def run(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> Rows:
        """Runs it."""

    def run_many(self, statement: sqlalchemy.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs it once per row of values, now or when somebody reads what it wrote."""

    def walk(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> Iterator[Any]:
        """The rows one by one, for whoever will not read all of them."""


class Writer(Protocol):
    """The writing end."""

    async def do(self, job: Callable[[Session], T], *, run_id: str = "") -> T:
        """
        What `job` returns, once all it wrote is durable; when it raises, nothing of it is.

        Raises `errors.DatabaseUnavailable`, `errors.DiskFull`, `errors.Damaged` beside the job's own.
        """


class Readers(Protocol):
    """The reading end."""

    async def do(self, job: Callable[[Session], T]) -> T:
        """What `job` returns; all it reads is one moment of the database. Raises as `Writer.do` does."""
