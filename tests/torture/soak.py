"""One soak, from an empty folder to the verdict."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pupload.client import Client
from tests import images
from tests.checker import Violation
from tests.postgres import Server as Postgres
from tests.torture import flows, users, verdict
from tests.torture.faults import Faults
from tests.torture.house import House

USERS = 8
"""At most, at a time, those not counted who only wait for what never comes."""

SETTLE_SECONDS = 240.0
"""How long after the last fault every run must be over: the longest pause between two attempts, and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    seconds: float
    seed: int
    controllers: int = 1
    """Servers that share the work; several need PostgreSQL."""
    database_url: str = ""
    own_postgres: bool = False
    """A PostgreSQL server of its own, which is harmed as well."""
    keep: bool = False
    """Whether the data is left there in any case; where something is broken it is anyway."""


@dataclass(slots=True)
class Soak:
    """What is going on, and what came of it."""

    options: Options
    say: Callable[[str], None]
    told: users.Told = field(default_factory=users.Told)
    faults: Faults | None = None
    house: House | None = None
    broken: list[Violation] = field(default_factory=list)
    found: verdict.Verdict | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _playing: set[asyncio.Task[None]] = field(default_factory=set)
    _waiting: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> bool:
        """Whether every promise was kept. Nothing of it is left, but for the data where one was not."""
        options = self.options
        images.busybox()
        server = await asyncio.to_thread(Postgres) if options.own_postgres else None
        folder = Path(tempfile.mkdtemp(prefix="pupload-torture-"))
        clean = False
        try:
            url = await server.new() if server is not None else options.database_url
            house = self.house = House(
                folder,
                seconds=options.seconds,
                controllers=options.controllers,
                database_url=url,
                postgres_server=server,
            )
            self.say(f"data in {folder}")
            try:
                await house.open()
                await self._live(house)
                clean = not self.broken
            except asyncio.CancelledError:
                clean = True  # whoever interrupts it does not want to look at it
                raise
            finally:
                await house.close(keep=options.keep or not clean)
        finally:
            if server is not None:
                await asyncio.to_thread(server.remove)
        if options.keep or not clean:
            self.say(f"the data and the server's log are kept in {folder}")
        return clean

    async def _live(self, house: House) -> None:
        self.faults = Faults(house, self.options.seed, removed=self.told.removed)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client) for client in house.clients()]
            lanes = [asyncio.create_task(self.faults.lane(name, self._over)) for name in ("server", "world")]
            ordering = asyncio.create_task(self._order(clients))
            try:
                await self._watch([*lanes, ordering], self.options.seconds)
                self._over.set()
                await asyncio.gather(*lanes, ordering)
                house.heal()
                self.say("no faults any more; waiting for every run to end")
                await self._settle(clients[0])
            finally:
                await _cancel([*lanes, ordering, *self._playing, *self._waiting])
        await self._judge(house)

    async def _watch(self, tasks: list[asyncio.Task[None]], seconds: float) -> None:
        """Time passes; whoever of these dies is an error of ours."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            done, _ = await asyncio.wait(tasks, timeout=min(left, 30.0), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self.say(self._standing())

    def _standing(self) -> str:
        assert self.faults is not None
        ended, runs = len(self.told.ended), len(self.told.cases)
        return f"{runs} runs accepted, {ended} seen to end, {self.faults.done.total()} faults"

    # ── Users ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _order(self, clients: Sequence[Client]) -> None:
        number = 0
        while not self._over.is_set():
            chance = random.Random(f"pause {self.options.seed} {number}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), chance.uniform(0.1, 1.2))
                return
            if chance.random() < 0.1:
                self._begin(users.pester(chance.choice(clients), self.told, chance), self._playing)
            case = flows.draw(self.options.seed, number)
            user = users.User(case, clients, self.told, self._over)
            self._begin(user.play(), self._waiting if case.waits else self._playing)
            number += 1
            while len(self._playing) >= USERS:
                await asyncio.wait(self._playing, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, doing: "asyncio._CoroutineLike[None]", among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(doing)
        among.add(task)
        task.add_done_callback(among.discard)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.told.complain("API", "", f"{type(error).__name__}: {error}")

    async def _settle(self, client: Client) -> None:
        """Every user has seen the end of what they wanted."""
        until = time.monotonic() + SETTLE_SECONDS
        while (doing := [*self._playing, *self._waiting]) and (left := until - time.monotonic()) > 0:
            await asyncio.wait(doing, timeout=min(left, 30.0))
        for run_id, case in self.told.cases.items():
            if run_id not in self.told.ended and doing:
                run = await client.status(run_id)
                nodes = ", ".join(f"{name} {state['Status']}" for name, state in run["NodeState"].items())
                sentence = f"it is {run['Status']} {SETTLE_SECONDS:g} s after the last fault"
                self.told.complain("I1", run_id, sentence, f"{case.name}: {nodes}")

    # ── The verdict ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _judge(self, house: House) -> None:
        """Once while the server runs, and once when it was started anew and stopped in order."""
        self.say("reading what is left")
        here = await verdict.judge(house.where(running=True), self.told, ended=True)
        # What comes when a run is over is nobody's any more; it is removed in time, and here by the next start.
        known = [one for one in here.broken if not (one.invariant == "I8" and one.run in self.told.late)]
        await house.restart()
        again = await verdict.judge(house.where(running=True), self.told, ended=True)
        await house.stop()
        lines = await asyncio.to_thread(house.log_lines)
        self.found = await verdict.judge(house.where(), self.told, ended=True, output=lines)
        self.found.broken += verdict.tracebacks(lines)
        found = [*house.broken, *self.told.broken, *known, *again.broken, *self.found.broken]
        self.broken = [one for number, one in enumerate(found) if one not in found[:number]]


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
