"""
What is done to the installation, written down before it begins: two lanes of faults, so that they meet.

In the one the server is killed, stopped and frozen; in the other its store, engine, containers, disk, processors and
database are. Which fault comes when depends on the seed alone, whatever there is at that moment to do it to.
"""

import asyncio
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pupload.domain.run import AttemptRef
from tests.torture import flows
from tests.torture.house import LEFT_BYTES, House, pick

SERVER = {"kill": 5, "kill in start": 2, "restart": 3, "freeze": 2}
"""How likely each is among those of its lane."""

WORLD = {
    "remove container": 5,
    "kill container": 4,
    "pause container": 3,
    "freeze store": 3,
    "kill store": 3,
    "engine hangs": 2,
    "engine refuses": 2,
    "engine hangs up": 2,
    "starve": 2,
    "fill disk": 2,
    "restart database": 2,
    "crash database": 1,
}

MOST = flows.SLACK
"""
Of one node's containers are killed or removed: its attempts are not to be used up by us. A container that is removed is
killed before, so it may count as one that ended badly.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is done."""

    lane: str
    kind: str
    after: float
    """Seconds from the end of the one before in its lane."""
    seconds: float
    """How long it lasts."""
    startups: tuple[float, ...] = ()
    chance: float = 0.0
    """Decides which of those that are there is meant."""


def draw(seed: int, lane: str, number: int) -> Fault:
    """The n-th fault of the lane."""
    chance = random.Random(f"fault {seed} {lane} {number}")
    kinds = SERVER if lane == "server" else WORLD
    kind = chance.choices([*kinds], [*kinds.values()])[0]
    return Fault(
        lane=lane,
        kind=kind,
        after=chance.uniform(2, 12) if lane == "server" else chance.uniform(0.5, 5),
        seconds=chance.choice((0.0, 0.5, 2.0, 5.0, 12.0)),
        startups=tuple(chance.uniform(0, 4) for _ in range(chance.choice((1, 2)))) if kind == "kill in start" else (),
        chance=chance.random(),
    )


@dataclass(slots=True)
class Faults:
    """Does them to a house."""

    house: House
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    removed: set[str] = field(default_factory=set)
    """Attempts whose container was removed by us, and with it what was not read of its log; by id."""
    _harmed: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def lane(self, name: str, over: asyncio.Event) -> None:
        """One after the other until `over`; the one that is under way then is done with, and undone."""
        number = 0
        while not over.is_set():
            fault = draw(self.seed, name, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), fault.after)
                return
            happened = await self._do(fault)
            (self.done if happened else self.skipped)[fault.kind] += 1
            number += 1

    async def _do(self, fault: Fault) -> bool:
        """Whether it could be done."""
        if fault.lane == "server":
            return await self._do_to_server(fault)
        if fault.kind.endswith("container"):
            return await self._do_to_container(fault)
        if fault.kind.endswith("database"):
            return await self._do_to_database(fault)
        if fault.kind.startswith("engine"):
            return await self._do_to_engine(fault)
        return await self._do_to_machine(fault)

    async def _do_to_server(self, fault: Fault) -> bool:
        controller = self.house.one(fault.chance)
        match fault.kind:
            case "kill" | "kill in start":
                await controller.kill(down=fault.seconds / 2, startups=fault.startups)
            case "restart":
                await controller.restart(down=fault.seconds / 2)
            case "freeze":
                await controller.freeze(fault.seconds)
        return True

    async def _do_to_container(self, fault: Fault) -> bool:
        how = fault.kind.partition(" ")[0]
        chance = random.Random(fault.chance)
        there = [each for each in await self.house.containers() if self._may(how, each["Labels"])]
        found = pick(chance, there)
        if found is None:
            return False
        labels = found["Labels"]
        ref = AttemptRef(run=labels["pupload.run"], node=labels["pupload.node"], number=int(labels["pupload.attempt"]))
        if how != "pause":
            self._harmed[ref.run, ref.node] += 1
        if how == "remove":
            self.removed.add(ref.id)
        await self.house.harm(how, found["Id"], fault.seconds)
        return True

    def _may(self, how: str, labels: dict[str, Any]) -> bool:
        """Whether the run comes to the same when this is done to its container once more."""
        run, node = labels["pupload.run"], labels["pupload.node"]
        return how == "pause" or (str(node).startswith(flows.TOLERANT) and self._harmed[run, node] < MOST)

    async def _do_to_engine(self, fault: Fault) -> bool:
        proxy = self.house.proxy
        if fault.kind == "engine hangs up":
            await proxy.cut()
            return True
        self.house.away = True
        try:
            proxy.hang() if fault.kind == "engine hangs" else proxy.refuse()
            await asyncio.sleep(fault.seconds)
        finally:
            proxy.heal()
            self.house.away = False
        return True

    async def _do_to_machine(self, fault: Fault) -> bool:
        house = self.house
        try:
            match fault.kind:
                case "freeze store":
                    await house.freeze_store(fault.chance, fault.seconds)
                case "kill store":
                    house.kill_store(fault.chance)
                case "starve":
                    house.starve()
                    await asyncio.sleep(fault.seconds)
                case "fill disk":
                    if not house.fill_disk(LEFT_BYTES[int(fault.chance * len(LEFT_BYTES))]):
                        return False
                    await asyncio.sleep(fault.seconds)
        finally:
            house.relieve()
            house.empty_disk()
        return True

    async def _do_to_database(self, fault: Fault) -> bool:
        server = self.house.postgres
        if server is None:
            return False
        self.house.away = True
        how = signal.SIGINT if fault.kind == "restart database" else signal.SIGQUIT
        try:
            await asyncio.to_thread(server.stop, how)
            await asyncio.sleep(fault.seconds)
        finally:
            await asyncio.shield(asyncio.to_thread(server.start))
            self.house.away = False
        return True
