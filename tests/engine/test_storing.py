"""Outputs are stored while the engine still finds out how their node ended; they count only where that was well."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome
from pupload.domain import events
from pupload.domain.run import Failure, NodeStatus, Run, Status
from pupload.engine import footprint
from pupload.ports import ContainerOrder, Exit
from tests.bench import LIMITS, PNG, Bench, a_bench
from tests.builders import a_definition, a_flow, a_node, a_port, a_well
from tests.engine.worlds import Faulty, Gate, OneStore, changed, raises

IMAGE = "pupload/resize:latest"
TOLD_AFTER = 1.0
"""Seconds of virtual time in which a node has ceased, and nobody knows how it ended."""


def makes(code: int = 0, *, seconds: float = 0.0) -> Any:
    """A node that writes its output and ends with the code, of which the engine hears late."""

    def script(order: ContainerOrder) -> Outcome:
        (order.outputs / "resized").write_bytes(PNG)
        return Outcome(code=code, seconds=seconds, told_after_seconds=TOLD_AFTER)

    return script


def lone(**flow: Any) -> Any:
    """A flow of one node without inputs."""
    return a_flow(a_node(inputs={}, outputs={"resized": "small"}), **flow)


async def keys_of(bench: Bench) -> list[str]:
    return [found.key async for found in bench.store.list()]


async def stored_early(bench: Bench) -> Run:
    """A run whose node's output is stored, while nobody knows how it ended."""
    run = await bench.start(lone(), [a_definition(max_attempts=1)])
    await bench.until(lambda: bool(bench.store._objects), step=0.001)
    live = bench.engine.driver.live[run.id]
    assert live.nodes["resize"].status is NodeStatus.RUNNING
    assert not live.artifacts
    return run


async def test_an_output_is_stored_before_it_is_known_how_the_node_ended(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, makes())
        run = await bench.ended(await stored_early(bench))
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "small") == PNG
        assert len(run.nodes["resize"].attempts) == 1


