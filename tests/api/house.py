"""
A whole server on the network's loopback: the real surfaces and service on adapters in memory.

    async with a_house(tmp_path) as house:
        async with house.client() as client: ...

Its time passes by itself, and presigned URLs lead to a small store over HTTP.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from argon2 import profiles

from pupload import errors
from pupload.adapters.folder.tree import FolderSource
from pupload.adapters.memory.containers import Outcome
from pupload.adapters.passwords.hasher import Argon2
from pupload.api.app import make_app
from pupload.api.flow.sourced import Interpreter
from pupload.api.web import SERVER
from pupload.assembling import Means, assemble
from pupload.client import Client
from pupload.domain.access import Role
from pupload.domain.nodedef import FlagDef, NodeDef, Port
from pupload.domain.sources import Kind, Source
from pupload.ports import ContainerOrder
from pupload.service.callers import Callers
from pupload.service.flows import Flows
from pupload.service.sources import Sources
from tests.bench import Bench, NoCatalogue, a_bench, copies
from tests.builders import a_definition

IMAGE = "pupload/resize:latest"

EXAMPLE: dict[str, Any] = {
    "Flow": {
        "Name": "image-resize",
        "Nodes": [
            {
                "ID": "resize-1",
                "Uses": "pupload/resize",
                "Inputs": [{"Name": "image", "Edge": "input-image"}],
                "Outputs": [{"Name": "resized", "Edge": "output-image"}],
                "Flags": [{"Name": "width", "Value": "800"}],
            }
        ],
    },
    "NodeDefs": [
        {
            "Publisher": "pupload",
            "Name": "resize",
            "Image": IMAGE,
            "Tier": "c-small",
            "MaxAttempts": 3,
        }
    ],
}
"""The contract's own example."""


class OneNode(NoCatalogue):
    """Knows one node type."""

    async def all(self) -> list[NodeDef]:
        return [a_definition("pupload/resize")]


SHOUT = "acme/shout:latest"


class Shouting(OneNode):
    """Knows another one, which takes a text and gives a text."""

    shout = NodeDef(
        publisher="acme",
        name="shout",
        image=SHOUT,
        inputs=(Port(name="text", types=("text/plain",), required=True),),
        outputs=(Port(name="loud", types=("text/plain",), required=True),),
        flags=(FlagDef(name="mark", default="!"),),
    )

    async def find(self, uses: str) -> NodeDef | None:
        return self.shout if uses == self.shout.uses else None

    async def all(self) -> list[NodeDef]:
        return [*await super().all(), self.shout]


def shout(order: ContainerOrder) -> Outcome:
    """What its image does."""
    text = next(order.inputs.iterdir()).read_text(encoding="utf-8")
    (order.outputs / "loud.txt").write_text(f"{text.upper()}!", encoding="utf-8")
    return Outcome(said=["it is loud"])


