"""
F03, F04: several servers on one database share its runs, and none does what another's is.

The second server of a pair uses the first one's embedded store, and is the one that everything is done to.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pupload.client import Client
from tests import postgres
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

LEASE_SECONDS = 2.0

LONG_LEASE_SECONDS = 120.0
"""Where a test shows that nobody waits for its end."""

SOON = 40.0
"""Seconds within which a busy machine does anything small."""

HELD = flows.HOLD + "for n in $(seq 1 50); do echo line $n; done; echo $n-$word > $OUTPUT_OUT"


class OnPostgres(Server):
    """A server among those on one PostgreSQL database."""

    def __init__(self, folder: Path, database: str, **environment: str) -> None:
        super().__init__(
            folder,
            PUPLOAD_DATABASE_URL=database,
            PUPLOAD_GRACE_SECONDS="2",
            **{"PUPLOAD_LEASE_SECONDS": str(LEASE_SECONDS), **environment},
        )
        self.name = ""

    @property
    def instance(self) -> str:
        """The same for all on the database."""
        return self.name

    @property
    def id(self) -> str:
        """Who it is among them."""
        return (self.data / "controller").read_text().strip()


class Pair:
    """Two of them, and their database."""

    def __init__(self, folder: Path, database: str, **environment: str) -> None:
        self.database = database
        self.first = OnPostgres(folder / "first", database, **environment)
        self._folder = folder
        self._environment = environment
        self.second: OnPostgres

    async def start(self) -> None:
        """Both are ready."""
        await asyncio.to_thread(self.first.start)
        ((instance,),) = await self.say("SELECT value FROM meta WHERE key = 'instance'")
        keys = self.first.credentials
        self.second = OnPostgres(
            self._folder / "second",
            self.database,
            PUPLOAD_EMBEDDED_STORE="false",
            PUPLOAD_STORE_ENDPOINT=f"http://127.0.0.1:{self.first.store_port}",
            PUPLOAD_STORE_ACCESS_KEY=keys["access_key"],
            PUPLOAD_STORE_SECRET_KEY=keys["secret_key"],
            PUPLOAD_SECRET_KEY_FILE=str(self.first.data / "secret.key"),
            **self._environment,
        )
        self.first.name = self.second.name = str(instance)
        await asyncio.to_thread(self.second.start)

    async def say(self, sql: str, *values: object) -> list[Any]:
        """As an operator with a shell would."""
        connection = await asyncpg.connect(self.database)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def owner(self, run: Json) -> str:
        """The id of the controller that owns the run."""
        ((found,),) = await self.say("SELECT owner FROM runs WHERE id = $1", run["ID"])
        return str(found)

    async def until_owned_by(self, server: OnPostgres, run: Json) -> None:
        """Returns when that server has the run."""

        async def has() -> bool:
            return await self.owner(run) == server.id

        await postgres.wait_until(has, seconds=SOON)

    async def end(self) -> None:
        """Both are stopped; nothing is left, and nothing went wrong that nobody expected."""
        servers = [self.second, self.first] if self.first.name else [self.first]
        try:
            codes = [server.stop() for server in servers if server.process is not None]
            left = [server.left() for server in servers if server.name]
            logs = [server.stderr() for server in servers]
        finally:
            if self.first.name:
                self.first.remove_containers()
        assert codes == [0] * len(codes), logs
        assert not any(left), left
        for log in logs:
            assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
            for secret in (self.first.credentials["secret_key"], postgres.PASSWORD, "X-Amz-Signature", "token="):
                assert secret not in log


@pytest.fixture
async def pairs(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Pair]]]:
    """Makes a pair, by its settings; started."""
    made: list[Pair] = []

    async def make(**environment: str) -> Pair:
        pair = Pair(tmp_path / f"pair{len(made)}", await postgres.shared().new(), **environment)
        made.append(pair)
        await pair.start()
        return pair

    yield make
    for pair in made:
        await pair.end()


pytestmark = [pytest.mark.system, pytest.mark.engine]


def held(count: int = 1) -> Json:
    """Nodes without inputs, each held until it is let go."""
    nodes = [flows.a_node(f"n{n}", "held", outputs={"out": f"e{n}"}) for n in range(count)]
    return flows.an_order(nodes, [flows.a_script("held", HELD)])


async def all_held(client: Client, run: Json) -> None:
    await asyncio.gather(*(flows.until_line(client, run, "held", node=node) for node in run["NodeState"]))


@asynccontextmanager
async def clients(pair: Pair) -> AsyncIterator[tuple[Client, Client]]:
    async with pair.first.client() as one, pair.second.client() as two:
        yield one, two


def ids(server: Server, run: Json) -> dict[str, str]:
    """The engine's ids of the run's containers, by node, and when each was started."""
    return {
        each["Config"]["Labels"]["pupload.node"]: each["Id"] + each["State"]["StartedAt"]
        for each in server.containers(run=run["ID"])
    }


async def came_to_the_same(run: Json, *servers: Client) -> None:
    """All tell the same end: complete, every node started once, every line there once."""
    told = []
    for client in servers:
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert {state["Attempt"] for state in done["NodeState"].values()} == {1}
        entries = [(event.kind, event.data["Data"].get("Node")) async for event in client.events(run["ID"])]
        for node in run["NodeState"]:
            assert entries.count(("node.started", node)) == 1
            assert entries.count(("node.succeeded", node)) == 1
            lines = await flows.said(client, run, node=node)
            assert lines == ["held", *(f"line {n}" for n in range(1, 51))]
        contents = await asyncio.gather(*(flows.get(done, edge) for edge in done["Artifacts"]))
        assert contents == [b"50-go\n"] * len(run["NodeState"])
        told.append((done["Status"], done["NodeState"], entries))
    assert all(one == told[0] for one in told)


async def test_f03_either_server_answers_for_every_run(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs()
    async with clients(pair) as (one, two):
        mine, theirs = await one.start(flows.copying()), await two.start(flows.copying())
        assert await pair.owner(mine) == pair.first.id
        assert await pair.owner(theirs) == pair.second.id
        for run, other in ((mine, two), (theirs, one)):
            seen = await other.status(run["ID"])
            assert seen["Status"] == "WAITING"
            assert await flows.put(seen, "there", b"given by another") == 200
            done = await other.wait(run["ID"])
            assert done["Status"] == "COMPLETE", done["Error"]
            assert await flows.get(done, "here") == b"given by another"
        run = await two.start(held())
        await all_held(one, run)
        assert (await one.cancel(run["ID"]))["Status"] in ("RUNNING", "STOPPED")
        assert (await one.wait(run["ID"]))["Status"] == "STOPPED"
        assert (await two.status(run["ID"]))["Status"] == "STOPPED"


async def test_f04_a_server_that_was_frozen_finds_its_runs_with_another(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs()
    async with clients(pair) as (one, two):
        run, waiting = await two.start(held(2)), await two.start(flows.copying())
        await all_held(two, run)
        before = ids(pair.first, run)
        assert pair.second.process is not None
        pid = pair.second.process.pid
        os.kill(pid, signal.SIGSTOP)
        await pair.until_owned_by(pair.first, run)
        await flows.let_go(pair.second, run, "n0")
        await flows.until_event(one, run, "node.succeeded")
        assert ids(pair.first, run).items() <= before.items()
        os.kill(pid, signal.SIGCONT)
        await flows.let_go(pair.second, run, "n1")  # while both look at it
        await came_to_the_same(run, one, two)
        assert await flows.put(waiting, "there", b"as ever") == 200
        assert (await two.wait(waiting["ID"]))["Status"] == "COMPLETE"
        assert await pair.owner(waiting) == pair.first.id
        again = await flows.finish(two, flows.one("true"))
        assert again["Status"] == "COMPLETE", "it goes on with new ones"


async def test_what_a_killed_server_had_another_finishes(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs()
    async with clients(pair) as (one, two):
        run = await two.start(held(3))
        await all_held(two, run)
        before = ids(pair.first, run)
        pair.second.kill()
        await flows.let_go(pair.second, run, "n0")  # ends while nobody looks
        await pair.until_owned_by(pair.first, run)
        assert ids(pair.first, run).items() <= before.items()
        for node in ("n1", "n2"):
            await flows.let_go(pair.second, run, node)
        await came_to_the_same(run, one)
        await asyncio.to_thread(pair.second.start)
        await came_to_the_same(run, two)


async def test_a_server_that_is_stopped_hands_over_at_once(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs(PUPLOAD_LEASE_SECONDS=f"{LONG_LEASE_SECONDS}")
    async with clients(pair) as (one, two):
        run = await two.start(held(2))
        await all_held(two, run)
        before = ids(pair.first, run)
        assert await asyncio.to_thread(pair.second.stop) == 0
        await pair.until_owned_by(pair.first, run)
        assert ids(pair.first, run) == before
        for node in run["NodeState"]:
            await flows.let_go(pair.second, run, node)
        await came_to_the_same(run, one)


async def test_a_server_that_comes_back_finds_its_own_runs_at_once(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs(PUPLOAD_LEASE_SECONDS=f"{LONG_LEASE_SECONDS}")
    async with clients(pair) as (one, two):
        run = await two.start(held())
        await all_held(two, run)
        pair.second.kill()
        await asyncio.to_thread(pair.second.start)
        assert await pair.owner(run) == pair.second.id
        await flows.let_go(pair.second, run, "n0")
        await came_to_the_same(run, one, two)


async def test_servers_on_one_engine_share_its_room(pairs: Callable[..., Awaitable[Pair]]) -> None:
    pair = await pairs(PUPLOAD_MAX_ATTEMPTS_AT_ONCE="2")
    async with clients(pair) as (one, two):
        runs = [await client.start(held()) for client in (one, two, one, two, one)]
        most = 0

        async def one_more_goes() -> bool:
            nonlocal most
            running = [each for each in pair.first.containers() if each["State"]["Running"]]
            most = max(most, len(running))
            # The first waits until another runs beside it: let go at once, one might be over before the next begins.
            for each in running if most > 1 else ():
                labels = each["Config"]["Labels"]
                attempt = f"{labels['pupload.run']}.{labels['pupload.node']}.1"
                gates = [server.data / "attempts" / attempt / "out" / "gate" for server in (pair.first, pair.second)]
                if any(gate.exists() for gate in gates):
                    server = pair.first if gates[0].exists() else pair.second
                    run = next(run for run in runs if run["ID"] == labels["pupload.run"])
                    await flows.let_go(server, run, labels["pupload.node"])
            return all([(await one.status(run["ID"]))["Status"] == "COMPLETE" for run in runs])

        await postgres.wait_until(one_more_goes, seconds=120)
        assert most == 2
        for run in runs:
            await came_to_the_same(run, one, two)


async def test_f03_servers_that_keep_objects_in_different_places_do_not_come_together(
    pairs: Callable[..., Awaitable[Pair]], tmp_path: Path
) -> None:
    pair = await pairs()
    key_file = str(pair.first.data / "secret.key")
    third = OnPostgres(tmp_path / "third", pair.database, PUPLOAD_SECRET_KEY_FILE=key_file)
    process = third.launch()
    assert await asyncio.to_thread(third.ready_line, process) == ""
    assert await asyncio.to_thread(process.wait, 60) != 0
    assert process.stdout is not None
    process.stdout.close()
    assert f"127.0.0.1:{pair.first.store_port}/pupload" in third.stderr()
    assert "Traceback" not in third.stderr()
    async with clients(pair) as (one, two):
        for client in (one, two):
            assert (await flows.finish(client, flows.one("true")))["Status"] == "COMPLETE"
