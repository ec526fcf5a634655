"""What is done for an attempt while it is saved that it begins: it may come to nothing, and counts for no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain.run import NodeStatus, Run, Status
from pupload.engine.arming import Budget
from tests.bench import PNG, ROOM, TEXT, Bench, a_bench, assemble, copies
from tests.builders import a_chain, a_flow
from tests.engine.test_arming import left, nothing_left
from tests.engine.worlds import Faulty, Gate, OneStore, raises

IMAGE = "pupload/resize:latest"


@asynccontextmanager
async def waiting(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Bench, Run, Faulty, Faulty]]:
    """A run of two nodes whose containers wait for the upload; its saves, and its store."""
    async with a_bench(tmp_path, armed=Budget(nodes=16, seconds=600.0), **more) as plain:
        await plain.engine.close()
        runs, store = Faulty(plain.world.runs), Faulty(plain.store)
        bench = assemble(replace(plain.world, runs=runs, stores=OneStore(store)), plain.config, plain)
        bench.image(IMAGE, copies("image", "resized"))
        await bench.engine.start()
        try:
            run = await bench.start(a_flow(*a_chain(2)))
            await bench.until(lambda: len(bench.executor.armed) == 2)
            yield bench, run, runs, store
        finally:
            await bench.engine.close()


async def being_saved(bench: Bench, run: Run, runs: Faulty, store: Faulty) -> Gate:
    """The upload is there, and it is held up that this is saved; the input lies where the container waits."""
    gate = runs.before["save"] = Gate()
    await bench.upload(run, "e0", PNG)
    await bench.until(gate.reached.is_set)
    await bench.until(lambda: bool(laid(bench)))
    assert store.calls.count("fetch") == 1
    assert not bench.executor.starts
    return gate


def laid(bench: Bench) -> list[Path]:
    """Inputs that lie in attempts' directories."""
    return list(bench.config.attempts_root.glob("*/in/image*"))


async def test_inputs_are_laid_while_it_is_saved_and_once(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (bench, run, runs, store):
        gate = await being_saved(bench, run, runs, store)
        del runs.before["save"]
        gate.opened.set()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e2") == PNG
        assert store.calls.count("fetch") == 2, "each of two inputs once"
        await nothing_left(bench, run)


async def test_what_was_laid_for_other_inputs_is_not_used(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (bench, run, runs, store):
        gate = await being_saved(bench, run, runs, store)
        (path,), (work,) = laid(bench), bench.engine.attempts.reservations._held.values()
        assert work.ahead is not None
        assert work.ahead.fetching is not None
        await work.ahead.fetching
        path.unlink()
        path.write_bytes(TEXT)
        work.ahead.given = (None,)
        del runs.before["save"]
        gate.opened.set()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e2") == PNG


async def test_what_was_laid_where_nothing_waits_any_more_is_laid_anew(tmp_path: Path) -> None:
    """The container was armed for too long while the database was away, and was taken down with its directory."""
    async with waiting(tmp_path) as (bench, run, runs, store):
        gate = await being_saved(bench, run, runs, store)
        await bench.until(lambda: not bench.executor.armed, step=60.0)
        await bench.until(lambda: not laid(bench))
        del runs.before["save"]
        gate.opened.set()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e2") == PNG


async def test_where_it_is_not_saved_it_is_decided_again_and_what_was_laid_serves(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (bench, run, runs, _):
        runs.before["save"] = raises(errors.DatabaseUnavailable(reason="for a test"), times=2)
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e2") == PNG
        await nothing_left(bench, run)


@pytest.mark.parametrize(
    "error", [errors.StoreUnavailable(store="memory", reason="x"), OSError("x")], ids=["away", "odd"]
)
async def test_a_store_that_is_away_meanwhile_is_asked_again(tmp_path: Path, error: Exception) -> None:
    async with waiting(tmp_path) as (bench, run, _, store):
        store.before["fetch"] = raises(error, times=1)
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e2") == PNG


async def test_a_run_that_is_cancelled_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (bench, run, runs, store):
        gate = await being_saved(bench, run, runs, store)
        cancelling = asyncio.ensure_future(bench.runs.cancel(run.id, mode="kill"))
        del runs.before["save"]
        gate.opened.set()
        await cancelling
        run = await bench.ended(run)
        assert run.status is Status.STOPPED
        await nothing_left(bench, run)


async def test_an_attempt_that_never_comes_is_nobodys(tmp_path: Path) -> None:
    """Its room goes to others, and its inputs are laid anew for whoever comes."""
    async with waiting(tmp_path, room=replace(ROOM, attempts=1)) as (bench, run, runs, store):
        gate = await being_saved(bench, run, runs, store)
        bench.engine.attempts.reservations.give_back(run.id)
        assert not bench.engine.admission.holders
        del runs.before["save"]
        gate.opened.set()
        run = await bench.ended(run)
        assert run.nodes["n0"].status is NodeStatus.COMPLETE
        assert await bench.download(run, "e2") == PNG
        await nothing_left(bench, run)


async def test_work_that_was_done_before_needs_no_inputs(tmp_path: Path) -> None:
    async with waiting(tmp_path, memoize=True) as (bench, run, _, _):
        await bench.upload(run, "e0", PNG)
        await bench.ended(run)
        before = len(bench.executor.starts)
        again = await bench.start(a_flow(*a_chain(2)))
        await bench.until(lambda: len(bench.executor.armed) == 2)
        await bench.upload(again, "e0", PNG)
        again = await bench.ended(again)
        assert again.nodes["n1"].reused
        assert len(bench.executor.starts) == before
        await nothing_left(bench, again)
        await bench.until(lambda: not left(bench), step=0.5)
