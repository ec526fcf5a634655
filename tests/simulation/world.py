"""
The world that a simulated pupload lives in, and everything that goes wrong there.

The adapters in memory stand for the database, the store and the container engine; they outlive every crash. The
engine reaches them through a `Gate`, which counts the calls, lets others go first, and knows the faults. What no
port tells (was a container started before the run knew?) is watched here.
"""

import asyncio
import inspect
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pupload import errors, ports
from pupload.adapters.memory import clock, containers, ids, objects, outbox, secrets, state
from pupload.domain import collection, command
from pupload.domain.delivery import Reply
from pupload.domain.run import AttemptRef, NodeStatus, Run
from pupload.engine.arming import Budget
from tests.checker import Violation, is_done_without
from tests.simulation import faults, queueing, remembering
from tests.simulation.loop import Loop, Process
from tests.simulation.scenario import KEY, KEY_VALUE, MEMORY_BYTES, PNG, Behaviour, Scenario, output


def _away(port: str) -> errors.TryLater:
    """What it looks like when the port does not answer."""
    if port == "store":
        return errors.StoreUnavailable(store="default", endpoint="simulated", reason="simulated")
    if port == "executor":
        return errors.ExecutorUnavailable(host="simulated", reason="simulated")
    return errors.DatabaseUnavailable(reason="simulated")


ARMING = 0.8
"""In how many of the schedules the container engine arms containers."""

DATABASE = ("runs", "journal", "outbox", "ownership", "memo")