@dataclass
class House:
    """The server and what is behind it."""

    bench: Bench
    url: str
    http: ClientSession
    refused_puts: list[int] = field(default_factory=list)
    """Statuses with which the store answers the next PUTs, in place of taking them."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, the server ends its streams, as when it is told to end."""
    puts: list[str] = field(default_factory=list)
    """The targets of PUTs that were taken."""

    callers: Callers = field(init=False)
    tokens: dict[str, str] = field(default_factory=dict)
    """What opens each account that the test was given; its password is `NAME's password`."""

    async def let_in(self, roles: Mapping[str, str]) -> None:
        """Makes accounts of these names and roles, an administrator first: from then on everybody is asked."""
        (first, role), *others = roles.items()
        assert role == Role.ADMIN, "the first one is an administrator"
        self.tokens = {first: await self.callers.set_up(first, f"{first}'s password")}
        by = await self.callers.identify(self.tokens[first])
        for name, role in others:
            await self.callers.create(name, f"{name}'s password", role=Role(role), by=by)
            self.tokens[name] = (await self.callers.log_in(name, f"{name}'s password", address="127.0.0.1")).token

    def shown(self, name: str) -> dict[str, str]:
        """The header by which this account asks; none for nobody."""
        return {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}

    def client(self) -> Client:
        """A client that does not wait long."""
        return Client(self.url, pause_seconds=0.001)

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer."""
        async with self.http.request(method, self.url + path, **more) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()


@asynccontextmanager
async def a_house(
    root: Path,
    *,
    sources: Sequence[Source] = (),
    memoize: bool = False,
    accounts: Mapping[str, str] | None = None,
    shouts: bool = False,
    **app: Any,
) -> AsyncIterator[House]:
    """
    The server, listening, with sources that are looked at when somebody asks; `app` goes to `make_app`.

    Where it `shouts`, flows may use the node type `acme/shout`, which makes a text loud, without bringing it along.

    With `accounts`, roles by names, see `House.let_in`; without, whoever asks may do everything.
    """
    catalogue = Shouting() if shouts else OneNode()
    async with a_bench(root, memoize=memoize, catalogue=catalogue) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        bench.image(SHOUT, shout)
        passwords = Argon2(profiles.CHEAPEST)
        assert bench.world.accounts is not None
        callers = Callers(accounts=bench.world.accounts, passwords=passwords, clock=bench.clock, ids=bench.world.ids)

        def found_in(flows: Flows) -> Sources:
            readers = {Kind.FS: FolderSource()}
            return Sources(known=sources, readers=readers, meaning=Interpreter, flows=flows, clock=bench.clock)

        means = Means(
            catalogue=catalogue,
            callers=callers,
            sources=found_in,
            scratch=root / "tables",
            table_bytes=1 << 20,
            dry_run_seconds=1e6,
            backfill_dates=366,
        )
        services = assemble(bench.engine, bench.runs, bench.uploads, means)
        settings: dict[str, Any] = {"version": "1.2.3", "heartbeat_seconds": 0.05, **app}
        house = House(bench, "", ClientSession())
        house.callers = callers
        if accounts:
            await house.let_in(accounts)
        passing = asyncio.ensure_future(_time_passes(bench))
        made = make_app(services, **settings)
        house.closing = made[SERVER].closing
        server, store = TestServer(made), TestServer(_store(house))
        await server.start_server(auto_decompress=False, access_log=None)  # as app.make_runner does
        services.consequences.start()
        services.schedules.start()
        async with house.http, server, store:
            _lead_to(bench, f"http://{store.host}:{store.port}")
            house.url = f"http://{server.host}:{server.port}"
            try:
                yield house
            finally:
                await services.schedules.close()
                await passwords.close()
                passing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await passing


async def _time_passes(bench: Bench) -> None:
    while True:
        await bench.clock.run_for(0.25)
        await asyncio.sleep(0.001)


def _lead_to(bench: Bench, origin: str) -> None:
    """Lets the store's URLs lead to the network."""
    make = bench.store._url
    bench.store._url = lambda *given: f"{origin}/?u={quote(make(*given), safe='')}"  # type: ignore[method-assign]


def _store(house: House) -> web.Application:
    async def put(request: web.Request) -> web.Response:
        body = await request.read()
        if house.refused_puts:
            return web.Response(status=house.refused_puts.pop(0), text="<Error><Code>SlowDown</Code></Error>")
        etag = await _use("PUT", request.query["u"], body)
        house.puts.append(request.query["u"])
        return web.Response(headers={"ETag": etag.decode()})

    async def get(request: web.Request) -> web.Response:
        return web.Response(body=await _use("GET", request.query["u"]))

    async def _use(method: str, url: str, body: bytes = b"") -> bytes:
        try:
            return await house.bench.store.use(method, url, body)
        except errors.ObjectForbidden:
            text = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            raise web.HTTPForbidden(text=text) from None

    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.add_routes([web.put("/", put), web.get("/", get)])
    return app
