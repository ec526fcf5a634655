"""
A whole pupload in memory: the real domain, engine and service on adapters that need no world.

    async with a_bench(tmp_path) as bench:
        bench.image("pupload/resize:latest", copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run)

Time is turned by hand, or by `until`, which turns it a little whenever nothing else happens.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pupload import ports
from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.memory import accounts, clock, containers, ids, inspector, objects, outbox, secrets, state
from pupload.adapters.memory.credentials import MemoryFetcher
from pupload.adapters.tables.reader import TableReader
from pupload.domain import flow, nodedef
from pupload.domain.run import Run
from pupload.domain.validation.limits import Limits as ValidationLimits
from pupload.engine.admission import Room
from pupload.engine.arming import Budget
from pupload.engine.contents import Contents
from pupload.engine.engine import Config, Engine, World
from pupload.engine.orders import Limits
from pupload.engine.revealing import Revealing
from pupload.service.presenting import Presenter
from pupload.service.runs import Runs, Terms
from pupload.service.spooling import Spool
from pupload.service.uploads import Uploads
from pupload.service.views import Order, RunView
from tests.builders import definitions_for

PNG = b"\x89PNG\r\n\x1a\n and so on"
TEXT = b"plain words"

STEPS = 20_000
"""How long `until` is patient: turns of the loop, each with a trip to a thread and back."""

LIMITS = Limits(user="65534:65534", cpus=4, pids=64, tmp_bytes=1 << 20, log_bytes=1 << 16, grace_seconds=10)
ROOM = Room(cpus=math.inf, memory_bytes=64 << 30, gpus={}, attempts=64)


class PlainTeller:
    """Tells pictures from text, which is all that tests in memory need."""

    head_bytes = 64

    async def tell(self, head: bytes, *, size: int) -> str:
        if not size:
            return "application/x-empty"
        if head.startswith(b"PAR1"):
            return "application/vnd.apache.parquet"
        return "image/png" if head.startswith(b"\x89PNG") else "text/plain"

    async def tell_all(self, files: Sequence[tuple[bytes, int]]) -> Sequence[str]:
        return [await self.tell(head, size=size) for head, size in files]


def plain_contents(root: Path) -> Contents:
    """Contents that know no more than that."""
    return Contents(
        teller=PlainTeller(),
        inspector=inspector.MemoryInspector(),
        scratch=root / "inspected",
        tokens=ids.SeededIds(1).token,
    )


class NoCatalogue:
    """Knows no node types."""

    async def find(self, uses: str) -> nodedef.NodeDef | None:
        return None

    async def all(self) -> Sequence[nodedef.NodeDef]:
        return ()


def copies(source: str, target: str, *, seconds: float = 0.0) -> containers.Script:
    """A node that copies its input to its output."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        found = next(path for path in order.inputs.iterdir() if path.name.startswith(source))
        (order.outputs / target).write_bytes(found.read_bytes())
        return containers.Outcome(seconds=seconds, said=[f"copied {source}"])

    return run


def ends(**fields: object) -> containers.Script:
    """A node that writes nothing and ends so."""
    outcome = containers.Outcome(**fields)  # type: ignore[arg-type]
    return lambda order: outcome


@dataclass
class Bench:
    """The parts, for tests to look at and to break."""

    world: World
    config: Config
    engine: Engine
    clock: clock.VirtualClock
    executor: containers.MemoryExecutor
    store: objects.Objects
    kept: state.State
    runs: Runs
    uploads: Uploads

    def image(self, reference: str, script: containers.Script) -> None:
        """The image is on the machine and does that."""
        self.executor.images[reference] = script

    async def start(self, this: flow.Flow, definitions: Sequence[nodedef.NodeDef] | None = None) -> Run:
        """A new run."""
        given = definitions_for(this) if definitions is None else tuple(definitions)
        return (await self.runs.start(Order(flow=this, definitions=given))).run

    async def view(self, run: Run) -> RunView:
        """The run as a caller sees it."""
        return await self.runs.status(run.id)

    async def upload(self, run: Run, edge: str, data: bytes) -> None:
        """Puts the bytes to the URL that the run gives out."""
        view = await self.view(run)
        url = next(waiting.url for waiting in view.waiting if waiting.edge == edge)
        await self.store.use("PUT", url, data)

    async def download(self, run: Run, edge: str) -> bytes:
        """Gets the artifact by its URL."""
        return await self.store.use("GET", (await self.view(run)).artifacts[edge].url)

    async def until(self, condition: Callable[[], bool], *, step: float = 0.01) -> None:
        """Lets things happen until the condition holds, turning the clock by `step` seconds at a time."""
        for _ in range(STEPS):
            if condition():
                return
            await self.clock.run_for(step)
            # Files are read and written in threads: a trip to one and back lets theirs come home.
            await asyncio.to_thread(int)
        raise AssertionError("it never came to be")

    async def ended(self, run: Run, *, step: float = 0.01) -> Run:
        """The run when it is over and nothing of it is left to do."""
        await self.until(lambda: run.id not in self.engine.driver.live and not len(self.engine.attempts), step=step)
        return await self.engine.driver.look(run.id)

    async def restarted(self) -> "Bench":
        """Another process on the same world: nothing is remembered but what was saved."""
        await self.engine.close()
        bench = assemble(self.world, self.config, self)
        await bench.engine.start()
        return bench


