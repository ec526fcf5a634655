"""Objects from outside: noticed, sealed, told."""

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain.run import NodeStatus, Status
from pupload.ports import Sealed
from tests.bench import PNG, TEXT, Bench, a_bench, copies
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port, a_well
from tests.engine.worlds import Faulty, Gate, OneStore, changed, raises

IMAGE = "pupload/resize:latest"
AWAY = errors.StoreUnavailable(store="default", endpoint="memory", reason="it is switched off")


def sealed(bench: Bench, run_id: str, edge: str = "resize-in") -> bool:
    return edge in bench.engine.driver.live[run_id].artifacts if run_id in bench.engine.driver.live else True


async def key_of(bench: Bench, run_id: str, edge: str = "resize-in") -> str:
    return (await bench.engine.driver.look(run_id)).plan.edges[edge].upload_key


async def test_a_store_that_tells_nothing_is_asked_less_and_less_often(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as first:
        store = Faulty(first.store)
        asked: list[float] = []

        async def note(key: str) -> None:
            asked.append(first.clock.monotonic())

        store.before["stat"] = note
        async with changed(first, stores=OneStore(store)) as bench:
            await bench.start(a_flow())
            await bench.clock.run_for(30)
            pauses = [round(later - sooner, 2) for sooner, later in itertools.pairwise(asked)]
            assert pauses[:6] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
            assert set(pauses[6:]) == {5.0}


class SealsAtOnce(Faulty):
    """A store like the embedded one."""

    silent = False
    """Whether it cannot do so just now."""

    async def seal(self, source: str, target: str, *, head_bytes: int, most_bytes: int) -> Sealed | None:
        self.calls.append("seal")
        if self.silent:
            return None
        found = await self._real.stat(source)
        if found.size > most_bytes:
            raise errors.TooLarge(what="the object", limit=most_bytes)
        copied = await self._real.copy(source, target, if_etag=found.etag)
        return Sealed(stat=copied, head=await self._real.read(target, length=head_bytes))


@pytest.mark.parametrize("silent", [False, True])
async def test_a_store_that_seals_at_once_is_asked_once(tmp_path: Path, silent: bool) -> None:
    async with a_bench(tmp_path) as first:
        store = SealsAtOnce(first.store)
        store.silent = silent
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.clock.run_for(0)
            store.calls.clear()
            await bench.upload(run, "resize-in", PNG)
            await bench.until(lambda: sealed(bench, run.id), step=0)
            steps = [call for call in store.calls if call in ("seal", "stat", "copy", "read")]
            assert steps == (["seal", "stat", "copy", "read"] if silent else ["seal"])
            run = await bench.ended(run)
            assert run.status is Status.COMPLETE
            assert await bench.download(run, "resize-out") == PNG
            assert [found.key async for found in bench.store.list("uploads/")] == []


@pytest.mark.parametrize(("data", "reason"), [(PNG * 100, "upload of edge resize-in is larger"), (TEXT, "text/plain")])
async def test_what_was_sealed_at_once_is_judged_all_the_same(tmp_path: Path, data: bytes, reason: str) -> None:
    async with (
        a_bench(tmp_path, max_upload_bytes=1000) as first,
        changed(first, stores=OneStore(SealsAtOnce(first.store))) as bench,
    ):
        definition = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        run = await bench.start(a_flow(), [definition])
        await bench.upload(run, "resize-in", data)
        run = await bench.ended(run)
        assert run.status is Status.ERROR
        assert reason in run.error
        await bench.until(lambda: not bench.store._objects)


async def test_an_upload_is_noticed_when_the_store_tells_and_not_looked_for_before(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.clock.run_for(0)
            store.calls.clear()
            await bench.clock.run_for(3600)
            assert "stat" not in store.calls, "a run that waits costs nothing"
            before = bench.clock.now()
            await bench.upload(run, "resize-in", PNG)
            await bench.until(lambda: sealed(bench, run.id), step=0)
            assert bench.clock.now() == before


async def test_an_arrival_of_something_else_means_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        await bench.store.put_bytes("something/else", PNG, content_type="image/png")
        await bench.clock.run_for(10)
        assert (await bench.view(run)).run.status is Status.WAITING


class Forgetful:
    """A store whose notifications break off: tells of nothing until it is told to say that it may have missed some."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.missed = asyncio.Event()
        self.listened = 0
        self.breaks = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def arrivals(self):  # type: ignore[no-untyped-def]
        self.listened += 1
        yield ""
        while True:
            await self.missed.wait()
            self.missed.clear()
            if self.breaks:
                self.breaks = False
                raise errors.StoreRefused(store="default", code="Broken", reason="no more")
            yield ""


@pytest.mark.parametrize("breaks", [False, True])
async def test_when_arrivals_may_have_been_missed_everything_is_looked_at(tmp_path: Path, breaks: bool) -> None:
    async with a_bench(tmp_path) as first:
        store = Forgetful(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            runs = [await bench.start(a_flow()) for _ in range(3)]
            for run in runs:
                await bench.upload(run, "resize-in", PNG)
            await bench.clock.run_for(60)
            assert not any(sealed(bench, run.id) for run in runs)
            store.breaks = breaks
            store.missed.set()
            for run in runs:
                assert (await bench.ended(run, step=0.1)).status is Status.COMPLETE
            assert store.listened == 1 + breaks


async def test_what_is_put_anew_while_it_is_sealed_counts_as_it_is_then(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            key = await key_of(bench, run.id)
            newer = iter([PNG + b"2", PNG + b"3"])

            async def put_anew(*_: object, **__: object) -> None:
                if (data := next(newer, None)) is not None:
                    await first.store.put_bytes(key, data, content_type="image/png")

            store.before["copy"] = put_anew
            await bench.upload(run, "resize-in", PNG)
            run = await bench.ended(run)
            assert await bench.download(run, "resize-in") == PNG + b"3"
            assert await bench.download(run, "resize-out") == PNG + b"3"


async def test_the_limit_holds_for_what_is_put_anew_as_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_upload_bytes=len(PNG)) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow())
            key = await key_of(bench, run.id)

            async def put_more(*_: object, **__: object) -> None:
                del store.before["copy"]
                await first.store.put_bytes(key, PNG * 2, content_type="image/png")

            store.before["copy"] = put_more
            await bench.upload(run, "resize-in", PNG)
            assert "larger than the limit" in (await bench.ended(run)).error


async def test_however_many_notice_it_is_sealed_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        gate = store.before["copy"] = Gate()
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            said = [asyncio.create_task(bench.uploads.complete(run.id, "resize-in")) for _ in range(5)]
            await gate.reached.wait()
            await bench.clock.run_for(1)
            gate.opened.set()
            views = await asyncio.gather(*said)
            assert all("resize-in" in view.artifacts for view in views)
            assert store.calls.count("copy") == 1
            again = await bench.uploads.complete(run.id, "resize-in")
            assert "resize-in" in again.artifacts
            assert store.calls.count("copy") == 1


@pytest.mark.parametrize("call", ["stat", "copy", "read"])
@pytest.mark.parametrize("notifies", [True, False])
async def test_a_store_that_goes_away_at_sealing_is_asked_again(tmp_path: Path, call: str, notifies: bool) -> None:
    async with a_bench(tmp_path, notifies=notifies) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.clock.run_for(1)
            store.before[call] = raises(AWAY)
            await bench.upload(run, "resize-in", PNG)
            await bench.clock.run_for(60)
            assert (await bench.view(run)).run.status is Status.WAITING
            with pytest.raises(errors.StoreUnavailable):
                await bench.uploads.complete(run.id, "resize-in")
            del store.before[call]
            assert (await bench.ended(run, step=0.1)).status is Status.COMPLETE


@pytest.mark.parametrize("error", [KeyError("a bug"), errors.Broken(reason="a bug")])
async def test_a_bug_at_sealing_is_logged_and_tried_again(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        store.before["copy"] = raises(error, times=1)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            assert (await bench.ended(run, step=0.1)).status is Status.COMPLETE
            assert "could not be sealed" in caplog.text


async def test_a_static_object_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        changed_once = errors.PreconditionFailed(key="fixed/logo", store="default")
        store.before["read"] = raises(changed_once, times=1)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            await bench.store.put_bytes("fixed/logo", PNG, content_type="image/png")
            run = await bench.start(a_flow(wells=[a_well("resize-in", source="static", key="fixed/logo")]))
            run = await bench.ended(run, step=0.1)
            assert run.status is Status.COMPLETE
            assert await bench.store.read("fixed/logo") == PNG, "what was there before stays there"


async def test_an_upload_that_is_being_put_anew_is_not_there_yet(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.clock.run_for(1)
            store.before["read"] = raises(errors.PreconditionFailed(key="k", store="default"))
            await bench.upload(run, "resize-in", PNG)
            assert not await bench.engine.uploads.arrived(run.id, "resize-in")
            del store.before["read"]
            assert (await bench.ended(run, step=0.1)).status is Status.COMPLETE


@pytest.mark.parametrize("error", [
    errors.ObjectForbidden(key="k", store="default", reason="no"),
    errors.StoreRefused(store="default", code="Odd", reason="no"),
])  # fmt: skip
async def test_a_store_that_says_no_ends_the_run_with_its_words(tmp_path: Path, error: errors.PuploadError) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        store.before["copy"] = raises(error)
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            run = await bench.ended(run)
            assert (run.status, run.error) == (Status.ERROR, str(error))


async def test_of_a_refused_upload_nothing_is_left(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        definition = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        run = await bench.start(a_flow(), [definition])
        await bench.upload(run, "resize-in", TEXT)
        assert (await bench.ended(run)).status is Status.ERROR
        await bench.clock.run_for(1)
        assert [found.key async for found in bench.store.list()] == []
        assert not len(bench.engine.uploads)


async def test_of_an_upload_that_is_sealed_too_late_nothing_is_left(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        gate = store.after["copy"] = Gate()
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            await gate.reached.wait()
            assert (await bench.runs.cancel(run.id)).run.status is Status.STOPPED
            gate.opened.set()
            await bench.until(lambda: not bench.store._objects, step=0.1)


async def test_an_upload_that_cannot_be_removed_at_once_troubles_nobody(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        store.before["delete"] = raises(AWAY, times=1)
        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            assert (await bench.ended(run)).status is Status.COMPLETE
            await bench.clock.run_for(1)
            left = [found.key async for found in bench.store.list()]
            assert left == [f"{run.id}/resize-in", f"{run.id}/resize-out"], "closing the run removed it once more"


async def test_closing_a_run_takes_back_what_was_put_and_not_sealed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_bench(tmp_path, notifies=False) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow(a_node(inputs={"image": "a", "other": "b"})))
            await bench.clock.run_for(10)
            await bench.store.begin_multipart(await key_of(bench, run.id, "a"))
            await bench.upload(run, "b", PNG)
            await bench.runs.cancel(run.id)
            await bench.clock.run_for(1)
            assert [upload async for upload in bench.store.multiparts()] == []
            assert [found async for found in bench.store.list()] == []
            assert not len(bench.engine.uploads)
            store.before["delete"] = raises(AWAY)
            other = await bench.start(a_flow())
            await bench.clock.run_for(10)
            await bench.upload(other, "resize-in", PNG)
            await bench.runs.cancel(other.id)
            await bench.until(lambda: "it is not done yet, and is tried on" in caplog.text, step=60)
            store.before.clear()
            await bench.clock.run_for(60)
            assert [found async for found in bench.store.list()] == []


async def test_a_static_edge_of_a_run_that_is_over_is_watched_no_more(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        store.before["stat"] = raises(AWAY)
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow(wells=[a_well("resize-in", source="static", key="fixed/logo")]))
            await bench.clock.run_for(1)
            assert len(bench.engine.uploads) == 1
            await bench.runs.cancel(run.id)
            await bench.clock.run_for(1)
            assert not len(bench.engine.uploads)
            store.calls.clear()
            await bench.clock.run_for(60)
            assert not store.calls


async def test_who_says_it_is_there_is_told_whether_it_is(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        assert not await bench.engine.uploads.arrived(run.id, "resize-in")
        assert not await bench.engine.uploads.arrived(run.id, "resize-out")
        assert not await bench.engine.uploads.arrived("run_none", "resize-in")


async def test_the_upload_of_a_deleted_run_is_let_go(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        key = await key_of(bench, run.id)
        await bench.world.runs.delete(run.id)
        bench.engine.driver.live.pop(run.id)
        await bench.store.put_bytes(key, PNG, content_type="image/png")
        await bench.until(lambda: not len(bench.engine.uploads))


async def test_an_empty_upload_is_an_upload(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", b"")
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert run.artifacts["resize-in"].content_type == "application/x-empty"


async def test_closing_while_something_is_sealed_leaves_nothing_running(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        gate = store.before["copy"] = Gate()
        before = asyncio.all_tasks()
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            await gate.reached.wait()
        assert asyncio.all_tasks() <= before


async def test_nodes_on_other_uploads_go_on_when_one_is_refused(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        definition = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        nodes = (a_node("a"), a_node("b"))
        run = await bench.start(a_flow(*nodes), [definition])
        await bench.upload(run, "a-in", TEXT)
        await bench.upload(run, "b-in", PNG)
        run = await bench.ended(run)
        assert (run.nodes["a"].status, run.nodes["b"].status) == (NodeStatus.SKIPPED, NodeStatus.COMPLETE)
        assert run.status is Status.ERROR


async def test_many_runs_wait_and_all_are_served(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        runs = [await bench.start(a_flow(*a_chain(1))) for _ in range(60)]
        await bench.clock.run_for(20)
        for run in runs:
            await bench.upload(run, "e0", PNG)
        before = bench.clock.now()
        await bench.until(lambda: not bench.engine.driver.live, step=0.1)
        assert bench.clock.now() - before < timedelta(seconds=10)


async def test_an_upload_that_arrives_while_one_looks_is_looked_for_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        gate = Gate()

        async def too_early(key: str) -> None:
            del store.before["stat"]
            await gate()
            raise errors.ObjectAbsent(key=key, store="default")

        async with changed(first, stores=OneStore(store)) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            await bench.clock.run_for(1)
            store.before["stat"] = too_early
            early = asyncio.create_task(bench.engine.uploads.arrived(run.id, "resize-in"))
            await gate.reached.wait()
            await bench.upload(run, "resize-in", PNG)
            await bench.clock.run_for(1)
            gate.opened.set()
            assert (await bench.ended(run)).status is Status.COMPLETE
            await early


async def test_a_static_object_whose_store_stays_away_ends_the_run_and_names_the_store(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store = Faulty(first.store)
        store.before["stat"] = raises(AWAY)
        async with changed(first, stores=OneStore(store)) as bench:
            flow = a_flow(wells=[a_well("resize-in", source="static", key="fixed/logo")])
            run = await bench.start(flow)
            await bench.clock.run_for(300)
            assert run.id in bench.engine.driver.live, "it may come back"
            run = await bench.ended(run, step=5)
            assert run.status is Status.ERROR
            assert run.error == f"object fixed/logo of edge resize-in cannot be had: {AWAY}"


async def test_an_upload_whose_store_stays_away_is_waited_for(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as first:
        store = Faulty(first.store)
        store.before["stat"] = raises(AWAY)
        async with changed(first, stores=OneStore(store)) as bench:
            run = await bench.start(a_flow())
            await bench.clock.run_for(3600)
            assert run.id in bench.engine.driver.live