class World:
    """All that outlives a crash."""

    def __init__(
        self, scenario: Scenario, plan: tuple[faults.Fault, ...], *, seed: int, root: Path, verbose: bool = False
    ) -> None:
        self.scenario = scenario
        self.clock = clock.VirtualClock()
        self.chance = random.Random(f"world {seed}")
        self.loop = Loop(self.clock, self.chance)  # type: ignore[abstract]  # as much as is needed
        self.root = root
        self.kept = state.State(clock=self.clock)
        self.secrets = secrets.Secrets()
        self.store = objects.Objects(clock=self.clock)
        self.store.notifies = scenario.notifies
        self.executor = containers.MemoryExecutor(clock=self.clock)
        self.executor.registry = _Registry(self)
        self.executor.caller = Process.current
        arming = random.Random(f"arming {seed}")
        self.executor.arms = arming.random() < ARMING
        self.armed = Budget(nodes=arming.choice((1, 2, 5, 12)), seconds=arming.choice((3.0, 40.0, 600.0)))
        self.receiver = outbox.MemoryPoster()
        fails = (Reply(status=500), Reply(error="it hung up"), Reply(status=204))
        self.receiver.replies = self.chance.choices(fails, k=self.chance.choice((0, 0, 1, 3)))
        self.ids = ids.SeededIds(seed)
        self.seed = seed
        self.most_runs = queueing.most_runs(seed)
        self.slots = queueing.Watch(self.most_runs)
        self.alone = True
        """Whether there is one server: of two, each has slots of its own, and runs go from one to the other."""
        self.saved: dict[str, Run] = {}
        """Every run as last saved."""
        self.said: dict[str, list[str]] = {}
        """What the container of each attempt said in all, by the attempt's id."""
        self.worked: remembering.Worked = {}
        """What containers were given to work on."""
        self.broken: list[Violation] = []
        self.calls = 0
        self.over = False
        """Nothing goes wrong any more."""
        self.buried = False
        self.verbose = verbose
        self.processes: list[Process] = []
        self.on_crash: dict[Process, Callable[[faults.Crash], None]] = {}
        """Who is told that a process of theirs is killed."""
        self.strays: set[AttemptRef] = set()
        """Whose container was on its way to be started when the controller was frozen: nobody can call that back."""
        self._answers: Counter[str] = Counter()
        self._by_call = {fault.call: fault for fault in plan if isinstance(fault, faults.Crash | faults.Lost)}
        self._spells = [fault for fault in plan if isinstance(fault, faults.Outage | faults.Flaky)]
        self.deaf_until = -1.0
        for case in scenario.cases:
            for image, behaviour in case.images.items():
                if not behaviour.pull:
                    self.executor.images[image] = self.script(behaviour)

    # ── Calls ────────────────────────────────────────────────────────────────────────────────────────────────────

    def trace(self, line: str) -> None:
        """For `-v`."""
        if self.verbose:
            at = (self.clock.now() - clock.START).total_seconds()
            print(f"{at:12.3f} {self.loop.steps:6} {line}")

    async def call(self, port: str, name: str, real: Callable[..., Any], args: Any, named: Any) -> Any:
        """One call of a port, with whatever befalls it."""
        if self.buried:
            raise asyncio.CancelledError
        self.calls += 1
        number, fault = self.calls, None if self.over else self._by_call.get(self.calls)
        if self.verbose:
            self.trace(f"call {number} {port}.{name} {_brief(args)}{f'  <- {fault}' if fault else ''}")
        if isinstance(fault, faults.Crash) and not fault.after:
            await self.crash(fault)
        spell = self._spell(port)
        lost = isinstance(fault, faults.Lost) or (spell is not None and self._fails(spell))
        lost = lost and port != "poster"  # which tells of what went wrong in its answer
        if isinstance(spell, faults.Flaky) and spell.pause:
            await self.clock.sleep_until(self.clock.now() + _seconds(self.chance.uniform(0, spell.pause)))
        await self._let_others()
        if lost and not isinstance(fault, faults.Lost) and self.chance.random() >= _done(spell):
            raise _away(port)
        answer = await real(*args, **named)
        if isinstance(fault, faults.Crash):
            await self.crash(fault)
        await self._let_others()
        if lost:
            raise _away(port)
        return answer

    async def crash(self, fault: faults.Crash) -> None:
        """The controller is killed at this instant; whoever called never hears of anything again."""
        self.trace(f"** {fault}")
        process = Process.current()
        assert process is not None
        self.on_crash[process](fault)
        await self.loop.create_future()

    async def _let_others(self) -> None:
        for _ in range(self.chance.choice((0, 0, 0, 1, 1, 2, 5))):
            await asyncio.sleep(0)

    def _spell(self, port: str) -> "faults.Outage | faults.Flaky | None":
        if self.over:
            return None
        now = self.clock.monotonic()
        same = DATABASE if port in DATABASE else (port,)
        for spell in self._spells:
            if spell.port in same and spell.at <= now < spell.at + spell.seconds:
                return spell
        return None

    def _fails(self, spell: "faults.Outage | faults.Flaky") -> bool:
        return isinstance(spell, faults.Outage) or self.chance.random() < spell.failing

    def is_away(self, port: str) -> bool:
        """Whether it is no use asking now."""
        return isinstance(self._spell(port), faults.Outage)

    def worst(self) -> float:
        """Seconds after which the last fault that has a time has passed."""
        return max((spell.at + spell.seconds for spell in self._spells), default=0.0)

    # ── Images ───────────────────────────────────────────────────────────────────────────────────────────────────

    def script(self, behaviour: Behaviour) -> containers.Script:
        """What a container of the image does."""

        def run(order: ports.ContainerOrder) -> containers.Outcome:
            ref = order.attempt
            self._check_start(order)
            node = self.saved[ref.run].nodes[ref.node] if ref.run in self.saved else None
            charged, mishaps = (node.charged, node.mishaps) if node else (0, 0)
            said = [f"line {number} of {ref.id}" for number in range(1, behaviour.lines + 1)]
            self.said[ref.id] = [*said, *(["***"] * 2 if order.secrets else [])]
            _, place = collection.part_of(ref.node) or ("", 1)
            how = behaviour.how if charged < behaviour.fails and (not behaviour.picky or place % 3 == 1) else ""
            short = order.memory_bytes < behaviour.memory_bytes
            if order.secrets is not None:
                said = [*said, *self._given(order.secrets)]
            self._write(order, behaviour, how)
            return containers.Outcome(
                code=137 if short else 3 if how in ("exit", "half") else 0,
                oom=short,
                seconds=behaviour.seconds,
                hangs=how == "hang",
                ignores_term=behaviour.ignores_term,
                vanishes=mishaps < behaviour.vanishes,
                refused="its name is wrong" if behaviour.refused else "",
                said=[containers.Said(text=line, after_seconds=behaviour.seconds * 0.5) for line in said],
                # Outputs are stored before it is known how the node ended: much can happen in between.
                told_after_seconds=self.chance.choice((0.0, 0.03, 0.03, 3.0)),
            )

        return run

    def _write(self, order: ports.ContainerOrder, behaviour: Behaviour, how: str) -> None:
        given = [path.read_bytes() for path in sorted(order.inputs.rglob("[!.]*")) if path.is_file()]
        plan = self.saved[order.attempt.run].plan.nodes[order.attempt.node]
        remembering.note(self.worked, plan.image, plan.id, given)
        for number, port in enumerate(plan.outputs):
            left_out = port.port in behaviour.leaves_out or how == "exit"
            if left_out or (how == "missing" and port.required) or (how == "half" and number):
                continue
            inside = order.environment[command.environment_name("OUTPUT_", port.port)]
            picture = "image/png" in port.types and how != "type"
            path, node = order.outputs / Path(inside).name, order.attempt.node
            if not port.many:
                path.write_bytes(output(port.port, node, given, picture=picture))
            for item in range(behaviour.items if port.many else 0):
                (path / f"{item:02}").write_bytes(output(f"{port.port}.{item}", node, given, picture=picture))

    def _given(self, secrets: Path) -> list[str]:
        """What a node prints that was given a secret; kept of it are masks."""
        given = (secrets / KEY).read_text()
        if given != KEY_VALUE:
            self.report("I4", "", f"a node was given another secret than was set: {given!r}")
        return given.splitlines()

    def _check_start(self, order: ports.ContainerOrder) -> None:
        """A container may only start for an attempt that was saved as the one that holds room; and there is room."""
        ref, run = order.attempt, self.saved.get(order.attempt.run)
        if ref in self.strays:
            return
        node = run.nodes.get(ref.node) if run else None
        if node is None or node.status is not NodeStatus.RUNNING or node.last is None or node.last.number != ref.number:
            found = "an unknown run" if node is None else f"{node.status} with {len(node.attempts)} attempts"
            self.report("I4", ref.run, f"attempt {ref.id} was started, but what is saved is {found}")
        alive = [self.executor.order(one).memory_bytes for one in self.executor.alive if one not in self.strays]
        if sum(alive) + order.memory_bytes > MEMORY_BYTES:
            self.report("I7", ref.run, f"attempt {ref.id} was started where there was no room", str(alive))
        if run and node:
            for port in run.plan.nodes[ref.node].inputs:
                lacks = port.edge not in run.artifacts
                if lacks and (port.required or not is_done_without(run, ref.node, port.edge)):
                    self.report("I4", ref.run, f"attempt {ref.id} was started without input {port.edge}")

    def report(self, invariant: str, run: str, sentence: str, evidence: str = "") -> None:
        """Something is wrong, and no port will tell it later."""
        self.broken.append(Violation(invariant=invariant, run=run, sentence=sentence, evidence=evidence))

    def pulled(self, reference: str) -> containers.Pull | None:
        """What the registry answers this time."""
        behaviour = next((case.images[reference] for case in self.scenario.cases if reference in case.images), None)
        if behaviour is None:
            return None
        answers = behaviour.pull or ("ok",)
        answer = answers[min(self._answers[reference], len(answers) - 1)]
        self._answers[reference] += 1
        if answer == "ok":
            return containers.Pull(script=self.script(behaviour), seconds=behaviour.pull_seconds)
        missing = errors.ImageMissing(image=reference, reason="no such image")
        limited = errors.ImageRateLimited(image=reference, reason="too many")
        return containers.Pull(seconds=behaviour.pull_seconds, error=missing if answer == "missing" else limited)

    # ── Ports for one process ────────────────────────────────────────────────────────────────────────────────────

    def runs(self, view: state.State) -> Any:
        """`ports.RunStore`."""
        return _Runs(self, "runs", view.runs)

    def ownership(self, view: state.State) -> Any:
        """`ports.Ownership`."""
        return _Gate(self, "ownership", view.ownership)

    def journal(self) -> Any:
        """`ports.Journal`."""
        return _Gate(self, "journal", self.kept.journal)

    def outbox(self) -> Any:
        """`ports.Outbox`."""
        return _Gate(self, "outbox", self.kept.outbox)

    def memo(self) -> Any:
        """`ports.Memo`; None where nothing is remembered."""
        return _Gate(self, "memo", self.kept.memo) if self.scenario.memoize else None

    def poster(self) -> Any:
        """`ports.Poster`."""
        return _Gate(self, "poster", self.receiver)

    def stores(self) -> Any:
        """`ports.Stores`."""
        return _Stores(_Store(self, "store", self.store))

    def engine(self) -> Any:
        """`ports.Executor`."""
        return _Engine(self, "executor", self.executor)

    def gate_clock(self) -> Any:
        """`ports.Clock`."""
        return _Clock(self)


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _done(spell: "faults.Outage | faults.Flaky | None") -> float:
    return spell.done if isinstance(spell, faults.Outage) else 0.5


