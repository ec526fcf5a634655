"""Journals and logs, read as they grow."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome, Said
from pupload.domain.events import RunStopped
from pupload.domain.run import Run, Status
from pupload.ports import ContainerOrder
from pupload.service import following
from tests.bench import PNG, Bench, a_bench, copies, ends
from tests.builders import a_chain, a_definition, a_flow, a_node
from tests.engine.worlds import Faulty

IMAGE = "pupload/resize:latest"


class Reader:
    """Reads a stream in the background; what it got is in `got`."""

    def __init__(self, stream: AsyncIterator[Sequence[Any]]) -> None:
        self.got: list[Any] = []
        self.groups: list[int] = []
        self._stream = stream
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for group in self._stream:
            self.groups.append(len(group))
            self.got.extend(group)

    async def all(self) -> list[Any]:
        async with asyncio.timeout(10):
            await self.task
        return self.got


async def read(stream: AsyncIterator[Sequence[Any]]) -> list[Any]:
    return await Reader(stream).all()


def talks(lines: int = 5, *, seconds: float = 10.0) -> Any:
    def script(order: ContainerOrder) -> Outcome:
        (order.outputs / "resized").write_bytes(PNG)
        said = [Said(text=f"{order.attempt.node} {n}", after_seconds=n * seconds / lines) for n in range(lines)]
        return Outcome(seconds=seconds, said=said)

    return script


async def a_talking_run(bench: Bench, **options: Any) -> Run:
    bench.image(IMAGE, talks(**options))
    return await bench.start(a_flow(*a_chain(2)))


@pytest.mark.parametrize("begin", ["before", "during", "after"])
async def test_whenever_one_begins_to_follow_all_is_given_once_and_it_ends_with_the_run(
    tmp_path: Path, begin: str
) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_talking_run(bench)

        def follow() -> tuple[Reader, Reader]:
            return Reader(bench.runs.events(run.id, follow=True)), Reader(bench.runs.logs(run.id, follow=True))

        readers = follow() if begin == "before" else None
        await bench.upload(run, "e0", PNG)
        if begin == "during":
            await bench.until(lambda: bool(bench.executor.alive))
            await bench.clock.run_for(3)
            readers = follow()
        await bench.ended(run, step=0.5)
        events, logs = readers or follow()
        entries = await events.all()
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert entries == list(await bench.world.journal.read(run.id))
        records = await logs.all()
        assert [record.line.message for record in records] == [f"n{n} {line}" for n in range(2) for line in range(5)]


async def test_a_reader_that_was_cut_off_goes_on_at_its_cursor(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_talking_run(bench)
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.clock.run_for(5)
        entries, records = await read(bench.runs.events(run.id)), await read(bench.runs.logs(run.id))
        assert 0 < len(records) < 10
        events = Reader(bench.runs.events(run.id, after=entries[-1].seq, follow=True))
        logs = Reader(bench.runs.logs(run.id, since=records[-1].cursor, follow=True))
        await bench.ended(run, step=0.5)
        assert entries + await events.all() == list(await bench.world.journal.read(run.id))
        assert records + await logs.all() == list(await bench.world.journal.read_logs(run.id))


async def test_without_following_what_is_there_is_given(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        assert [entry.seq for entry in await read(bench.runs.events(run.id))] == [1, 2]
        assert await read(bench.runs.logs(run.id)) == []
        assert await read(bench.runs.events(run.id, after=99)) == []


async def test_logs_are_of_a_node_or_an_attempt_if_one_is_named(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(code=1, said=["oh no"]))
        nodes = (a_node("a", inputs={}), a_node("b", inputs={}))
        run = await bench.start(a_flow(*nodes), [a_definition(max_attempts=2)])
        await bench.ended(run, step=0.1)

        async def places(**which: Any) -> list[tuple[str, int]]:
            return sorted((one.node, one.attempt) for one in await read(bench.runs.logs(run.id, follow=True, **which)))

        assert await places() == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
        assert await places(node="a") == [("a", 1), ("a", 2)]
        assert await places(attempt=2) == [("a", 2), ("b", 2)]
        assert await places(node="b", attempt=1) == [("b", 1)]
        assert await places(node="c") == []


async def test_much_comes_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "GROUP", 7)
    async with a_bench(tmp_path) as bench:
        run = await a_talking_run(bench, lines=50)
        await bench.upload(run, "e0", PNG)
        await bench.ended(run, step=0.5)
        for stream in (bench.runs.logs(run.id, follow=True), bench.runs.events(run.id, follow=True)):
            reader = Reader(stream)
            got = await reader.all()
            assert max(reader.groups) == 7
            assert sum(reader.groups) == len(got) == len({id(one) for one in got})


async def test_a_cancelled_run_ends_its_followers(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        events, logs = Reader(bench.runs.events(run.id, follow=True)), Reader(bench.runs.logs(run.id, follow=True))
        await bench.clock.run_for(1)
        assert not events.task.done()
        assert not logs.task.done()
        await bench.runs.cancel(run.id)
        assert type((await events.all())[-1].event).__name__ == "RunStopped"
        assert await logs.all() == []


async def test_following_what_is_not_there_says_so_at_the_first_step(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        for stream in (bench.runs.events("nonsense"), bench.runs.logs("run_01HZX3K9T8Q2B7M4N6P5R1S0VW")):
            with pytest.raises(errors.UnknownRun):
                await read(stream)


async def test_nobody_is_told_otherwise_once_the_end_was_seen(tmp_path: Path) -> None:
    """The journal has the end before the run's owner has heard that it was saved."""
    async with a_bench(tmp_path) as bench:
        run = await a_talking_run(bench)
        await bench.runs.cancel(run.id)
        ended = await bench.ended(run)
        answers = [run, run, run, ended]

        async def find(_: str) -> Run:
            return answers.pop(0) if len(answers) > 1 else answers[0]

        follower = following.Follower(bench.world.journal)
        async for group in follower.events(find, run.id, after=0, follow=True):
            if isinstance(group[-1].event, RunStopped):
                assert answers == [ended]
                return
        raise AssertionError("it did not end")


