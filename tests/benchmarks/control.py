"""
The control plane measured by itself: no container engine, no network, the real domain, driver and database.

Every function is one measurement and returns plain numbers, so that `tests.benchmarks` can put them into its tables.
`python -m tests.benchmarks.control NAME...` prints them: what is measured again after a change.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.db.database import Database
from pupload.adapters.memory import containers, inspector, objects, outbox, state
from pupload.adapters.memory import ids as chance
from pupload.adapters.passwords.hasher import Argon2
from pupload.adapters.system.clock import SystemClock
from pupload.adapters.system.collector import Collector
from pupload.adapters.system.hands import TwoHands
from pupload.api.app import make_app
from pupload.api.flow import wire
from pupload.domain import artifact, commands, events, flow, planning, validation
from pupload.domain.decide import begin
from pupload.domain.run import Decision, Run
from pupload.engine.aside import aside
from pupload.engine.driver import Driver
from pupload.engine.engine import Config, Engine, World
from pupload.engine.tasks import ended as stopped
from pupload.ports import ContainerOrder, Controller, RunStore
from pupload.settings import Settings
from pupload.wiring import make_services
from tests.bench import LIMITS, ROOM, PlainTeller
from tests.builders import a_chain, a_flow, a_node, definitions_for

TRANSITIONS_OF_A_NODE = 4
"""Ready, admitted, started, succeeded: each an entry in the journal and a new state of the node."""


# ── Flows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def chain(nodes: int) -> flow.Flow:
    """Nodes one after the other; the first needs nothing, so that it starts at once."""
    first, *rest = a_chain(nodes)
    return a_flow(a_node(first.id, inputs={}, outputs={"resized": "e1"}), *rest)


def fan(nodes: int) -> flow.Flow:
    """Nodes that need nothing of each other, behind one."""
    rest = (a_node(f"n{i}", inputs={"image": "e0"}, outputs={"resized": f"e{i}"}) for i in range(1, nodes))
    return a_flow(a_node("n0", inputs={}, outputs={"resized": "e0"}), *rest)


def layers(nodes: int, *, wide: int = 100) -> flow.Flow:
    """Nodes in layers of `wide`, each after the one above it."""
    made = []
    for i in range(nodes):
        inputs = {"image": f"e{i - wide}"} if i >= wide else {}
        made.append(a_node(f"n{i}", inputs=inputs, outputs={"resized": f"e{i}"}))
    return a_flow(*made)


# ── An engine without containers ─────────────────────────────────────────────────────────────────────────────────


class Instant:
    """A driver whose attempts come to their end at once: admitted, started, succeeded, each a report of its own."""

    def __init__(self, runs: RunStore, *, me: str = "", told: bool = False) -> None:
        """With `told` the reports of an attempt are put into the mailbox together, else each waits for the last."""
        self.driver = Driver(runs=runs, clock=SystemClock(), ids=chance.SeededIds(1), me=me)
        self.driver.connect(self._act, lambda event: None)
        self.driver.start()
        self._told = told
        self._ids = chance.SeededIds(1)
        self._closed: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, this: flow.Flow) -> str:
        """A new run of it."""
        decision = self.begun(this)
        self._closed[decision.run.id] = asyncio.Event()
        await self.driver.begin(decision)
        return decision.run.id

    def begun(self, this: flow.Flow) -> Decision:
        """The first decision on a new run, not saved."""
        run_id, now = self._ids.new_run_id(), SystemClock().now()
        plan = planning.make_plan(this, definitions_for(this), run_id=run_id, now=now, tokens=self._ids.token)
        return begin(run_id, plan, now=now)

    async def ended(self, run_id: str) -> None:
        """Returns when the run is over, and saved so."""
        await self._closed[run_id].wait()

    async def close(self) -> None:
        await self.driver.close()

    def _act(self, run: Run, command: commands.Command) -> None:
        match command:
            case commands.CloseRun():
                self._closed[run.id].set()
            case commands.StartNode(node=node, attempt=number):
                reports: list[events.Report] = [
                    events.NodeAdmitted(node=node, attempt=number),
                    events.NodeStarted(node=node, attempt=number, image="sha256:0"),
                    events.NodeSucceeded(node=node, attempt=number, exit_code=0, artifacts=made_by(run, node, number)),
                ]
                if self._told:
                    for report in reports:
                        self.driver.tell(run.id, report)
                else:
                    task = asyncio.create_task(self._report(run.id, reports))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            case _:
                pass

    async def _report(self, run_id: str, reports: Sequence[events.Report]) -> None:
        for report in reports:
            await self.driver.report(run_id, report)


def made_by(run: Run, node: str, number: int) -> tuple[artifact.Artifact, ...]:
    """What the attempt is said to have made."""
    return tuple(
        artifact.Artifact(
            edge=port.edge,
            store="default",
            key=run.plan.edges[port.edge].key,
            size=1,
            content_type="text/plain",
            sha256="0" * 64,
            etag='"0"',
            created_at=run.created_at,
            node=node,
            attempt=number,
        )
        for port in run.plan.nodes[node].outputs
    )


# ── Measurements ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Spread:
    """Of many measurements of one thing, in milliseconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """At least two of them."""
        return cls(
            p50=round(median(seconds) * 1e3, 3),
            p99=round(quantiles(seconds, n=100, method="inclusive")[98] * 1e3, 3),
            most=round(max(seconds) * 1e3, 3),
        )


