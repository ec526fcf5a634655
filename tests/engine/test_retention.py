"""What ended runs do not keep any longer goes, in two steps, and nothing else does."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain.retention import Terms
from pupload.domain.run import Run, Status
from pupload.engine.retention import Keeping
from tests.bench import PNG, TEXT, Bench, a_bench, assemble, copies, ends
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port, a_store, a_well
from tests.engine.worlds import Faulty, OneStore, raises

IMAGE = "pupload/resize:latest"
HOUR, DAY = 3600.0, 86400.0
TURNS = 200
"""Of the loop: what one round takes, and more."""
WEEK = Keeping(terms=Terms(resumable_seconds=7 * DAY, keep_runs_seconds=None))


@asynccontextmanager
async def keeping(bench: Bench, kept: Keeping = WEEK, *, own_store: bool = True, **parts: Any) -> AsyncIterator[Bench]:
    """The same world with an engine that keeps things so long."""
    await bench.engine.close()
    config = replace(bench.config, keeping=kept, own_store=own_store)
    other = assemble(replace(bench.world, **parts), config, bench)
    await other.engine.start()
    try:
        yield other
    finally:
        await other.engine.close()


async def a_chain_run(bench: Bench, *wells: Any) -> Run:
    """`e0` came in, `e1` passed between the nodes, `e2` is the result."""
    bench.image(IMAGE, copies("image", "resized"))
    run = await bench.start(a_flow(*a_chain(2), wells=wells))
    await bench.upload(run, "e0", PNG)
    return await bench.ended(run)


async def later(bench: Bench, seconds: float) -> None:
    """So much later, at once; what is due then is done."""
    bench.clock.advance(seconds)
    for _ in range(10):
        await bench.clock.run_for(2)
        for _ in range(TURNS):
            await asyncio.sleep(0)


async def keys(bench: Bench) -> list[str]:
    return [found.key async for found in bench.store.list()]


async def is_gone(bench: Bench, run: Run) -> bool:
    try:
        await bench.runs.status(run.id)
    except errors.UnknownRun:
        return True
    return False


async def test_an_object_goes_when_its_lifetime_is_over_and_the_run_says_so(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench, a_well("e2", lifetime="24h"))
        ended_at = run.finished_at
        assert ended_at is not None
        await later(bench, DAY - HOUR)
        assert await bench.download(run, "e2") == PNG
        await later(bench, HOUR + 60)
        assert await keys(bench) == [f"{run.id}/e0", f"{run.id}/e1"]
        view = await bench.view(run)
        assert view.artifacts["e2"].url == ""
        deleted_at = view.artifacts["e2"].deleted_at
        assert deleted_at is not None
        assert timedelta(0) <= deleted_at - (ended_at + timedelta(days=1)) < timedelta(minutes=2)
        assert view.artifacts["e1"].url
        assert (await bench.engine.driver.look(run.id)).status is Status.COMPLETE


async def test_what_only_passed_between_nodes_is_kept_while_the_run_can_be_resumed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench)
        await later(bench, 7 * DAY - HOUR)
        assert f"{run.id}/e1" in await keys(bench)
        await later(bench, 2 * HOUR)
        assert await keys(bench) == [f"{run.id}/e0", f"{run.id}/e2"]
        with pytest.raises(errors.Conflict, match=r"e1 \(deleted at 2026-03-10"):
            await bench.runs.resume(run.id, from_node="n1")


async def test_a_run_is_purged_when_its_time_is_over(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench, keeping(bench, Keeping(terms=Terms(keep_runs_seconds=30 * DAY))) as kept:
        run = await a_chain_run(kept)
        await later(kept, 30 * DAY - HOUR)
        assert not await is_gone(kept, run)
        await later(kept, 2 * HOUR)
        assert await is_gone(kept, run)
        assert await keys(kept) == []
        assert await kept.world.journal.read(run.id) == []


async def test_a_run_that_ended_unseen_and_one_kept_by_other_terms_before_are_found(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench)
        await later(bench, 10 * DAY)  # planned by the old terms: never again
        async with keeping(bench, Keeping(terms=Terms(keep_runs_seconds=DAY))) as shorter:
            await later(shorter, 60)
            assert await is_gone(shorter, run)
            assert await keys(shorter) == []


async def test_a_purge_on_request_takes_everything_and_needs_an_ended_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench)
        other = await a_chain_run(bench)
        waiting = await bench.start(a_flow())
        with pytest.raises(errors.NotOver, match="cancel it first"):
            await bench.runs.purge(waiting.id)
        await bench.runs.purge(run.id)
        assert await is_gone(bench, run), "at once"
        with pytest.raises(errors.UnknownRun):
            await bench.runs.purge(run.id)
        with pytest.raises(errors.UnknownRun):
            await bench.runs.resume(run.id)
        await later(bench, 5)
        assert await keys(bench) == [f"{other.id}/{edge}" for edge in ("e0", "e1", "e2")]
        assert bench.engine.retention.purged == 1
        assert [each.id for each in (await bench.runs.list()).runs] == [waiting.id, other.id]


async def test_a_static_object_is_never_deleted(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await bench.store.put_bytes("shared/logo.png", PNG, content_type="image/png")
        well = a_well("resize-in", source="static", key="shared/logo.png", lifetime="1h")
        run = await bench.ended(await bench.start(a_flow(wells=[well])))
        assert run.status is Status.COMPLETE
        await later(bench, 2 * HOUR)
        assert "shared/logo.png" in await keys(bench)
        await bench.runs.purge(run.id)
        await later(bench, 5)
        assert await keys(bench) == ["shared/logo.png"]


async def test_under_a_key_of_the_day_only_what_the_run_made_itself_is_deleted(tmp_path: Path) -> None:
    well = a_well("resize-out", key="results/${DATE}.png", lifetime="2h")

    async def run_it(bench: Bench) -> Run:
        run = await bench.start(a_flow(wells=[well]))
        await bench.upload(run, "resize-in", PNG)
        return await bench.ended(run)

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await run_it(bench)
        await later(bench, HOUR)
        await run_it(bench)  # puts the same bytes under the same key, an hour later
        await later(bench, 1.5 * HOUR)
        assert "results/2026-03-03.png" in await keys(bench), "it is the second run's by now"
        assert (await bench.view(first)).artifacts["resize-out"].deleted_at
        await later(bench, HOUR)
        assert "results/2026-03-03.png" not in await keys(bench)


# ── Runs that share objects ──────────────────────────────────────────────────────────────────────────────────────


async def a_failed_run(bench: Bench, *, failing: str = "n1") -> Run:
    """`e0` came in, `e1` was made; the second node failed."""
    bench.image("good", copies("image", "resized"))
    bench.image("bad", ends(code=1))
    nodes = (
        a_node("n0", uses="t/good", inputs={"image": "e0"}, outputs={"resized": "e1"}),
        a_node("n1", uses="t/bad", inputs={"image": "e1"}, outputs={"resized": "e2"}),
    )
    definitions = [
        a_definition("t/good", image="good"),
        a_definition("t/bad", image="bad", max_attempts=1, inputs=[a_port("image")], outputs=[a_port("resized")]),
    ]
    run = await bench.start(a_flow(*nodes), definitions)
    await bench.upload(run, "e0", PNG)
    return await bench.ended(run)


async def resumed(bench: Bench, run: Run) -> Run:
    bench.image("bad", copies("image", "resized"))
    return await bench.ended((await bench.runs.resume(run.id)).run)


async def test_what_a_younger_run_still_shows_outlives_the_one_that_made_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_failed_run(bench)
        await later(bench, 6 * DAY)
        young = await resumed(bench, old)
        assert young.artifacts["e1"].key == f"{old.id}/e1"
        await later(bench, 2 * DAY)  # the old one cannot be resumed any more, the young one can
        assert (await bench.engine.driver.look(old.id)).gone.keys() == {"e1"}
        assert await bench.download(young, "e1") == PNG
        await bench.runs.purge(old.id)
        await later(bench, 5)
        assert await is_gone(bench, old)
        assert await keys(bench) == [f"{old.id}/e0", f"{old.id}/e1", f"{young.id}/e2"]
        assert await bench.download(young, "e0") == PNG
        again = await bench.ended((await bench.runs.resume(young.id, from_node="n1")).run)
        assert again.status is Status.COMPLETE
        await bench.runs.purge(young.id)
        await later(bench, 5)
        assert await bench.download(again, "e1") == PNG
        await bench.runs.purge(again.id)
        await later(bench, 5)
        assert await keys(bench) == [], "the last that had them takes them along"


async def test_a_run_that_is_deleted_while_it_is_resumed_is_not_built_on(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_failed_run(bench)
        runs = Faulty(bench.world.runs)

        async def purge_first(*_: object, **__: object) -> None:
            await bench.world.runs.doom(old.id, bench.clock.now())

        async with keeping(bench, runs=runs) as racing:
            runs.before["create"] = purge_first
            with pytest.raises(errors.NotResumable, match="purged"):
                await racing.runs.resume(old.id)


# ── Uploads that came too late, and those nobody finished ────────────────────────────────────────────────────────


async def test_what_is_put_to_an_old_url_is_swept_up_when_the_url_has_expired(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        url = (await bench.view(run)).waiting[0].url
        await bench.store.use("PUT", url, PNG)
        await bench.ended(run)
        await bench.store.use("PUT", url, TEXT)
        assert [key for key in await keys(bench) if key.startswith("uploads/")]
        await later(bench, 2 * HOUR)
        assert await keys(bench) == [f"{run.id}/resize-in", f"{run.id}/resize-out"]
        with pytest.raises(errors.ObjectForbidden):
            await bench.store.use("PUT", url, TEXT)


async def test_a_thousand_uploads_that_are_begun_and_given_up_are_all_cleared(tmp_path: Path) -> None:
    """F32, F38: each is aborted at its deadline."""
    async with a_bench(tmp_path) as bench:
        bench.store.single_put_limit = 4
        for _ in range(1000):
            run = await bench.start(a_flow())
            ticket = await bench.uploads.renew(run.id, "resize-in", size=12)
            await bench.store.use("PUT", ticket.parts[0].url, PNG[: ticket.parts[0].size])
        assert len([upload async for upload in bench.store.multiparts()]) == 1000
        await later(bench, DAY + HOUR)
        assert not bench.engine.driver.live
        assert [upload async for upload in bench.store.multiparts()] == []
        assert await keys(bench) == []


async def test_uploads_in_parts_that_nobody_waits_for_are_aborted_in_every_store_in_use(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench, keeping(bench) as kept:
        well = a_well("resize-in", source="upload", store="mine")
        waiting = await kept.start(a_flow(stores=[a_store("mine")], wells=[well]))
        mine = kept.engine.staging.store(waiting, "mine")
        key = waiting.plan.edges["resize-in"].upload_key
        stray = "uploads/run_01HZX3K9T8Q2B7M4N6P5R1S0VW/e/t"
        for store in (mine, kept.store):
            await store.begin_multipart(stray)
        await mine.begin_multipart(key)
        await kept.store.begin_multipart("somebody/elses")
        await later(kept, DAY / 2)
        assert [upload.key async for upload in mine.multiparts()] == [stray, key]
    async with keeping(bench, Keeping(multipart_seconds=DAY / 4)) as kept:
        await later(kept, 60)
        assert [upload.key async for upload in mine.multiparts()] == [key], "a run waits for this one"
        assert [upload.key async for upload in kept.store.multiparts()] == ["somebody/elses"]


@pytest.mark.parametrize("own_store", [True, False])
async def test_uploads_without_a_run_are_removed_from_the_servers_own_store_only(
    tmp_path: Path, own_store: bool
) -> None:
    async with a_bench(tmp_path) as bench, keeping(bench, own_store=own_store) as kept:
        await kept.until(lambda: not kept.engine.sweep._first)  # what is there at the start goes with that
        await later(kept, 60)
        await kept.store.put_bytes("uploads/run_01HZX3K9T8Q2B7M4N6P5R1S0VW/e/t", PNG, content_type="image/png")
        await kept.store.put_bytes("results/mine.png", PNG, content_type="image/png")
        await later(kept, DAY / 2)
        assert len(await keys(kept)) == 2
        await later(kept, DAY)
        assert len(await keys(kept)) == (1 if own_store else 2)


# ── When something does not answer ───────────────────────────────────────────────────────────────────────────────


async def test_a_store_that_is_away_holds_up_its_own_runs_only(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run, other = await a_chain_run(bench), await a_chain_run(bench)
        store = Faulty(bench.store)
        away = errors.StoreUnavailable(store="default", endpoint="there", reason="it is away")

        async def refuse(key: str, *_: object, **__: object) -> None:
            if run.id in key:
                raise away

        async with keeping(bench, stores=OneStore(store)) as kept:
            store.before["delete"] = refuse
            await kept.runs.purge(run.id)
            await kept.runs.purge(other.id)
            await later(kept, 60)
            assert await keys(kept) == [f"{run.id}/{edge}" for edge in ("e0", "e1", "e2")]
            assert kept.engine.retention.purged == 1
            assert await is_gone(kept, run)
            del store.before["delete"]
            await later(kept, 700)
            assert await keys(kept) == []
            assert kept.engine.retention.purged == 2


async def test_a_database_that_is_away_for_a_while_stops_nothing_for_good(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench, a_well("e2", lifetime="1h"))
        runs = Faulty(bench.world.runs)
        async with keeping(bench, runs=runs) as kept:
            away = errors.DatabaseUnavailable(reason="it is away")
            for name in ("due_for_tidying", "tidied", "plan_tidying", "next_tidying"):
                runs.before[name] = raises(away, times=2)
            await later(kept, 2 * HOUR)
            for _ in range(10):
                await later(kept, 10)
            assert f"{run.id}/e2" not in await keys(kept)
            assert (await kept.engine.driver.look(run.id)).gone.keys() == {"e2"}


async def test_a_run_that_cannot_be_read_can_still_be_purged(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await a_chain_run(bench)
        runs = Faulty(bench.world.runs)
        async with keeping(bench, runs=runs) as kept:
            damaged = raises(errors.Damaged(what="the plan", reason="no"))
            runs.before["load"] = runs.before["load_doomed"] = damaged
            await kept.runs.purge(run.id)
            await later(kept, 5)
            assert await keys(kept) == []
            assert kept.engine.retention.purged == 1


# ── Killed at every step ─────────────────────────────────────────────────────────────────────────────────────────


class _Killer:
    """Stops everybody for good at the call of this number, before it or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._at = at
        self._after = after
        self.armed = False
        self.calls: list[str] = []
        self.reached = asyncio.Event()

    def before(self, real: Any) -> Any:
        return _Killable(self, real)

    async def call(self, name: str, real: Any, args: Any, named: Any) -> Any:
        if not self.armed:
            return await real(*args, **named)
        if self.reached.is_set():
            await asyncio.get_running_loop().create_future()
        self.calls.append(name)
        dies = len(self.calls) == self._at
        if dies and not self._after:
            self.reached.set()
            await asyncio.get_running_loop().create_future()
        answer = await real(*args, **named)
        if dies:
            self.reached.set()
            await asyncio.get_running_loop().create_future()
        return answer


