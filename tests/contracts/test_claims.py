"""
That the claims of the live controllers on an engine never add up to more than it has.

Controllers join, ask, freeze, come back and go, one after another and all at once; what is held is never more than the
last claim, as `pupload.engine.sharing` keeps it.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pupload import ports
from pupload.domain import shares
from tests.contracts import fleets
from tests.contracts.fleets import Fleet, Member

WHOLE = ports.Share(memory_bytes=1000, cpus=8.0, gpus=2, attempts=10)
NAMES = ("one", "two", "three")
MOST = ports.Share(memory_bytes=1200, cpus=10.0, gpus=3, attempts=12)


@dataclass
class Play:
    """A fleet, and what its controllers have."""

    fleet: Fleet
    has: dict[str, ports.Share]
    """What each may hand out or holds: what a controller's earlier self had claimed is only kept from the others."""

    async def step(self, name: str, what: str, part: float, kept: float, *, hungry: bool) -> None:
        """Something happens to a controller."""
        member = await self.fleet.member(name)
        if name not in self.has or what == "join":
            await self.lose(name)
            await member.sign_in()
            self.has[name] = ports.Share()
        elif what == "freeze":
            await self.lose(name)
            await self.fleet.expire(name)
        elif what == "renew":
            await member.ownership.renew()
        elif what == "leave":
            await self.lose(name)
            await member.ownership.sign_out()
            del self.has[name]
        else:
            await self.claim(member, part, kept, hungry=hungry)

    async def lose(self, name: str) -> None:
        """What it held runs on, but nobody counts on it: for a test of claims it is over."""
        if name in self.has:
            self.has[name] = ports.Share()

    async def claim(self, member: Member, part: float, kept: float, *, hungry: bool) -> None:
        held = _part(self.has[member.id], kept)
        wanted = _most(held, _part(MOST, part))
        self.has[member.id] = held  # nothing is handed out while a claim is on its way
        claimed = await member.ownership.claim(wanted, held=held, hungry=hungry, of=WHOLE)
        self.has[member.id] = shares.reserved(claimed, held=held)


def _part(share: ports.Share, part: float) -> ports.Share:
    found = {one.name: getattr(share, one.name) for one in fields(share)}
    return ports.Share(**{name: type(amount)(amount * part) for name, amount in found.items()})


def _most(one: ports.Share, other: ports.Share) -> ports.Share:
    return ports.Share(**{each.name: max(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)})


def fits(claims: Mapping[str, ports.Share]) -> bool:
    """Whether they add up to no more than there is."""
    return all(
        sum(getattr(share, one.name) for share in claims.values()) <= getattr(WHOLE, one.name) + 1e-9
        for one in fields(shares.Share)
    )


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=list(fleets.KINDS))
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Run, Fleet]]:
    """A fleet, and what runs something with it: one fleet for all examples, for it is slow to make."""
    with asyncio.Runner() as runner:
        opened = fleets.KINDS[request.param](tmp_path)
        fleet = runner.run(opened.__aenter__())
        yield runner.run, fleet
        runner.run(opened.__aexit__(None, None, None))


steps = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(("claim", "claim", "claim", "claim", "join", "freeze", "renew", "leave")),
    st.sampled_from((0.0, 0.1, 0.5, 1.0)),
    st.sampled_from((0.0, 0.5, 1.0)),
    st.booleans(),
)


def test_one_after_another(there: tuple[Run, Fleet]) -> None:
    run, fleet = there

    async def play(todo: list[tuple[str, str, float, float, bool]]) -> None:
        for name in NAMES:
            await (await fleet.member(name)).sign_in()
            await (await fleet.member(name)).ownership.sign_out()
        this = Play(fleet, {})
        for name, what, part, kept, hungry in todo:
            await this.step(name, what, part, kept, hungry=hungry)
            assert fits(this.has), this.has

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, max_size=15))
    def examples(todo: list[tuple[str, str, float, float, bool]]) -> None:
        run(play(todo))

    examples()


@pytest.mark.parametrize("seed", range(3))
def test_all_at_once(there: tuple[Run, Fleet], seed: int) -> None:
    run, fleet = there
    chance = random.Random(seed)

    async def play() -> None:
        this, over, looked = Play(fleet, {}), asyncio.Event(), 0

        async def live(name: str) -> None:
            for _ in range(40):
                what = chance.choice(("claim", "claim", "claim", "claim", "join", "freeze", "renew", "leave"))
                part, kept = chance.choice((0.0, 0.3, 1.0)), chance.choice((0.0, 0.5, 1.0))
                await this.step(name, what, part, kept, hungry=chance.random() < 0.7)

        async def look() -> None:
            nonlocal looked
            while not over.is_set():
                assert fits(this.has), this.has
                looked += 1
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await asyncio.gather(*(live(name) for name in NAMES))
        over.set()
        await looking
        assert looked > 1

    run(play())
