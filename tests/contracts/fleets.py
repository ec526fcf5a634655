"""Several controllers on one database, as the suite of `ports.Ownership` needs them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy

from pupload import ports
from pupload.adapters.db import codec, sqlite
from pupload.adapters.db.database import Database
from pupload.adapters.db.sqlite_home import SqliteHome
from pupload.adapters.memory.state import State
from tests import postgres

LEASE_SECONDS = 600.0
"""Longer than a test: leases run out when a test says so."""


@dataclass
class Member:
    """A controller's ports."""

    id: str
    runs: ports.RunStore
    ownership: ports.Ownership

    def as_controller(self, *, engine: str = "engine", store: str = "store") -> ports.Controller:
        """What it says of itself."""
        return ports.Controller(id=self.id, name=f"host of {self.id}", engine=engine, store=store)

    async def sign_in(self, *, engine: str = "engine", store: str = "store") -> None:
        """With a lease that does not run out by itself."""
        who = self.as_controller(engine=engine, store=store)
        await self.ownership.sign_in(who, lease_seconds=LEASE_SECONDS)


@dataclass
class Fleet:
    """Controllers that share a database."""

    open_one: Callable[[str], Awaitable[Member]]
    expire: Callable[[str], Awaitable[None]]
    """The lease of this one runs out."""
    claims: Callable[[], Awaitable[dict[str, ports.Share]]]
    """Of all controllers with a live lease, at one moment."""
    members: dict[str, Member] = field(default_factory=dict)

    async def member(self, name: str) -> Member:
        """The controller of this id: a process of its own, not signed in."""
        if name not in self.members:
            self.members[name] = await self.open_one(name)
        return self.members[name]

    async def signed_in(self, *names: str) -> list[Member]:
        """These, signed in."""
        found = [await self.member(name) for name in names]
        for one in found:
            await one.sign_in()
        return found


@asynccontextmanager
async def _in_memory(folder: Path) -> AsyncIterator[Fleet]:
    state = State()

    async def open_one(name: str) -> Member:
        view = state.as_controller(name)
        return Member(name, view.runs, view.ownership)

    async def expire(name: str) -> None:
        if name in state.shelf.leases:
            state.shelf.leases[name].until = 0.0

    async def claims() -> dict[str, ports.Share]:
        now = state.shelf.seconds()
        return {name: lease.claim.share for name, lease in state.shelf.leases.items() if lease.until > now}

    yield Fleet(open_one, expire, claims)


_LIVE = sqlalchemy.text("SELECT id, claim FROM controllers WHERE expires_at > 1")
_END = sqlalchemy.text("UPDATE controllers SET expires_at = 1 WHERE id = :name")


@asynccontextmanager
async def _in_sqlite(folder: Path) -> AsyncIterator[Fleet]:
    """There are never several on a file; but the jobs are those of PostgreSQL, and quick to try here."""
    home = await SqliteHome.open(folder / "pupload.db", folder=None, busy_seconds=sqlite.BUSY_SECONDS)
    home.alone = False

    async def open_one(name: str) -> Member:
        database = Database(home)
        return Member(name, database.runs, database.ownership)

    async def expire(name: str) -> None:
        await home.writer.do(lambda session: session.run(_END, {"name": name}))

    async def claims() -> dict[str, ports.Share]:
        rows = await home.readers.do(lambda session: session.run(_LIVE, {}).fetchall())
        return {name: codec.CLAIM.decode(blob, "a claim").share for name, blob in rows}

    try:
        yield Fleet(open_one, expire, claims)
    finally:
        await home.close()


@asynccontextmanager
async def _on_a_server(folder: Path) -> AsyncIterator[Fleet]:
    server = postgres.shared()
    url = await server.emptied()
    await (await Database.open(url)).close()  # the tables are there now
    async with AsyncExitStack() as stack:

        async def open_one(name: str) -> Member:
            database = await Database.open(url)
            stack.push_async_callback(database.close)
            return Member(name, database.runs, database.ownership)

        async def expire(name: str) -> None:
            await server.say("UPDATE controllers SET expires_at = 1 WHERE id = $1", name, database="emptied")

        async def claims() -> dict[str, ports.Share]:
            rows = await server.say("SELECT id, claim FROM controllers WHERE expires_at > 1", database="emptied")
            return {name: codec.CLAIM.decode(blob, "a claim").share for name, blob in rows}

        yield Fleet(open_one, expire, claims)


KINDS = {"memory": _in_memory, "sqlite": _in_sqlite, "postgresql": _on_a_server}
