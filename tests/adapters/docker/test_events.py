"""What is believed of the engine's events, and what is not."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from pupload import errors
from pupload.adapters.docker import events, streams
from pupload.adapters.system import clock

NAME, ID = "pupload-test-a.b.1", "ab" * 32
SOON = 20


class Engine:
    """Its event streams: each holds what a test says, until the test ends it."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.stream: asyncio.Queue[bytes] = asyncio.Queue()
        self.opened = asyncio.Event()

    @asynccontextmanager
    async def open(self, method: str, path: str, *, query: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        self.asked.append(query)
        self.opened.set()
        yield cast(aiohttp.StreamReader, self)

    async def readany(self) -> bytes:
        return await self.stream.get()

    def says(self, action: str, at: int, *, of: str = ID, **attributes: str) -> None:
        told = {"Type": "container", "Action": action, "time": at // 10**9, "timeNano": at}
        told["Actor"] = {"ID": of, "Attributes": {"name": NAME, **attributes}}
        self.stream.put_nowait(json.dumps(told).encode() + b"\n")

    def breaks(self) -> None:
        self.opened.clear()
        self.stream.put_nowait(b"")


class Told:
    """Events as they were told, one look at a time."""

    def __init__(self, engine: Engine, under_test: events.Events, watch: events.Watch) -> None:
        self.engine = engine
        self.events = under_test
        self.watch = watch

    async def says(self, action: str, at: int, *, of: str = ID, **attributes: str) -> events.Life | None:
        """What is known after this event."""
        await self.woken_by(lambda: self.engine.says(action, at, of=of, **attributes))
        return self.events.life(NAME)

    async def woken_by(self, what: Any) -> None:
        while await self.watch.changed(within_seconds=0):
            pass
        what()
        assert await self.watch.changed(within_seconds=SOON)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    engine = Engine()
    under_test = events.Events(
        label="pupload.instance=test", stream=cast(streams.Streams, engine), clock=clock.SystemClock()
    )
    with under_test.watch(NAME) as watch:
        await engine.opened.wait()
        assert await watch.changed(within_seconds=SOON)
        yield Told(engine, under_test, watch)
    await under_test.close()


async def test_a_container_that_was_told_of_from_its_start_on_is_believed(told: Told) -> None:
    life = await told.says("start", 1)
    assert life is not None
    assert life.runs
    life = await told.says("die", 2, exitCode="0")
    assert life is not None
    assert (life.id, life.runs, life.ended_well) == (ID, False, True)
    assert await told.says("destroy", 3) is None


async def test_one_of_which_only_the_end_was_told_is_not_believed(told: Told) -> None:
    life = await told.says("die", 2, exitCode="0")
    assert life is not None
    assert not life.ended_well
    life = await told.says("start", 1)  # told late
    assert life is not None
    assert not life.runs
    assert not life.ended_well


@pytest.mark.parametrize("code", ["1", "137", "", "no number"])
async def test_no_end_but_a_good_one_is_believed(told: Told, code: str) -> None:
    await told.says("start", 1)
    life = await told.says("die", 2, exitCode=code)
    assert life is not None
    assert not life.ended_well
    assert not life.runs


@pytest.mark.parametrize("sign", ["oom", "kill"])
async def test_a_good_end_with_something_to_remark_is_looked_at(told: Told, sign: str) -> None:
    await told.says("start", 1)
    await told.says(sign, 2, signal="15")
    life = await told.says("die", 3, exitCode="0")
    assert life is not None
    assert not life.ended_well
    assert told.watch.oom == (sign == "oom")
    assert told.events.signal(NAME) == (15 if sign == "kill" else None)


async def test_what_comes_twice_changes_nothing(told: Told) -> None:
    await told.says("start", 1)
    await told.says("oom", 2)
    life = await told.says("start", 1)
    assert life is not None
    assert life.oom
    for _ in range(2):
        life = await told.says("die", 3, exitCode="0")
    await told.says("start", 1)
    assert told.events.life(NAME) is life
    assert life is not None
    assert life.code == 0


async def test_a_second_start_is_a_new_life(told: Told) -> None:
    await told.says("start", 1)
    await told.says("kill", 2, signal="9")
    await told.says("die", 3, exitCode="137")
    life = await told.says("start", 4)
    assert life is not None
    assert life.runs
    assert told.events.signal(NAME) is None


async def test_another_container_of_the_name_is_another(told: Told) -> None:
    await told.says("start", 1)
    life = await told.says("start", 5, of="cd" * 32)
    assert await told.says("destroy", 4) is life  # the first one's, told late
    assert life is not None
    assert life.runs


async def test_nothing_is_believed_across_a_gap(told: Told) -> None:
    await told.says("start", 1)
    await told.woken_by(told.engine.breaks)
    await told.engine.opened.wait()
    life = await told.says("die", 2, exitCode="0")
    assert life is not None
    assert not life.ended_well


async def test_a_new_stream_begins_where_the_last_one_ended_and_tells_all_again(told: Told) -> None:
    await told.says("start", 7 * 10**9)
    await told.woken_by(told.engine.breaks)
    await told.engine.opened.wait()
    assert told.engine.asked[-1]["since"] == "7"
    await told.says("start", 7 * 10**9)
    life = await told.says("die", 8 * 10**9, exitCode="0")
    assert life is not None
    assert life.ended_well


async def test_the_engines_answer_to_a_start_is_as_good_as_its_event(told: Told) -> None:
    told.events.started(NAME, ID)
    life = told.events.life(NAME)
    assert life is not None
    assert life.runs
    await told.says("start", 1)
    life = await told.says("die", 2, exitCode="0")
    assert life is not None
    assert (life.ended_well, life.started_ns, life.died_ns) == (True, 1, 2)


async def test_a_container_made_in_the_place_of_another_does_not_end_with_it(told: Told) -> None:
    """The first one was killed and removed; its end is told when the second one runs already."""
    await told.says("start", 1)
    told.events.started(NAME, "cd" * 32)
    for action, at in (("kill", 2), ("die", 3), ("destroy", 4)):
        life = await told.says(action, at, exitCode="0", signal="9")
        assert life is not None
        assert (life.id, life.runs, life.signal) == ("cd" * 32, True, None)


async def test_the_answer_to_a_start_hides_no_end_that_was_told_before(told: Told) -> None:
    await told.says("start", 1)
    life = await told.says("die", 2, exitCode="0")
    told.events.started(NAME, ID)
    assert told.events.life(NAME) is life


async def test_events_in_pieces_and_of_any_length_are_read(told: Told) -> None:
    told.engine.says("start", 1, label="x" * 300_000)
    whole = told.engine.stream.get_nowait()

    def in_pieces() -> None:
        for begin in range(0, len(whole), 65_536):
            told.engine.stream.put_nowait(whole[begin : begin + 65_536])

    await told.woken_by(in_pieces)
    assert told.events.life(NAME) is not None


async def test_nonsense_in_the_stream_only_costs_the_stream(told: Told) -> None:
    told.engine.opened.clear()
    await told.woken_by(lambda: told.engine.stream.put_nowait(b"{half a li\n"))
    await told.engine.opened.wait()
    assert await told.says("start", 1) is not None


async def test_what_is_remembered_is_bounded(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_REMEMBERED", 2)
    for number in range(5):
        told.events.started(f"other-{number}", f"{number}")
    assert [told.events.life(f"other-{number}") is not None for number in range(5)] == [False] * 3 + [True] * 2


async def test_an_engine_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_FIRST_PAUSE", 0.01)
    engine = Engine()
    tries = iter([True, True, False])

    @asynccontextmanager
    async def away(method: str, path: str, *, query: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        if next(tries, False):
            raise errors.ExecutorUnavailable(host="there", reason="away")
        async with engine.open(method, path, query=query) as body:
            yield body

    stream = type("Stream", (), {"open": staticmethod(away)})()
    changes = events.Images(cast(streams.Streams, stream), clock.SystemClock())
    states = [changes.state]
    async with asyncio.timeout(SOON):
        await engine.opened.wait()
        states.append(changes.state)
    assert states[0] is None
    assert states[1] is not None
    await changes.close()