def assemble(world: World, config: Config, parts: "Bench | _Parts", catalogue: ports.Catalogue | None = None) -> Bench:
    """An engine and its services on the world, with these node types known by name."""
    engine = Engine(world, config)
    presenter = Presenter(engine)
    terms = Terms(limits=ValidationLimits(), upload_seconds=86400.0, queue_seconds=86400.0, node_seconds=3600.0)
    runs = Runs(engine=engine, catalogue=catalogue or NoCatalogue(), presenter=presenter, terms=terms)
    uploads = Uploads(
        engine=engine,
        runs=runs,
        presenter=presenter,
        max_bytes=config.max_upload_bytes,
        spool=Spool(config.attempts_root.parent / "incoming", tokens=world.ids.token),
    )
    return Bench(
        world=world,
        config=config,
        engine=engine,
        clock=parts.clock,
        executor=parts.executor,
        store=parts.store,
        kept=parts.kept,
        runs=runs,
        uploads=uploads,
    )


@dataclass
class _Parts:
    clock: clock.VirtualClock
    executor: containers.MemoryExecutor
    store: objects.Objects
    kept: state.State


@asynccontextmanager
async def a_bench(
    root: Path,
    *,
    limits: Limits = LIMITS,
    room: Room = ROOM,
    max_upload_bytes: int = 1 << 30,
    notifies: bool = True,
    seed: int = 1,
    lease_seconds: float = 1e6,
    armed: Budget = Budget(),  # noqa: B008 (a frozen value)
    memoize: bool = False,
    catalogue: ports.Catalogue | None = None,
) -> AsyncIterator[Bench]:
    """The whole, started; closed on the way out. A long lease needs few beats, when days pass."""
    # With one thread, work is done in the order in which it was begun: a trip there waits for all that went before.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    turned = clock.VirtualClock()
    kept = state.State(clock=turned)
    parts = _Parts(turned, containers.MemoryExecutor(clock=turned), objects.Objects(clock=turned), kept)
    parts.store.notifies = notifies
    world = World(
        runs=kept.runs,
        journal=kept.journal,
        feed=kept.feed,
        flows=kept.flows,
        saved=kept.saved,
        schedules=kept.schedules,
        namespaces=kept.namespaces,
        drawings=kept.drawings,
        calendar=CronCalendar(),
        secrets=Revealing(secrets.Secrets(), kept.credentials),
        credentials=kept.credentials,
        fetcher=MemoryFetcher(),
        stores=objects.ObjectStores(clock=turned, default=parts.store),
        executor=parts.executor,
        teller=PlainTeller(),
        inspector=inspector.MemoryInspector(),
        clock=turned,
        ids=ids.SeededIds(seed),
        outbox=kept.outbox,
        poster=outbox.MemoryPoster(),
        ownership=kept.ownership,
        memo=kept.memo if memoize else None,
        tables=TableReader(),
        accounts=accounts.Accounts(),
        threads=kept.threads,
        batches=kept.batches,
        knowledge=kept.knowledge,
        episodes=kept.episodes,
    )
    config = Config(
        attempts_root=root / "attempts",
        secrets_root=root / "secrets",
        limits=limits,
        room=room,
        max_upload_bytes=max_upload_bytes,
        lease_seconds=lease_seconds,
        armed=armed,
    )
    parts.executor.arms = armed.nodes > 0
    bench = assemble(world, config, parts, catalogue)
    await bench.engine.start()
    try:
        yield bench
    finally:
        await bench.engine.close()
