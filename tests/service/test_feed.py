"""What happens in all runs, followed."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.adapters.memory.state import State
from pupload.domain import run
from pupload.domain.places import Place
from pupload.ports import Entry, LogRecord
from pupload.service import feed as feeds
from pupload.service.feed import Feed, Group
from tests import postgres
from tests.bench import PNG, Bench, a_bench, copies
from tests.builders import a_chain, a_flow
from tests.contracts.states import a_line, a_run, created, moved

IMAGE = "pupload/resize:latest"


class Follower:
    """Follows in the background; what it was told is in `told`."""

    def __init__(self, groups: AsyncIterator[Group], *, pause: asyncio.Event | None = None) -> None:
        self.told: list[feeds.Told] = []
        self.cursor = ""
        self.begun = asyncio.Event()
        self._groups, self._pause = groups, pause
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async with aclosing(cast(Any, self._groups)) as groups:
            async for group in groups:
                self.cursor = group.cursor
                self.told += group.told
                self.begun.set()
                if self._pause is not None:
                    await self._pause.wait()

    async def end(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def of(self, run_id: str) -> list[Entry | LogRecord]:
        return [one.news.what for one in self.told if one.news.what.run == run_id]


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.001)


async def started(*followers: Follower) -> None:
    for follower in followers:
        async with asyncio.timeout(10):
            await follower.begun.wait()


def seqs(told: Sequence[Entry | LogRecord]) -> list[int]:
    return [what.seq for what in told if isinstance(what, Entry)]


class Counting:
    """A feed that counts how often it is read."""

    def __init__(self, inner: ports.Feed) -> None:
        self._inner = inner
        self.reads = 0

    async def read(self, after: Place, *, logs: bool, limit: int = 1000) -> ports.NewsPage:
        self.reads += 1
        return await self._inner.read(after, logs=logs, limit=limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def a_life(state: Any, run_id: str, saves: int = 5) -> None:
    last = await state.runs.create(created(a_run(run_id)))
    for _ in range(saves):
        last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
        await state.journal.write_logs(run_id, "resize", 1, [a_line("x")])


def a_feed(source: Any) -> Feed:
    return Feed(source, cast(Any, None))


async def test_every_run_is_told_as_its_journal_and_log_have_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        follower = Follower(Feed(bench.world.feed, bench.runs).follow())
        await started(follower)
        runs = [await bench.start(a_flow()) for _ in range(3)]
        for each in runs:
            await bench.upload(each, "resize-in", PNG)
        for each in runs:
            await bench.ended(each)
        wanted = {each.id: [*await bench.world.journal.read(each.id)] for each in runs}
        lines = {each.id: [*await bench.world.journal.read_logs(each.id)] for each in runs}
        total = sum(map(len, wanted.values())) + sum(map(len, lines.values()))
        await until(lambda: len(follower.told) >= total)
        for each in runs:
            assert [what for what in follower.of(each.id) if isinstance(what, Entry)] == wanted[each.id]
            assert [what for what in follower.of(each.id) if isinstance(what, LogRecord)] == lines[each.id]
        assert lines[runs[0].id]
        await follower.end()


async def test_a_hundred_followers_cost_one_reading() -> None:
    state = State()
    source = Counting(state.feed)
    service = a_feed(source)
    followers = [Follower(service.follow()) for _ in range(100)]
    await started(*followers)
    source.reads = 0
    await asyncio.gather(*(a_life(state, f"run_{number}") for number in range(20)))
    await until(lambda: all(len(follower.told) == 20 * 12 for follower in followers))
    assert source.reads < 100
    assert all(seqs(followers[-1].of(f"run_{number}")) == list(range(1, 8)) for number in range(20))
    made = {id(one) for follower in followers for one in follower.told}
    assert len(made) == 20 * 12
    for follower in followers:
        await follower.end()


async def test_a_slow_follower_holds_nobody_up_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT_BYTES", 3000)
    state = State()
    service = a_feed(state.feed)
    gate = asyncio.Event()
    slow, quick = Follower(service.follow(), pause=gate), Follower(service.follow())
    hasty = Follower(service.follow(patient=False), pause=gate)
    await started(slow, quick, hasty)
    for number in range(20):
        await a_life(state, f"run_{number}")
        await until(lambda number=number: len(quick.told) == (number + 1) * 12)
    assert not slow.told
    gate.set()
    await until(lambda: len(slow.told) == 20 * 12)
    assert [one.news for one in slow.told] == [one.news for one in quick.told]
    with pytest.raises(errors.FellBehind):
        await hasty.task
    again = Follower(service.follow(after=hasty.cursor))
    await until(lambda: len(hasty.told) + len(again.told) == 20 * 12)
    for follower in (slow, quick, again):
        await follower.end()


async def test_what_is_not_wanted_is_not_told_and_the_cursor_moves_on() -> None:
    state = State()
    follower = Follower(a_feed(state.feed).follow(wanted=lambda news: news.what.run == "run_b", logs=False))
    await started(follower)
    await a_life(state, "run_b")
    await a_life(state, "run_a")
    end = await state.feed.end()
    await until(lambda: follower.cursor == str(end))
    assert [one.news.what.run for one in follower.told] == ["run_b"] * 7
    await follower.end()


async def test_nobody_reads_when_nobody_follows() -> None:
    state = State()
    source = Counting(state.feed)
    service = a_feed(source)
    for _ in range(2):
        follower = Follower(service.follow())
        await started(follower)
        await follower.end()
    source.reads = 0
    await a_life(state, "run_a")
    await asyncio.sleep(2 * feeds.GATHER_SECONDS)
    assert source.reads == 0


@pytest.mark.parametrize("cursor", ["x", "1.2", "-1.0.0", "1.2.3.4"])
async def test_garbage_is_refused_and_what_is_too_old_is_told_from_it(cursor: str) -> None:
    state = State()
    await a_life(state, "run_a")
    with pytest.raises(errors.Malformed):
        await anext(a_feed(state.feed).follow(after=cursor))
    with pytest.raises(errors.CursorExpired):
        await anext(a_feed(state.feed).follow(after="0.999.1"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_whoever_comes_back_is_told_the_rest_by_another_process(tmp_path: Path, kind: str) -> None:
    where: Any = tmp_path / "pupload.db" if kind == "sqlite" else await postgres.shared().emptied()
    told: dict[str, list[int]] = defaultdict(list)
    cursor, total = "", 0
    for start in range(4):
        database = await Database.open(where)
        follower = Follower(a_feed(database.feed).follow(after=cursor))
        await started(follower)
        living = asyncio.gather(*(a_life(database, f"run_{start}_{number}") for number in range(5)))
        total += 5 * 12
        # Cut off in the middle of what is going on, wherever that is.
        await until(lambda follower=follower, start=start: len(follower.told) > start * 7)
        await follower.end()
        for one in follower.told:
            cursor = one.cursor
            what = one.news.what
            told[what.run].append(what.seq if isinstance(what, Entry) else -what.cursor)
        await living
        await database.close()
    database = await Database.open(where)
    follower = Follower(a_feed(database.feed).follow(after=cursor))
    await until(lambda: sum(map(len, told.values())) + len(follower.told) >= total)
    await follower.end()
    await database.close()
    for one in follower.told:
        what = one.news.what
        told[what.run].append(what.seq if isinstance(what, Entry) else -what.cursor)
    assert len(told) == 20
    for numbers in told.values():
        assert [number for number in numbers if number > 0] == list(range(1, 8))
        assert [number for number in numbers if number < 0] == list(range(-1, -6, -1))


async def test_two_servers_on_one_database_tell_the_same(tmp_path: Path) -> None:
    url = await postgres.shared().emptied()
    servers = [await Database.open(url) for _ in range(2)]
    followers = [Follower(a_feed(server.feed).follow()) for server in servers]
    await started(*followers)
    await asyncio.gather(*(a_life(servers[number % 2], f"run_{number}") for number in range(20)))
    await until(lambda: all(len(follower.told) >= 20 * 12 for follower in followers))
    for follower in followers:
        assert len(follower.told) == 20 * 12
        assert all(seqs(follower.of(f"run_{number}")) == list(range(1, 8)) for number in range(20))
    assert [one.news for one in followers[0].told] == [one.news for one in followers[1].told]
    for follower in followers:
        await follower.end()
    for server in servers:
        await server.close()


async def test_a_run_that_is_purged_in_the_middle_ends_nobody_s_stream() -> None:
    state = State()
    service = a_feed(state.feed)
    follower = Follower(service.follow())
    await started(follower)
    await a_life(state, "run_a")
    await state.runs.delete("run_a")
    await a_life(state, "run_b")
    await until(lambda: len(follower.of("run_b")) == 12)
    again = Follower(service.follow(after=str(Place())))
    await until(lambda: len(again.of("run_b")) == 12)
    assert not again.of("run_a")
    for each in (follower, again):
        await each.end()


async def a_waiting_run(bench: Bench) -> run.Run:
    bench.image(IMAGE, copies("image", "resized", seconds=1.0))
    return await bench.start(a_flow(*a_chain(2)))


async def test_waiting_ends_with_the_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        this = await a_waiting_run(bench)
        service = Feed(bench.world.feed, bench.runs)
        waiting = asyncio.create_task(service.wait(this.id, 60))
        await bench.upload(this, "e0", PNG)
        await bench.until(waiting.done)
        assert await waiting
        assert (await bench.runs.find(this.id)).status is run.Status.COMPLETE
        assert await service.wait(this.id, 60)


async def test_waiting_ends_with_the_time(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        this = await a_waiting_run(bench)
        service = Feed(bench.world.feed, bench.runs)
        assert not await service.wait(this.id, 0.01)
        assert not bench.kept.shelf.listeners.get(this.id)
        with pytest.raises(errors.UnknownRun):
            await service.wait("run_none", 1)