def validation_seconds(nodes: int, shape: Callable[[int], flow.Flow] = chain) -> float:
    """To judge a flow, which is found sound."""
    this = shape(nodes)
    given = definitions_for(this)
    with _collector_off():
        began = time.perf_counter()
        found = validation.validate(this, given)
        took = time.perf_counter() - began
    assert not any(finding.is_error for finding in found)
    return took


async def big_run(nodes: int, shape: Callable[[int], flow.Flow] = layers) -> dict[str, float]:
    """To judge, plan, begin and run a flow with the state in memory, to its end; bytes are of the whole process."""
    clock = time.process_time  # others may use the machine meanwhile
    collecting = asyncio.create_task(Collector().keep())  # as the server does
    await asyncio.sleep(0)
    before = rss()
    this = shape(nodes)
    began = clock()
    # Beside the loop, as `pupload.service.runs` has it done; its time is in that of the process.
    await aside(partial(validation.validate, this, definitions_for(this)), large=True)
    judged = clock()
    kept = state.State()
    engine = Instant(kept.runs, told=True)
    decision = await aside(partial(engine.begun, this), large=True)
    engine._closed[decision.run.id] = asyncio.Event()
    planned = clock()
    async with longest_turn() as turns:
        await engine.driver.begin(decision)
        await engine.ended(decision.run.id)
    ended = clock()
    peak = rss()
    await engine.close()
    await stopped(collecting)
    return {
        "nodes": nodes,
        "validate_seconds": round(judged - began, 3),
        "plan_seconds": round(planned - judged, 3),
        "run_seconds": round(ended - planned, 3),
        "seconds": round(ended - began, 3),
        "bytes_per_node": round((peak - before) / nodes),
        "longest_turn_ms": round(turns.most * 1e3, 1),
    }


async def transitions_per_second(
    where: str | Path, *, runs: int = 64, nodes: int = 40, told: bool = False
) -> dict[str, float]:
    """Durable transitions of nodes, in so many chains at once: every report is saved before the next is made."""
    database = await Database.open(where)
    engine = Instant(database.runs, told=told)
    this = chain(nodes)
    try:
        cpu, began = time.process_time(), time.perf_counter()
        ids = await asyncio.gather(*(engine.start(this) for _ in range(runs)))
        await asyncio.gather(*map(engine.ended, ids))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        await engine.close()
        await database.close()
    done = runs * nodes * TRANSITIONS_OF_A_NODE
    return {"per_second": round(done / took), "seconds": round(took, 3), "cpu_us": round(cpu / done * 1e6, 1)}


@asynccontextmanager
async def an_engine(where: str | Path, root: Path, script: containers.Script) -> AsyncIterator[Engine]:
    """The whole engine on a real database and clock; containers, which are this function, and the store in memory."""
    clock, hands = SystemClock(), TwoHands()
    database = await Database.open(where)
    world = World(
        runs=database.runs,
        journal=database.journal,
        feed=database.feed,
        flows=database.flows,
        saved=database.saved,
        schedules=database.schedules,
        calendar=CronCalendar(),
        secrets=database.secrets,
        stores=objects.ObjectStores(clock=clock, default=objects.Objects(clock=clock, hands=hands)),
        executor=containers.MemoryExecutor(clock=clock, images={"pupload/resize:latest": script}),
        teller=PlainTeller(),
        inspector=inspector.MemoryInspector(),
        clock=clock,
        ids=chance.SeededIds(1),
        outbox=database.outbox,
        poster=outbox.MemoryPoster(),
        ownership=database.ownership,
        hands=hands,
        accounts=database.accounts,
        namespaces=database.namespaces,
        credentials=database.credentials,
        threads=database.threads,
        batches=database.batches,
        knowledge=database.knowledge,
        episodes=database.episodes,
        drawings=database.drawings,
    )
    me = Controller(id="bench", name="bench", engine="memory", store="memory")
    room = replace(ROOM, memory_bytes=1 << 42)
    config = Config(attempts_root=root, limits=LIMITS, room=room, max_upload_bytes=1 << 30, me=me)
    engine = Engine(world, config)
    await engine.start()
    collecting = asyncio.create_task(Collector().keep())  # as the server does
    try:
        yield engine
    finally:
        await stopped(collecting)
        await engine.close()
        await hands.close()
        await database.close()


