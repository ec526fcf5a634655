"""
Plays a schedule: a scenario, its faults, and the checker's verdict.

    played = play(1234)
    print(describe(played.broken))
"""

import asyncio
import hmac
import logging
import math
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from pupload import errors, ports
from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.memory.inspector import MemoryInspector
from pupload.domain import nodedef, replaying
from pupload.domain.run import Run
from pupload.domain.tiers import Capacity
from pupload.domain.validation.limits import Limits as ValidationLimits
from pupload.engine import engine as engines
from pupload.engine.admission import Room
from pupload.engine.orders import Limits
from pupload.service.presenting import Presenter
from pupload.service.runs import Runs, Terms
from pupload.service.spooling import Spool
from pupload.service.uploads import Signed, Uploads
from pupload.service.views import Order, RunView
from tests.checker import SIGNED, Checker, Results, Violation, compare, results
from tests.simulation import faults, queueing, remembering, scenario
from tests.simulation.loop import Process, Stuck
from tests.simulation.world import World, clear, picture_or_text

T = TypeVar("T")

LIMITS = Limits(user="65534:65534", cpus=4, pids=64, tmp_bytes=1 << 20, log_bytes=1 << 16, grace_seconds=10)
ROOM = Room(cpus=math.inf, memory_bytes=scenario.MEMORY_BYTES, gpus={}, attempts=3)
CAPACITY = Capacity(cpus=64, memory_bytes=scenario.MEMORY_BYTES, storage_bytes=1 << 50)
TERMS = Terms(
    limits=ValidationLimits(capacity=CAPACITY), upload_seconds=1800.0, queue_seconds=86400.0, node_seconds=3600.0
)

AGAIN_SECONDS = 2.0
"""How soon a user asks again, and a supervisor starts a process again."""

GRACE_SECONDS = 1800.0
"""How long after the last run's end everything of it must be gone."""

TWO = 0.4
"""How many of the schedules are played with two controllers."""

LEASES, ONE_LEASE = (90.0, 240.0), 3600.0
"""Seconds: of two controllers, and of one that is alone."""

LONGEST = timedelta(days=4)
"""A run that has not ended by then never will."""

EXPECTED = ("are not told for now",)
"""What may be logged as an error though it is none of ours: a fault is told so."""

tests_dir = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


class ServerGone(Exception):
    """The server died, or is not there."""