def _brief(args: Any) -> str:
    def one(value: Any) -> str:
        if isinstance(value, AttemptRef):
            return value.id
        events = getattr(value, "events", None)
        if events is not None:
            return "[" + ", ".join(f"{type(e).__name__}({getattr(e, 'node', '')})" for e in events) + "]"
        if isinstance(value, ports.ContainerOrder):
            return value.attempt.id
        return str(value)[:80]

    return " ".join(one(value) for value in args)


class _Gate:
    """A port of the world, as one process reaches it."""

    def __init__(self, world: World, port: str, real: Any) -> None:
        self._world = world
        self._port = port
        self._real = real

    def __getattr__(self, name: str) -> Any:
        found = real = getattr(self._real, name)
        if inspect.iscoroutinefunction(real):
            found = partial(self._call, name, real)
        elif inspect.isasyncgenfunction(real):
            found = partial(self._stream, name, real)
        else:
            return real
        setattr(self, name, found)  # found at once the next time
        return found

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return self._world.call(self._port, name, real, args, named)

    async def _stream(self, name: str, real: Callable[..., Any], *args: Any, **named: Any) -> AsyncIterator[Any]:
        async def nothing(*_: Any) -> None:
            return

        await self._world.call(self._port, name, nothing, args, {})
        async for item in real(*args, **named):
            yield item
            await self._world.call(self._port, f"{name} goes on", nothing, args, {})


