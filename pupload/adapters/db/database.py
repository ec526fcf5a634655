"""
The database of a server: opened, checked and closed here, used through its ports.

Where it is kept is its home: a file (`pupload.adapters.db.sqlite_home`) or a PostgreSQL server
(`pupload.adapters.db.postgres_home`). What is kept, and how it is asked for, is the same in both.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import sqlalchemy

from pupload import errors, ports
from pupload.adapters.db import schemes, session, sqlite, sqlite_home
from pupload.adapters.db.accounts import Accounts
from pupload.adapters.db.batches import Batches
from pupload.adapters.db.credentials import Credentials
from pupload.adapters.db.drawings import Drawings
from pupload.adapters.db.episodes import Episodes
from pupload.adapters.db.feed import Feed
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.journal import Journal
from pupload.adapters.db.knowledge import Knowledge
from pupload.adapters.db.me import Me
from pupload.adapters.db.memos import Memos
from pupload.adapters.db.namespaces import Namespaces
from pupload.adapters.db.outbox import Outbox
from pupload.adapters.db.ownership import Ownership
from pupload.adapters.db.projects import Projects
from pupload.adapters.db.runs import Runs
from pupload.adapters.db.saved import SavedFlows
from pupload.adapters.db.schedules import Schedules
from pupload.adapters.db.sealed import Seal
from pupload.adapters.db.secrets import Secrets
from pupload.adapters.db.threads import Threads

PATIENCE_SECONDS = 10.0
"""How long reads and writes wait for a database server that has gone away."""


class Home(Protocol):
    """Where a database is kept."""

    alone: bool
    """Whether it belongs to this process, so that no other controller can be there."""

    @property
    def instance(self) -> str:
        """See `Database.instance`."""

    @property
    def hub(self) -> Hub:
        """Wakes who waits for news."""

    @property
    def readers(self) -> session.Readers:
        """The reading end."""

    @property
    def writer(self) -> session.Writer:
        """The writing end."""

    async def close(self) -> None:
        """See `Database.close`."""

    async def check(self) -> Sequence[ports.ProbeLine]:
        """See `Database.check`."""


class Database:
    """`runs`, `journal`, `flows`, `secrets` and the other ports of state in one home."""

    def __init__(self, home: Home, sealer: ports.Sealer | None = None) -> None:
        """Use `open`."""
        self._home = home
        self.instance = home.instance
        """The name of this installation, made with the database: 16 letters and digits."""
        seal = Seal(sealer)
        me = Me()
        self.runs = Runs(home.writer, home.readers, me, seal)
        self.ownership = Ownership(home.writer, home.readers, home.hub, me, alone=home.alone)
        self.journal = Journal(home.writer, home.readers, home.hub)
        self.feed = Feed(home.writer, home.readers, home.hub)
        self.flows = Projects(home.writer, home.readers, seal)
        self.secrets = Secrets(home.writer, home.readers, seal)
        self.outbox = Outbox(home.writer, home.readers, seal)
        self.memo = Memos(home.writer, home.readers)
        self.saved = SavedFlows(home.writer, home.readers, seal)
        self.schedules = Schedules(home.writer, home.readers, seal)
        self.namespaces = Namespaces(home.writer, home.readers, seal)
        self.accounts = Accounts(home.writer, home.readers, seal)
        self.credentials = Credentials(home.writer, home.readers, seal)
        self.drawings = Drawings(home.writer, home.readers, seal)
        self.batches = Batches(home.writer, home.readers, seal)
        self.episodes = Episodes(home.writer, home.readers)
        self.knowledge = Knowledge(home.writer, home.readers, seal)
        self.threads = Threads(home.writer, home.readers, seal)

    @classmethod
    async def open(
        cls,
        where: str | Path,
        *,
        folder: Path | None = None,
        sealer: ports.Sealer | None = None,
        busy_seconds: float = sqlite.BUSY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Self:
        """
        The database at a path, a `sqlite:///` or a `postgresql://` URL; a file or tables are made when there are none.

        The file's folder, and `folder` with it, belong to this process until `close`; a PostgreSQL database others may
        have open, too. `busy_seconds` is for a file that somebody has locked, `patience_seconds` for a server
        that has gone away: then `errors.DatabaseUnavailable`. Without a `sealer` nothing is sealed, and there can be
        no secrets. Raises `errors.Misconfigured` when another process has the folder, the database is sealed with a
        key that is not there, or `where` is nothing we can open; `errors.Damaged` when the file is no sound database,
        `errors.DiskFull`, `errors.DatabaseUnavailable`.
        """
        home: Home
        if isinstance(where, str) and schemes.is_postgresql(where):
            from pupload.adapters.db import postgres_home  # noqa: PLC0415 - half a second that a file does not need

            home = await postgres_home.PostgresHome.open(where, folder=folder, patience_seconds=patience_seconds)
        else:
            home = await sqlite_home.SqliteHome.open(path_of(where), folder=folder, busy_seconds=busy_seconds)
        try:
            await home.writer.do(Seal(sealer).check)
        except BaseException:
            await home.close()
            raise
        return cls(home, sealer)

    async def close(self) -> None:
        """Returns when all that was asked for is written; what belonged to us is free for others then."""
        await self._home.close()

    async def check(self) -> Sequence[ports.ProbeLine]:
        """For `pup doctor`: every line ok, or what is wrong and how to mend it. Reads the whole of a file."""
        return await self._home.check()


async def check(where: str | Path) -> Sequence[ports.ProbeLine]:
    """As `Database.check`, of a database that a server may have open; changes nothing. Raises nothing."""
    if isinstance(where, str) and schemes.is_postgresql(where):
        from pupload.adapters.db import postgres_home  # noqa: PLC0415 - as above

        return await postgres_home.check(where)
    return await sqlite_home.check(path_of(where))


def path_of(where: str | Path) -> Path:
    """The file that a path or URL names. Raises `errors.Misconfigured` for what is no database we can use."""
    if isinstance(where, Path) or "://" not in where:
        return Path(where).absolute()
    try:
        url = sqlalchemy.make_url(where)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise errors.Misconfigured(reason="the database's URL cannot be read") from error
    if url.drivername != "sqlite" or not url.database:
        raise errors.Misconfigured(
            reason=f"{url.drivername} is no database this version can use: give postgresql://... or sqlite:///PATH"
        )
    return Path(url.database).absolute()