async def engine_transitions_per_second(
    where: str | Path, root: Path, *, runs: int = 64, nodes: int = 40
) -> dict[str, float]:
    """The same with the whole engine: directories, files, logs and a store in memory, containers that are functions."""
    this = chain(nodes)
    waiting: dict[str, asyncio.Event] = {}
    async with an_engine(where, root, _writes) as engine:
        carry_out = engine._carry_out

        def act(run: Run, command: commands.Command) -> None:
            carry_out(run, command)
            if isinstance(command, commands.CloseRun):
                waiting[run.id].set()

        engine.driver._act = act
        clock, ids = engine.world.clock, chance.SeededIds(2)
        decisions = []
        for _ in range(runs):
            run_id, now = ids.new_run_id(), clock.now()
            plan = planning.make_plan(this, definitions_for(this), run_id=run_id, now=now, tokens=ids.token)
            decisions.append(begin(run_id, plan, now=now))
            waiting[run_id] = asyncio.Event()
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(engine.driver.begin(decision) for decision in decisions))
        await asyncio.gather(*(one.wait() for one in waiting.values()))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    done = runs * nodes * TRANSITIONS_OF_A_NODE
    return {"per_second": round(done / took), "seconds": round(took, 3), "cpu_us": round(cpu / done * 1e6, 1)}


async def answers(where: str | Path, root: Path, *, posts: int = 100, gets: int = 300) -> dict[str, Spread]:
    """
    POST of a flow of 100 nodes, and GET of the status of one of which 50 containers run, through the HTTP server.

    The client is on the same event loop, so that its time is in it.
    """
    async with an_engine(where, root, _hangs) as engine, a_server(engine) as url, ClientSession() as http:
        order = wire.write_order(fan_behind_upload(100), definitions_for(fan(2)))
        took: dict[str, list[float]] = {"post": [], "get": [], "validate": []}
        for name, path, times in (("post", "test", posts), ("validate", "validate", posts)):
            body = json.dumps(order).encode()
            for _ in range(times):
                began = time.perf_counter()
                async with http.post(f"{url}/api/v1/flow/{path}", data=body, headers=_JSON) as answer:
                    await answer.read()
                    assert answer.status == 200, await answer.text()
                took[name].append(time.perf_counter() - began)
        order = wire.write_order(fan_at_once(50), definitions_for(fan(2)))
        async with http.post(f"{url}/api/v1/flow/test", json=order) as answer:
            run_id = (await answer.json())["ID"]
        with engine.world.journal.subscribe(run_id) as written:
            while not _all_execute(await engine.driver.look(run_id)):
                await written.wait()
        for _ in range(gets):
            began = time.perf_counter()
            async with http.get(f"{url}/api/v1/flow/status/{run_id}") as answer:
                await answer.read()
            took["get"].append(time.perf_counter() - began)
        return {name: Spread.of(all_) for name, all_ in took.items()}


def _all_execute(run: Run) -> bool:
    return all(node.last is not None and node.last.executing_at for node in run.nodes.values())


_JSON = {"Content-Type": "application/json"}


def fan_behind_upload(nodes: int) -> flow.Flow:
    """Nodes that all take one upload."""
    return a_flow(*(a_node(f"n{i}", inputs={"image": "e"}, outputs={"resized": f"e{i}"}) for i in range(nodes)))


def fan_at_once(nodes: int) -> flow.Flow:
    """Nodes that need nothing."""
    return a_flow(*(a_node(f"n{i}", inputs={}, outputs={"resized": f"e{i}"}) for i in range(nodes)))


@asynccontextmanager
async def a_server(engine: Engine) -> AsyncIterator[str]:
    """The HTTP server over the engine; its URL."""
    given: dict[str, Any] = {"data": engine.config.attempts_root.parent}
    passwords = Argon2()
    capacity = await engine.world.executor.capacity()
    services = make_services(engine, Settings(**given), dev=True, capacity=capacity, passwords=passwords)
    server = TestServer(make_app(services, version="0"))
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
        await passwords.close()


def _hangs(order: ContainerOrder) -> containers.Outcome:
    return containers.Outcome(hangs=True, said=[f"line {i} of some words that a node may say" for i in range(20)])