class _Runs(_Gate):
    """The database, which knows what it was last told."""

    async def create(self, decision: Any, **named: Any) -> Any:
        async def real(decision: Any, **named: Any) -> Any:
            run = await self._real.create(decision, **named)
            self._world.saved[run.id] = run
            return run

        return await self._world.call(self._port, "create", real, (decision,), named)

    async def save(self, decision: Any, **named: Any) -> Any:
        async def real(decision: Any, **named: Any) -> Any:
            before = self._world.saved.get(decision.run.id)
            run = await self._real.save(decision, **named)
            if before is not None and before.status.terminal:
                self._world.report("I6", run.id, f"a run that was {before.status} was saved again")
            self._world.saved[run.id] = run
            wrong = self._world.slots.see(decision)
            if wrong and self._world.alone:
                self._world.report("I7", run.id, wrong)
            return run

        return await self._world.call(self._port, "save", real, (decision,), named)

    async def close(self, run_id: str) -> None:
        async def real(run_id: str) -> None:
            left = sorted(ref.id for ref in self._world.executor.armed_by(Process.current()) if ref.run == run_id)
            if left:
                self._world.report("I8", run_id, "it was closed while containers were armed for it", " ".join(left))
            await self._real.close(run_id)

        await self._world.call(self._port, "close", real, (run_id,), {})