async def test_a_reader_that_goes_away_is_forgotten(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        readers = [Reader(bench.runs.events(run.id, follow=True)) for _ in range(5)]
        await bench.clock.run_for(1)
        for reader in readers:
            reader.task.cancel()
        await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
        del readers
        for _ in range(5):
            await asyncio.sleep(0)
        assert run.id not in bench.world.journal._shelf.listeners  # type: ignore[attr-defined]


async def test_a_slow_reader_loses_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(*a_chain(20)))
        stream = bench.runs.events(run.id, follow=True)
        seqs = [entry.seq for entry in await anext(stream)]
        await bench.upload(run, "e0", PNG)
        assert (await bench.ended(run)).status is Status.COMPLETE
        async for group in stream:
            seqs += [entry.seq for entry in group]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) > 80


@pytest.mark.parametrize("what", ["logs", "events"])
async def test_whoever_follows_a_run_that_is_purged_comes_to_an_end(tmp_path: Path, what: str) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await _with_its_upload(bench))
        follower = bench.engine.world.journal
        asked: list[str] = []

        async def find(run_id: str) -> Run:
            asked.append(run_id)
            if len(asked) == 1:
                return run  # it was there when the reader came
            return await bench.runs.find(run_id)

        await bench.runs.purge(run.id)
        await bench.until(lambda: bench.engine.retention.purged == 1)
        reader = following.Follower(follower)
        stream = (
            reader.logs(find, run.id, node=None, attempt=None, since=0, follow=True)
            if what == "logs"
            else reader.events(find, run.id, after=0, follow=True)
        )
        assert await read(stream) == []


async def _with_its_upload(bench: Bench) -> Run:
    run = await a_talking_run(bench, lines=1, seconds=0.1)
    await bench.upload(run, "e0", PNG)
    return run


async def test_what_was_read_to_its_end_is_not_read_again_for_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        journal = Faulty(bench.world.journal)
        follower = following.Follower(journal)
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(*a_chain(2)))
        events = Reader(follower.events(bench.engine.driver.look, run.id, after=0, follow=True))
        await bench.upload(run, "e0", PNG)
        await bench.ended(run)
        await events.all()
        assert journal.calls.count("read") < 2 * len(events.groups), "a wake-up may come twice, now and then"
