"""Purging all runs that are old, whatever happens meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain.run import Run, Status
from pupload.engine import retention
from tests.bench import PNG, Bench, a_bench, copies, ends
from tests.builders import a_chain, a_flow
from tests.engine.test_retention import HOUR, IMAGE, _Killer, a_chain_run, is_gone, keeping, keys, later
from tests.engine.worlds import Faulty, OneStore, raises

DAY = timedelta(days=1)


async def a_failed_run(bench: Bench) -> Run:
    """`e1` was made, and the second node failed."""
    bench.image("p/broken:latest", ends(code=1))
    first, second = a_chain(2)
    flow = a_flow(first, replace(second, uses="p/broken"))
    bench.image(IMAGE, copies("image", "resized"))
    run = await bench.start(flow)
    await bench.upload(run, "e0", PNG)
    return await bench.ended(run, step=1)


async def test_all_runs_that_are_over_and_started_before_are_gone_at_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = [await a_chain_run(bench) for _ in range(3)]
        waiting = await bench.start(a_flow(*a_chain(2)))
        half = await bench.start(a_flow(*a_chain(1)))
        stopped = (await bench.runs.cancel(half.id)).run
        middle = bench.clock.now()
        await later(bench, HOUR)
        young = await a_chain_run(bench)
        assert await bench.engine.retention.purge_older(middle) == 3
        for run in old:
            assert await is_gone(bench, run)
        assert [await is_gone(bench, run) for run in (waiting, stopped, young)] == [False, False, False]
        await later(bench, 60)
        assert await keys(bench) == [f"{young.id}/{edge}" for edge in ("e0", "e1", "e2")]
        assert await bench.engine.retention.purge_older(middle) == 0


async def test_many_are_doomed_so_many_in_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DOOMED_AT_ONCE", 2)
    async with a_bench(tmp_path) as bench:
        old = [await a_chain_run(bench) for _ in range(5)]
        assert await bench.engine.retention.purge_older(bench.clock.now()) == 5
        assert [await is_gone(bench, run) for run in old] == [True] * 5


async def test_objects_stay_that_a_run_needs_which_resumed_one_of_them(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_failed_run(bench)
        middle = bench.clock.now()
        await later(bench, HOUR)
        bench.image("p/broken:latest", copies("image", "resized"))
        new = (await bench.runs.resume(old.id)).run
        new = await bench.ended(new, step=1)
        assert new.status is Status.COMPLETE
        assert await bench.engine.retention.purge_older(middle) == 1
        await later(bench, 60)
        assert await is_gone(bench, old)
        assert await bench.download(new, "e1") == PNG
        assert await bench.download(new, "e2") == PNG


async def test_a_database_that_is_away_for_a_while_loses_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_chain_run(bench)
        runs = Faulty(bench.world.runs)
        async with keeping(bench, runs=runs) as kept:
            runs.before["doom_older"] = raises(errors.DatabaseUnavailable(reason="away"), times=1)
            with pytest.raises(errors.DatabaseUnavailable):
                await kept.engine.retention.purge_older(kept.clock.now())
            assert not await is_gone(kept, old)
            assert await kept.engine.retention.purge_older(kept.clock.now()) == 1


async def _killed_at(root: Path, at: int, *, after: bool) -> Sequence[str]:
    """Purges two of three runs, killed at a call. Returns the calls until then."""
    async with a_bench(root) as bench:
        old = [await a_chain_run(bench) for _ in range(2)]
        middle = bench.clock.now()
        await later(bench, HOUR)
        young = await a_chain_run(bench)
        killer = _Killer(at, after=after)
        stores = OneStore(killer.before(bench.store))
        async with keeping(bench, runs=killer.before(bench.world.runs), stores=stores) as dying:
            await later(dying, 30)
            killer.armed = True
            asking = asyncio.ensure_future(dying.engine.retention.purge_older(middle))
            await later(dying, 60)
            asking.cancel()
        async with keeping(bench) as again:
            gone = [await is_gone(again, run) for run in old]
            await again.engine.retention.purge_older(middle)
            assert [await is_gone(again, run) for run in old] == [True, True], gone
            await later(again, 1200)
            assert await keys(again) == [f"{young.id}/{edge}" for edge in ("e0", "e1", "e2")], killer.calls
            assert not await is_gone(again, young)
            assert await again.world.runs.doomed(again.clock.now() + DAY) == []
            assert [await again.world.journal.read(run.id) for run in old] == [[], []]
        return killer.calls


@pytest.mark.parametrize("after", [False, True])
async def test_whoever_is_killed_while_purging_leaves_nothing_half_done(
    tmp_path: Path, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "DOOMED_AT_ONCE", 1)
    calls = await _killed_at(tmp_path / "whole", 1 << 30, after=after)
    assert calls.count("doom_older") == 3
    assert {"kept_by_kin", "delete", "erase"} <= set(calls)
    for at in range(1, len(calls) + 1):
        await _killed_at(tmp_path / str(at), at, after=after)