class _Engine(_Gate):
    """The container engine: a pull goes on when whoever asked for it is gone."""

    async def resolve_image(self, reference: str) -> str:
        def real(reference: str) -> Any:
            world = self._world
            return asyncio.shield(world.loop.create_task(self._real.resolve_image(reference), context=WORLD.context))

        answer: str = await self._world.call(self._port, "resolve_image", real, (reference,), {})
        return answer

    async def ensure_started(self, order: ports.ContainerOrder) -> None:
        process = Process.current()
        assert process is not None
        freezes = process.freezes

        async def real(order: ports.ContainerOrder) -> None:
            if process.freezes > freezes:
                self._world.strays.add(order.attempt)
            await self._real.ensure_started(order)

        await self._world.call(self._port, "ensure_started", real, (order,), {})


WORLD = Process("world")


class _Store(_Gate):
    """The store: it may take files away, and tells of arrivals as well as it can."""

    @property
    def notifies(self) -> bool:
        notifies: bool = self._real.notifies
        return notifies

    async def put_file(self, key: str, path: Path, **named: Any) -> Any:
        async def real(key: str, path: Path, **named: Any) -> Any:
            found = await self._real.put_file(key, path, **named)
            if self._world.scenario.moves:
                path.unlink()  # noqa: ASYNC240 - there are no threads here, and memory is quick
            return found

        return await self._world.call(self._port, "put_file", real, (key, path), named)

    async def arrivals(self) -> AsyncIterator[str]:
        world = self._world
        listening = self._real.arrivals()
        try:
            async for key in listening:
                yield key
                if world.clock.monotonic() < world.deaf_until and not world.over:
                    await world.clock.sleep_until(world.clock.now() + _seconds(world.chance.uniform(0, 5)))
                    if world.chance.random() < 0.4:
                        raise _away("store")  # whoever listens comes again, and is told to look at everything
                    yield key
                await world._let_others()
        finally:
            await listening.aclose()


class _Stores:
    def __init__(self, store: _Store) -> None:
        self._store = store

    def default(self) -> Any:
        """The only one."""
        return self._store

    def open(self, store: object) -> Any:
        """The same."""
        return self._store

    async def prepare(self, store: object) -> None:
        """It has its keys."""


class _Clock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return self._world.clock.now()

    def skew(self) -> timedelta:
        """See `ports.Clock`."""
        return self._world.clock.skew()

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return self._world.clock.monotonic()

    async def sleep_until(self, when: datetime) -> None:
        """See `ports.Clock`."""
        if self._world.buried:
            raise asyncio.CancelledError
        await self._world.clock.sleep_until(when)

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        if self._world.buried:
            raise asyncio.CancelledError
        await self._world.clock.sleep(seconds)


class _Registry(dict[str, containers.Pull]):
    """Answers anew each time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, reference: str, default: Any = None) -> Any:
        return self._world.pulled(reference) or default


def picture_or_text(head: bytes) -> str:
    """What the simulated libmagic says."""
    if not head:
        return "application/x-empty"
    return "image/png" if head.startswith(PNG) else "text/plain"


def clear(root: Path) -> None:
    """Nothing is left of the directory."""
    shutil.rmtree(root, ignore_errors=True)