def _writes(order: ContainerOrder) -> containers.Outcome:
    # As little as can be: on a real engine it is another process that does it.
    file = os.open(f"{order.outputs}/resized", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(file, b"some words")
    os.close(file)
    return containers.Outcome()


async def latency_of_a_decision(where: str | Path, *, nodes: int = 300) -> dict[str, Spread]:
    """From a report to its being saved, when nothing else is written."""
    database = await Database.open(where)
    engine = Instant(database.runs)
    engine.driver.connect(lambda run, command: None, lambda event: None)
    try:
        run = await engine.driver.begin(engine.begun(chain(nodes)))
        took: dict[str, list[float]] = {"admitted": [], "started": [], "succeeded": []}
        for i in range(nodes - 1):
            node = f"n{i}"
            for name, report in (
                ("admitted", events.NodeAdmitted(node=node, attempt=1)),
                ("started", events.NodeStarted(node=node, attempt=1, image="sha256:0")),
                ("succeeded", events.NodeSucceeded(node=node, attempt=1, exit_code=0, artifacts=made_by(run, node, 1))),
            ):
                began = time.perf_counter()
                assert await engine.driver.report(run.id, report)
                took[name].append(time.perf_counter() - began)
        return {name: Spread.of(all_) for name, all_ in took.items()}
    finally:
        await engine.close()
        await database.close()


async def cancel_turn_ms(where: str | Path, nodes: int) -> float:
    """The longest that the event loop stands still when a run of so many waiting nodes is cancelled."""
    collecting = asyncio.create_task(Collector().keep())
    database = await Database.open(where)
    engine = Instant(database.runs)
    engine.driver.connect(lambda run, command: None, lambda event: None)
    run = await engine.driver.begin(engine.begun(fan(nodes)))
    async with longest_turn() as turns:
        await engine.driver.report(run.id, events.CancelRequested(mode="kill"))
        await asyncio.sleep(0.01)
    await engine.close()
    await database.close()
    await stopped(collecting)
    return round(turns.most * 1e3, 1)


# ── Tools ────────────────────────────────────────────────────────────────────────────────────────────────────────


class longest_turn:  # noqa: N801 (a context manager that reads like a verb)
    """How long the event loop took for its longest turn in here: `most`, in seconds."""

    def __init__(self) -> None:
        self.most = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.most, last = max(self.most, now - last), now


def rss() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _postgres() -> str:
    from tests import postgres

    server = postgres.Server()
    _servers.append(server)
    return await server.new()


_servers: list[Any] = []
"""Kept until the process ends, and they with it."""


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pupload-control-")) / "pupload.db"


async def _p6_sqlite() -> Any:
    return await transitions_per_second(_folder())


async def _engine_sqlite() -> Any:
    folder = _folder()
    return await engine_transitions_per_second(folder, folder.parent / "attempts")


async def _answers() -> Any:
    folder = _folder()
    found = await answers(folder, folder.parent / "attempts")
    return {name: vars(one) for name, one in found.items()}


async def _p6_postgres() -> Any:
    return await transitions_per_second(await _postgres())


async def _latency_sqlite() -> Any:
    return {name: vars(one) for name, one in (await latency_of_a_decision(_folder())).items()}


async def _latency_postgres() -> Any:
    return {name: vars(one) for name, one in (await latency_of_a_decision(await _postgres())).items()}


async def _p8_validate() -> Any:
    return {name: round(validation_seconds(10_000, shape), 3) for name, shape in _SHAPES.items()}


async def _p8_run() -> Any:
    return [await big_run(size) for size in (10_000, 100_000)]


async def _cancel() -> Any:
    return await cancel_turn_ms(_folder(), 20_000)


_SHAPES: dict[str, Callable[[int], flow.Flow]] = {"chain": chain, "fan": fan, "layers": layers}

MEASURES: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "p6_sqlite": _p6_sqlite,
    "p6_postgres": _p6_postgres,
    "engine_sqlite": _engine_sqlite,
    "p5": _answers,
    "latency_sqlite": _latency_sqlite,
    "latency_postgres": _latency_postgres,
    "p8_validate": _p8_validate,
    "p8_run": _p8_run,
    "cancel": _cancel,
}


def main() -> None:
    """Prints what is named, or all."""
    given = argparse.ArgumentParser(prog="python -m tests.benchmarks.control", description=__doc__)
    given.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which measures; all if none")
    given.add_argument("--profile", action="store_true", help="where the time goes, by cProfile")
    said = given.parse_args()
    for name in said.names or MEASURES:
        measure = MEASURES[name]
        if said.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            profile.enable()
            print(name, json.dumps(asyncio.run(measure())), flush=True)
            profile.disable()
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(35)
        else:
            print(name, json.dumps(asyncio.run(measure())), flush=True)


if __name__ == "__main__":
    main()