class Known:
    """An executor that knows how a container ended before anybody asks: it ended while nobody looked."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._exits: dict[Any, Exit] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def ensure_started(self, order: ContainerOrder) -> None:
        await self._real.ensure_started(order)
        self._exits[order.attempt] = await self._real.wait(order.attempt)

    async def wait(self, attempt: Any) -> Exit:
        return self._exits[attempt]  # at once: nothing else has its turn before


@pytest.mark.parametrize("code", [0, 3])
async def test_whose_end_is_known_at_once_is_looked_at_all_the_same(tmp_path: Path, code: int) -> None:
    async with a_bench(tmp_path) as first, changed(first, executor=Known(first.executor)) as bench:
        bench.image(IMAGE, makes(code=code))
        run = await bench.ended(await bench.start(lone(), [a_definition(max_attempts=1)]), step=0.1)
        assert run.status is (Status.ERROR if code else Status.COMPLETE)
        assert bool(await keys_of(bench)) is not bool(code)


async def test_what_a_node_wrote_that_ended_badly_is_withdrawn(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, makes(code=3))
        run = await bench.ended(await stored_early(bench))
        assert (run.status, run.artifacts) == (Status.ERROR, {})
        assert await keys_of(bench) == []


async def test_nothing_is_stored_of_a_node_that_wrote_too_much(tmp_path: Path) -> None:
    async with a_bench(tmp_path, limits=replace(LIMITS, output_files=3)) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:

            def script(order: ContainerOrder) -> Outcome:
                for name in ("resized", "a", "b", "c"):
                    (order.outputs / name).write_bytes(PNG)
                return Outcome(told_after_seconds=TOLD_AFTER)

            bench.image(IMAGE, script)
            run = await bench.ended(await bench.start(lone()))
            (attempt,) = run.nodes["resize"].attempts
            assert attempt.failure == Failure.STORAGE
            assert "put_file" not in store.calls


async def test_what_a_well_names_is_not_touched_before_the_node_has_ended_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        flow = lone(wells=[a_well("small", key="results/${FLOW_NAME}/${DATE}")])
        bench.image(IMAGE, makes())
        run = await bench.ended(await bench.start(flow, [a_definition(max_attempts=1)]))
        assert run.status is Status.COMPLETE
        key = run.artifacts["small"].key
        earlier = await bench.store.stat(key)
        bench.image(IMAGE, makes(code=3))
        run = await bench.ended(await bench.start(flow, [a_definition(max_attempts=1)]))
        assert run.status is Status.ERROR
        assert await bench.store.stat(key) == earlier


@pytest.mark.parametrize("code", [0, 3])
async def test_a_crash_between_the_two_is_survived(tmp_path: Path, code: int) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)

        async def take(key: str, path: Path, **_: object) -> None:
            await asyncio.to_thread(path.unlink)  # as the embedded store does

        store.after["put_file"] = take
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, makes(code))
            run = await stored_early(bench)
            again = await bench.restarted()
            run = await again.ended(run)
            assert sum(again.executor.starts.values()) == 1
            if code:
                assert run.status is Status.ERROR
                await again.until(lambda: not again.store._objects)
            else:
                assert run.status is Status.COMPLETE
                assert await again.download(run, "small") == PNG
            await again.engine.close()


@pytest.mark.parametrize("code", [0, 3])
async def test_a_cancel_between_the_two_leaves_what_the_run_took_and_nothing_else(tmp_path: Path, code: int) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, makes(code))
        run = await stored_early(bench)
        await bench.runs.cancel(run.id)
        run = await bench.ended(run)
        assert run.status is (Status.STOPPED if code else Status.COMPLETE), "it had ended well before it was cancelled"
        await bench.until(lambda: not bench.executor.left)
        assert await keys_of(bench) == [found.key for found in run.artifacts.values()]


async def test_a_node_that_is_being_stopped_is_stored_only_when_its_end_is_known(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, makes(seconds=3600))
            run = await bench.start(lone(), [a_definition(max_attempts=1)])
            await bench.until(lambda: bool(bench.executor.alive))
            await bench.runs.cancel(run.id)
            assert (await bench.ended(run)).status is Status.STOPPED
            assert "put_file" not in store.calls


async def test_a_store_that_took_a_file_and_fell_silent_keeps_nothing_of_a_failed_node(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        away = errors.StoreUnavailable(store="default", endpoint="memory", reason="it is switched off")
        store.after["put_file"] = raises(away)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, makes(code=3))
            run = await bench.ended(await stored_early(bench))
            assert run.status is Status.ERROR
            assert await keys_of(bench) == []


async def test_what_is_not_wanted_by_the_time_there_is_room_leaves_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        executor, gate = Faulty(first.executor), Gate()
        async with changed(first, executor=executor) as bench:
            bench.image(IMAGE, makes())

            def nothing_meant(run_id: str, report: events.Report) -> "asyncio.Future[bool]":
                if not isinstance(report, events.NodeAdmitted):
                    return real(run_id, report)
                told = asyncio.get_running_loop().create_future()
                told.set_result(False)
                return told

            async def over(run_id: str) -> Run:
                return replace(await look(run_id), nodes={"resize": replace(run.nodes["resize"], attempts=())})

            run = await first.start(a_flow(), [a_definition(max_attempts=1)])
            driver = bench.engine.driver
            real, look = driver.ask, driver.look
            await bench.engine.driver.take_up([run.id])
            executor.before["resolve_image"] = gate
            driver.ask = nothing_meant  # type: ignore[method-assign]
            bench.engine.attempts.reservations.reserve = lambda *_: False  # type: ignore[method-assign]  # there is none at once
            await bench.upload(run, "resize-in", PNG)
            await bench.until(gate.reached.is_set)
            driver.look = over  # type: ignore[method-assign]
            gate.opened.set()
            await bench.until(lambda: not len(bench.engine.attempts))
            assert not bench.executor.starts
            assert list(bench.config.attempts_root.iterdir()) == []


async def test_a_slow_look_does_not_take_back_what_was_too_much(tmp_path: Path) -> None:
    bounds = footprint.Bounds(bytes=1 << 20, files=1, tier="c-nano")
    looking = footprint.Footprint(clock=None, folder=tmp_path, bounds=bounds)  # type: ignore[arg-type]
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    await looking.look()
    assert "files" in looking.too_much
    (tmp_path / "a").unlink()
    await looking.look()
    assert "files" in looking.too_much


async def test_many_outputs_are_all_found(tmp_path: Path) -> None:
    names = [f"out{number}" for number in range(40)]
    async with a_bench(tmp_path) as bench:

        def script(order: ContainerOrder) -> Outcome:
            for name in names:
                (order.outputs / name).write_bytes(PNG)
            return Outcome(told_after_seconds=TOLD_AFTER)

        definition = a_definition(outputs=[a_port(name) for name in names])
        bench.image(definition.image, script)
        flow = a_flow(a_node(inputs={}, outputs={name: name for name in names}))
        run = await bench.ended(await bench.start(flow, [definition]))
        assert run.status is Status.COMPLETE
        assert sorted(run.artifacts) == sorted(names)


async def test_the_steps_of_an_attempt_take_one_trip_to_a_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[str] = []
    go = asyncio.to_thread

    async def counted(work: Any, *given: Any, **named: Any) -> Any:
        trips.append(getattr(work, "__name__", repr(work)))
        return await go(work, *given, **named)

    async with a_bench(tmp_path) as first:
        journal = Faulty(first.world.journal)
        async with changed(first, journal=journal) as bench:
            names = [f"out{number}" for number in range(5)]

            def script(order: ContainerOrder) -> Outcome:
                for name in names:
                    (order.outputs / name).write_bytes(PNG)
                return Outcome(told_after_seconds=0.2)  # no look comes in between

            definition = a_definition(outputs=[a_port(name) for name in names])
            bench.image(definition.image, script)
            monkeypatch.setattr(asyncio, "to_thread", counted)
            run = await bench.start(a_flow(a_node(inputs={}, outputs={name: name for name in names})), [definition])
            run = await bench.ended(run)
            assert run.status is Status.COMPLETE
            assert trips.count("make") == 1
            assert trips.count("_look_briefly") == 1
            assert not {"_look_long", "_seen", "sha256_of_file", "look_now"} & set(trips), "these look for themselves"
            assert "count_logs" not in journal.calls, "nobody can have written a line of a new attempt"
            assert "write_logs" not in journal.calls, "an empty log costs no commit"


async def test_an_attempt_that_says_nothing_takes_few_tasks(tmp_path: Path) -> None:
    begun: Counter[str] = Counter()
    loop = asyncio.get_running_loop()

    def counted(loop: asyncio.AbstractEventLoop, work: Any, **rest: Any) -> "asyncio.Task[Any]":
        begun[work.__qualname__] += 1
        return asyncio.Task(work, loop=loop, **rest)

    def script(order: ContainerOrder) -> Outcome:
        (order.outputs / "resized").write_bytes(PNG)
        return Outcome()

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, script)
        run = await bench.start(a_flow())
        loop.set_task_factory(counted)
        try:
            await bench.upload(run, "resize-in", PNG)
            assert (await bench.ended(run)).status is Status.COMPLETE
        finally:
            loop.set_task_factory(None)
    of_attempts = {name: count for name, count in begun.items() if name.split(".")[0] in _PARTS}
    assert of_attempts == {
        "Attempts._make": 1,
        "Attempts._patiently": 2,  # the image's id, the log
        "Outputs._store_early": 1,
        "Attempts._see_to": 1,
    }


_PARTS = {"Attempts", "Outputs", "LogPump", "Staging", "Footprint", "Admission", "patiently", "again"}