class Server:
    """A controller: processes that follow each other."""

    def __init__(self, world: World, number: int, *, lease_seconds: float) -> None:
        self._world = world
        self.name = f"server {'ab'[number]}"
        self.root = world.root / ("attempts" if number == 0 else "attempts of the other")
        self._lease_seconds = lease_seconds
        self.process: Process | None = None
        self.engine: engines.Engine | None = None
        self._services: tuple[Runs, Uploads] | None = None
        self._gone: asyncio.Future[Any] = world.loop.create_future()
        self._up = False
        self._closing = False
        self.starts = 0

    async def start(self) -> None:
        """A new process, again and again until one stays up."""
        world = self._world
        while True:
            process = self.process = Process(f"{self.name} {self.starts}")
            world.processes.append(process)
            world.on_crash[process] = self._crashed
            self.starts += 1
            gone = self._gone = world.loop.create_future()
            engine = self.engine = process.context.run(self._assemble)
            world.slots.restarted(world.saved.values())
            begun = world.loop.create_task(engine.start(), context=process.context)
            done, _ = await asyncio.wait({begun, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone in done:
                return  # it was killed while it started; whoever killed it starts the next
            if begun.exception() is None:
                self._up = True
                world.trace(f"== {process.name} is up")
                return
            world.trace(f"== {process.name} could not start: {begun.exception()}")
            process.dead = True
            world.executor.died(process)
            await world.clock.sleep_until(world.clock.now() + timedelta(seconds=AGAIN_SECONDS))

    def _assemble(self) -> engines.Engine:
        world = self._world
        view = world.kept.as_controller("")
        real = engines.World(
            ownership=world.ownership(view),
            runs=world.runs(view),
            journal=world.journal(),
            feed=world.kept.feed,
            flows=world.kept.flows,
            saved=world.kept.saved,
            schedules=world.kept.schedules,
            calendar=CronCalendar(),
            secrets=world.secrets,
            stores=world.stores(),
            executor=world.engine(),
            teller=_Teller(),
            inspector=MemoryInspector(),
            clock=world.gate_clock(),
            ids=world.ids,
            outbox=world.outbox(),
            poster=world.poster(),
            memo=world.memo(),
        )
        config = engines.Config(
            attempts_root=self.root,
            secrets_root=world.root / "secrets",
            limits=LIMITS,
            room=ROOM,
            armed=world.armed,
            most_runs=world.most_runs,
            max_upload_bytes=1 << 20,
            me=ports.Controller(id=self.name, name=self.name, engine="simulated", store="simulated"),
            lease_seconds=self._lease_seconds,
            own_store=True,
        )
        engine = engines.Engine(real, config)
        presenter = Presenter(engine)
        runs = Runs(engine=engine, catalogue=_NoCatalogue(), presenter=presenter, terms=TERMS)
        spool = Spool(world.root / "incoming", tokens=world.ids.token)
        self._services = runs, Uploads(engine=engine, runs=runs, presenter=presenter, max_bytes=1 << 20, spool=spool)
        return engine

    def _crashed(self, crash: faults.Crash) -> None:
        process = self.process
        assert process is not None
        process.dead, self._up = True, False
        self._world.executor.died(process)
        if not self._gone.done():
            self._gone.set_result(None)
        self._world.loop.create_task(self._after(crash.down_seconds), context=Context())

    async def _after(self, seconds: float) -> None:
        await self._world.clock.sleep_until(self._world.clock.now() + timedelta(seconds=seconds))
        await self.start()

    async def restart(self, seconds: float) -> None:
        """SIGTERM; then a new process."""
        engine, process = self.engine, self.process
        if not self._up or engine is None or process is None or process.frozen:
            return
        self._up = False
        gone = self._gone
        closing = self._world.loop.create_task(engine.close(), context=process.context)
        await asyncio.wait({closing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if process.dead:
            return  # killed while it closed
        process.dead = True
        self._world.executor.died(process)
        gone.set_result(None)
        self._world.trace(f"== {process.name} closed")
        await self._after(seconds)

    async def ask(self, what: Callable[[Runs, Uploads], Awaitable[T]]) -> T:
        """A request. Raises `ServerGone`, and whatever the service raises."""
        if not self._up or self._services is None or self.process is None:
            raise ServerGone
        services = self._services

        async def answer() -> T:
            return await what(*services)

        gone = self._gone
        asked = self._world.loop.create_task(answer(), context=self.process.context)
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done() or asked.cancelled():
            raise ServerGone
        return asked.result()

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP, and after a while SIGCONT."""
        process, loop = self.process, self._world.loop
        if process is None or process.dead or process.frozen:
            return
        loop.freeze(process)
        await self._world.clock.sleep(seconds)
        self._world.trace(f"== {process.name} goes on")
        loop.thaw(process)

    @property
    def up(self) -> bool:
        """Whether it can be asked."""
        return self._up

    @property
    def idle(self) -> bool:
        """Whether it is up and does nothing for any attempt."""
        return self._up and self.engine is not None and not len(self.engine.attempts)


class Servers:
    """All of them; requests go to any."""

    def __init__(self, world: World, count: int, *, lease_seconds: float) -> None:
        self._world = world
        self._all = [Server(world, number, lease_seconds=lease_seconds) for number in range(count)]

    async def start(self) -> None:
        """All of them are started."""
        await asyncio.gather(*(server.start() for server in self._all))

    def any(self) -> Server:
        """One of them, by chance; one that is up, if there is one."""
        servers = [server for server in self._all if server.up] or self._all
        return servers[0] if len(servers) == 1 else self._world.chance.choice(servers)

    async def ask(self, what: Callable[[Runs, Uploads], Awaitable[T]]) -> T:
        """See `Server.ask`."""
        return await self.any().ask(what)

    @property
    def idle(self) -> bool:
        """Whether all are up and none does anything for any attempt."""
        return all(server.idle for server in self._all)

    @property
    def starts(self) -> int:
        """Processes beyond the first of each."""
        return sum(server.starts - 1 for server in self._all) + 1

    @property
    def roots(self) -> list[Path]:
        """Where the directories of attempts are."""
        return [server.root for server in self._all]


class _Teller:
    head_bytes = 64

    async def tell(self, head: bytes, *, size: int) -> str:
        return picture_or_text(head)

    async def tell_all(self, files: Sequence[tuple[bytes, int]]) -> Sequence[str]:
        return [picture_or_text(head) for head, _ in files]


class _NoCatalogue:
    async def find(self, uses: str) -> nodedef.NodeDef | None:
        return None

    async def all(self) -> Sequence[nodedef.NodeDef]:
        return ()


# ── Users ────────────────────────────────────────────────────────────────────────────────────────────────────────


class User:
    """Whoever wants one case's run, and does not give up."""

    def __init__(self, world: World, server: Servers, case: scenario.Case) -> None:
        self._world = world
        self._server = server
        self._case = case
        self.name = case.name
        self.run_id = ""
        self.resumed = ""

    async def play(self) -> None:
        """All that this user does."""
        await self._until(self._case.at)
        order = Order(
            flow=self._case.flow,
            definitions=self._case.definitions,
            priority=queueing.priority(self._world.seed, self.name),
        )
        started = await self._insist(lambda runs, _: runs.start(order, idempotency_key=self._case.name))
        assert started is not None
        self.run_id = started.run.id
        others = [self._put(put, self.run_id) for put in self._case.puts]
        if self._case.cancel is not None:
            others.append(self._cancel(self._case.cancel))
        await asyncio.gather(*others)
        if self._case.resumed:
            await self._resume()

    async def _until(self, at: float) -> None:
        wait = at - self._world.clock.monotonic()
        if wait > 0:
            await self._world.clock.sleep_until(self._world.clock.now() + timedelta(seconds=wait))

    async def _insist(self, what: Callable[[Runs, Uploads], Awaitable[T]]) -> T | None:
        """Asks until there is an answer; None when the answer is no."""
        while True:
            try:
                return await self._server.ask(what)
            except (ServerGone, errors.TryLater):
                await self._world.clock.sleep_until(self._world.clock.now() + timedelta(seconds=AGAIN_SECONDS))
            except errors.Invalid as error:
                raise AssertionError([str(finding) for finding in error.findings]) from error
            except errors.Refused:
                return None

    async def _put(self, put: scenario.Put, run_id: str) -> None:
        begun = self._case.at
        view = await self._insist(lambda runs, _: runs.status(run_id))
        assert view is not None
        waiting = next((one for one in view.waiting if one.edge == put.edge), None)
        if waiting is None:
            return
        await self._until(begun + put.at)
        if waiting.method == "POST":
            await self._post(put, run_id, waiting.url)
            return
        world = self._world
        while world.is_away("store"):
            await world.clock.sleep_until(world.clock.now() + timedelta(seconds=AGAIN_SECONDS))
        if world.saved[run_id].status.terminal:
            return  # what is put when all is over is for the retention to remove, which is not played here
        if put.parts and view.run.plan.edges[put.edge].upload_key:
            await world.store.begin_multipart(view.run.plan.edges[put.edge].upload_key)
        try:
            await world.store.use("PUT", waiting.url, put.data)
        except errors.ObjectForbidden:
            return  # the URL is too old
        world.trace(f"user put {put.edge} of {run_id}")
        if put.tells:
            await self._insist(lambda _, uploads: uploads.complete(run_id, put.edge))

    async def _post(self, put: scenario.Put, run_id: str, url: str) -> None:
        token = parse_qs(urlsplit(url).query)["token"][0]
        signature = hmac.new(scenario.SECRET.encode(), put.data, sha256).hexdigest()

        async def body() -> AsyncIterator[bytes]:
            yield put.data

        await self._insist(
            lambda _, uploads: uploads.receive(
                run_id, put.edge, body(), size=len(put.data), signed=Signed(plain=signature), token=token
            )
        )

    async def _cancel(self, cancel: scenario.Cancel) -> None:
        await self._until(self._case.at + cancel.at)
        await self._insist(lambda runs, _: runs.cancel(self.run_id, mode=cancel.mode))
        self._world.trace(f"user cancelled {self.run_id} ({cancel.mode})")

    async def _resume(self) -> None:
        world = self._world
        while not (self.run_id in world.saved and world.saved[self.run_id].status.terminal):
            await world.clock.sleep_until(world.clock.now() + timedelta(seconds=30))
            if world.clock.monotonic() > LONGEST.total_seconds():
                return
        try:
            view = await self._server.ask(lambda runs, _: self._again(runs))
        except (ServerGone, errors.PuploadError):
            return  # not asked again: there is no key by which a second asking were known as such
        self.resumed = view.run.id
        world.trace(f"user {'replayed' if self._case.replayed else 'resumed'} {self.run_id} as {self.resumed}")
        await asyncio.gather(*(self._put(put, self.resumed) for put in self._case.puts))

    def _again(self, runs: Runs) -> Awaitable[RunView]:
        if self._case.replayed:
            return runs.replay(self.run_id, replaying.Edits(from_nodes=(self._case.replayed,)))
        return runs.resume(self.run_id)


# ── A schedule ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Played:
    """How a schedule went."""

    seed: int
    faults: tuple[faults.Fault, ...]
    broken: list[Violation]
    chosen: tuple[int, ...] = ()
    """Which of the schedule's faults these are."""
    results: dict[str, Results] = field(default_factory=dict)
    """By the case's name."""
    calls: int = 0
    seconds: float = 0.0
    """Of virtual time, until the last run ended."""
    starts: int = 0
    servers: int = 1
    lease_seconds: float = 600.0
    same: bool = True


def play(seed: int, *, verbose: bool = False, only: Sequence[int] | None = None) -> Played:
    """
    Plays the schedule of the seed and judges it; `only`: with these of its faults.

    Where faults must not change what runs come to, it is played without any first, and compared.
    """
    chance = random.Random(f"scenario {seed}")
    drawn = scenario.draw(chance)
    calm = once(seed, drawn, ()) if drawn.same else _guessed(seed, drawn)
    if calm.broken:
        return calm if not verbose else once(seed, drawn, (), verbose=True)
    chance = random.Random(f"faults {seed}")
    all_of = faults.draw(chance, calls=calm.calls, seconds=min(calm.seconds, 600.0), same=drawn.same)
    chance = random.Random(f"servers {seed}")
    servers = 2 if chance.random() < TWO else 1
    lease_seconds = chance.choice(LEASES) if servers == 2 else ONE_LEASE
    if servers == 2:
        all_of += faults.draw_for_two(chance, seconds=min(calm.seconds, 600.0))
    chosen = tuple(range(len(all_of)) if only is None else only)
    plan = tuple(all_of[number] for number in chosen)
    played = once(seed, drawn, plan, verbose=verbose, servers=servers, lease_seconds=lease_seconds)
    played.chosen = chosen
    if drawn.same and not played.broken:
        for name, wanted in calm.results.items():
            played.broken += compare(name, played.results[name], wanted)
    return played


def _guessed(seed: int, drawn: scenario.Scenario) -> Played:
    """About how long the scenario takes, where nobody has to know it exactly."""
    nodes = sum(len(case.flow.nodes) for case in drawn.cases)
    return Played(seed=seed, faults=(), broken=[], calls=20 + 20 * nodes, seconds=120.0)


def shrunk(played: Played) -> Played:
    """The same schedule with as few faults as still break a promise."""
    best = played
    for number in played.chosen:
        again = play(played.seed, only=[one for one in best.chosen if one != number])
        if again.broken:
            best = again
    return best


def once(
    seed: int,
    drawn: scenario.Scenario,
    plan: tuple[faults.Fault, ...],
    *,
    verbose: bool = False,
    servers: int = 1,
    lease_seconds: float = 600.0,
) -> Played:
    """Plays the scenario with these faults, on so many servers."""
    root = Path(tempfile.mkdtemp(prefix="pupload-simulation-", dir=tests_dir))
    world = World(drawn, plan, seed=seed, root=root, verbose=verbose)
    played = Played(seed=seed, faults=plan, broken=world.broken, same=drawn.same)
    played.servers, played.lease_seconds = servers, lease_seconds
    world.alone = servers == 1
    with _heard(world) as heard:
        try:
            world.loop.run_until_complete(_live(world, plan, played, heard))
        except Stuck as error:
            world.report("I1", "", f"{error}; {_standing(world)}")
        finally:
            played.calls = world.calls
            world.buried = True
            world.loop.bury(world.processes)
            clear(root)
    return played


async def _live(world: World, plan: tuple[faults.Fault, ...], played: Played, heard: list[str]) -> None:
    for case in world.scenario.cases:
        for key, data in case.statics.items():
            await world.store.put_bytes(key, data, content_type="application/octet-stream")
    await world.secrets.put(scenario.KEY, scenario.KEY_VALUE, at=world.clock.now())
    server = Servers(world, played.servers, lease_seconds=played.lease_seconds)
    await server.start()
    users = [User(world, server, case) for case in world.scenario.cases]
    happening = [asyncio.ensure_future(_befall(world, server, fault)) for fault in plan]
    playing = [asyncio.ensure_future(user.play()) for user in users]
    await _until_over(world, playing, played)
    for task in playing:
        if task.done():
            task.result()
    await asyncio.gather(*happening)
    world.over = True
    await _quiet(world, server)
    played.starts = server.starts
    played.results = {user.name: results(world.saved[user.run_id]) for user in users if user.run_id}
    for root in server.roots[1:]:
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            world.report("I8", "", f"directory {path.name} is left with the other server")
    await _judge(world, plan, played, heard, expected=len(users) + sum(bool(user.resumed) for user in users))


async def _until_over(world: World, playing: Sequence["asyncio.Future[None]"], played: Played) -> None:
    """Returns when every user has what they wanted, every run is over and the last spell has passed."""
    start = world.clock.now()
    pause = 0.5
    while world.clock.monotonic() < LONGEST.total_seconds():
        over = all(task.done() for task in playing) and all(run.status.terminal for run in world.saved.values())
        if over and world.clock.monotonic() >= world.worst():
            played.seconds = world.clock.monotonic()
            return
        await world.clock.sleep_until(world.clock.now() + timedelta(seconds=pause))
        pause = min(pause * 1.2, 300.0)
    world.report("I1", "", f"not over after {world.clock.now() - start}: {_standing(world)}")


async def _quiet(world: World, server: Servers) -> None:
    """Lets what was begun come to its end, after the last fault."""
    await world.clock.sleep_until(world.clock.now() + timedelta(seconds=GRACE_SECONDS))
    for _ in range(100):
        if server.idle:
            return
        await world.clock.sleep_until(world.clock.now() + timedelta(seconds=60))
    world.report("I8", "", "attempts go on though every run is over")


async def _judge(
    world: World, plan: tuple[faults.Fault, ...], played: Played, heard: list[str], *, expected: int
) -> None:
    checker = Checker(
        runs=world.kept.runs,
        journal=world.kept.journal,
        stores=_OneStore(world.store),
        executor=world.executor,
        clock=world.clock,
        attempts_root=world.root / "attempts",
        outbox=world.kept.outbox,
        received={one.headers["webhook-id"] for one in world.receiver.posted},
        room={"memory_bytes": ROOM.memory_bytes, "attempts": ROOM.attempts},
        secrets=(scenario.SECRET, *scenario.KEY_VALUE.splitlines()),
        signed=SIGNED,
    )
    steady = not any(isinstance(fault, faults.Step) for fault in plan)
    world.broken += await checker.judge(ended=True, steady_clock=steady, said=world.said, output=heard)
    world.broken += remembering.false_hits(world.worked, world.saved)
    left = [path.name for path in (world.root / "secrets").glob("*")]
    if left:
        world.report("I8", "", "secrets are left that attempts were given", " ".join(left))
    resumed = any(case.resumed for case in world.scenario.cases)
    if len(world.saved) != expected and not (resumed and len(world.saved) >= expected):
        world.report("I2", "", f"there are {len(world.saved)} runs of {expected} that were asked for")
    for line in heard:
        if line.startswith("ERROR") and not any(known in line for known in EXPECTED):
            world.report("LOG", "", "something went wrong inside", f"{line[:300]} … {line[-700:]}")


async def _befall(world: World, server: Servers, fault: faults.Fault) -> None:
    """The faults that come at a time; those at a call are the world's."""
    if isinstance(fault, faults.Crash | faults.Lost | faults.Outage | faults.Flaky):
        return
    await world.clock.sleep_until(world.clock.now() + timedelta(seconds=fault.at))
    if world.over:
        return
    world.trace(f"** {fault}")
    match fault:
        case faults.Restart(down_seconds=seconds):
            await server.any().restart(seconds)
        case faults.Freeze(seconds=seconds):
            await server.any().freeze(seconds)
        case faults.Removed():
            alive = sorted(world.executor.alive | world.executor.armed, key=lambda ref: ref.id)
            if alive:
                world.executor.lose(world.chance.choice(alive))
        case faults.Deaf(seconds=seconds):
            world.deaf_until = world.clock.monotonic() + seconds
        case faults.Step(seconds=seconds):
            world.clock.step(seconds)


def _standing(world: World) -> str:
    def one(run: Run) -> str:
        nodes = ", ".join(f"{name} {node.status}" for name, node in sorted(run.nodes.items()))
        return f"{run.id} {run.status} ({nodes})"

    return "; ".join(one(run) for run in world.saved.values()) or "no run was ever saved"


class _OneStore:
    def __init__(self, store: ports.ObjectStore) -> None:
        self._store = store

    def default(self) -> ports.ObjectStore:
        return self._store

    def open(self, store: object) -> ports.ObjectStore:
        return self._store

    async def prepare(self, store: object) -> None: ...


class _Ear(logging.Handler):
    def __init__(self, world: World, lines: list[str]) -> None:
        super().__init__()
        self._world = world
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname} {record.getMessage()}"
        if record.exc_info and record.levelno >= logging.ERROR:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
        self._lines.append(line)
        self._world.trace(f"log  {line}")


@contextmanager
def _heard(world: World) -> Iterator[list[str]]:
    """What pupload logs meanwhile, and nobody else hears."""
    lines: list[str] = []
    log, ear = logging.getLogger("pupload"), _Ear(world, lines)
    level, spread = log.level, log.propagate
    log.addHandler(ear)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield lines
    finally:
        log.removeHandler(ear)
        log.setLevel(level)
        log.propagate = spread