class _Killable:
    def __init__(self, killer: _Killer, real: Any) -> None:
        self._killer = killer
        self._real = real

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not inspect.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **named: Any) -> Any:
            return await self._killer.call(name, real, args, named)

        return call


async def _killed_at(root: Path, at: int, *, after: bool) -> Sequence[str]:
    """Purges one run and lets an object of another expire, killed at a call. Returns the calls until then."""
    async with a_bench(root) as bench:
        purged = await a_chain_run(bench)
        tidied = await a_chain_run(bench, a_well("e2", lifetime="1h"))
        await bench.store.begin_multipart(f"uploads/{purged.id}/e0/x")
        killer = _Killer(at, after=after)
        stores = OneStore(killer.before(bench.store))
        async with keeping(bench, runs=killer.before(bench.world.runs), stores=stores) as doomed:
            await later(doomed, HOUR - 30)
            killer.armed = True
            asking = asyncio.ensure_future(doomed.runs.purge(purged.id))
            await later(doomed, 60)
            asking.cancel()
            was_asked = not killer.reached.is_set() or "doom" in killer.calls[: len(killer.calls) - (not after)]
        async with keeping(bench) as again:
            if not was_asked:
                assert not await is_gone(again, purged)
                await again.runs.purge(purged.id)
            await later(again, 1200)
            assert await keys(again) == [f"{tidied.id}/e0", f"{tidied.id}/e1"], killer.calls
            assert [upload async for upload in again.store.multiparts()] == []
            assert await is_gone(again, purged)
            assert (await again.world.runs.load(tidied.id)).gone.keys() == {"e2"}
            assert await again.world.runs.doomed(again.clock.now() + timedelta(days=1)) == []
            assert await again.world.journal.read(purged.id) == []
            assert await again.download(tidied, "e1") == PNG
        return killer.calls


@pytest.mark.parametrize("after", [False, True])
async def test_whoever_is_killed_at_any_step_leaves_nothing_half_done(tmp_path: Path, after: bool) -> None:
    calls = await _killed_at(tmp_path / "whole", 1 << 30, after=after)
    assert {"doom", "kept_by_kin", "tidied", "delete", "erase", "plan_tidying"} <= set(calls)
    for at in range(1, len(calls) + 1):
        await _killed_at(tmp_path / str(at), at, after=after)
