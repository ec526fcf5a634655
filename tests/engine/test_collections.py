"""Runs whose nodes pass collections on, from the start to the end of all that is kept of them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome, Script
from pupload.domain import events
from pupload.domain.facts import Facts, Inspection, Limits
from pupload.domain.flow import Flow
from pupload.domain.retention import Terms
from pupload.domain.run import NodeStatus, Run, Status
from pupload.engine.arming import Budget
from pupload.engine.retention import Keeping
from pupload.ports import ContainerOrder, Inspected
from tests.bench import PNG, TEXT, Bench, a_bench, assemble
from tests.builders import a_definition, a_flow, a_node, a_port, a_well
from tests.engine.test_retention import DAY, is_gone, keys, later
from tests.engine.worlds import Faulty, OneStore

FILES = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}


def unpacks(files: Mapping[str, bytes] = FILES, **outcome: Any) -> Script:
    """A node that leaves these files."""

    def script(order: ContainerOrder) -> Outcome:
        for name, data in files.items():
            (order.outputs / "files" / name).write_bytes(data)
        return Outcome(**outcome)

    return script


def packs(order: ContainerOrder) -> Outcome:
    """A node that writes a line for each file it finds."""
    found = sorted((order.inputs / "files").iterdir(), key=lambda path: path.name)
    lines = [f"{path.name}: {path.read_text()}" for path in found]
    (order.outputs / "archive").write_text("\n".join(lines))
    return Outcome(said=lines)


DEFINITIONS = (
    a_definition(
        "pupload/unpack",
        image="unpack",
        inputs=[a_port("archive")],
        outputs=[a_port("files", many=True)],
        max_attempts=2,
    ),
    a_definition(
        "pupload/pack", image="pack", inputs=[a_port("files", many=True)], outputs=[a_port("archive")], max_attempts=1
    ),
)


def through_and_back(**more: Any) -> Flow:
    """What comes in is unpacked, and packed again."""
    return a_flow(
        a_node("unpack", uses="pupload/unpack", inputs={"archive": "in"}, outputs={"files": "files"}),
        a_node("pack", uses="pupload/pack", inputs={"files": "files"}, outputs={"archive": "out"}),
        **more,
    )


async def begun(
    bench: Bench, first: Script, second: Script = packs, flow: Flow | None = None, armed: bool = False
) -> Run:
    bench.image("unpack", first)
    bench.image("pack", second)
    run = await bench.start(flow or through_and_back(), DEFINITIONS)
    if armed:
        await bench.until(lambda: bench.engine.arming.armed == 2)
    await bench.upload(run, "in", TEXT)
    return run


@asynccontextmanager
async def one(tmp_path: Path, *, armed: bool) -> AsyncIterator[Bench]:
    budget = Budget(nodes=4) if armed else Budget()
    async with a_bench(tmp_path, armed=budget) as bench:
        yield bench


@pytest.mark.parametrize("armed", [False, True])
async def test_files_go_through_two_nodes(tmp_path: Path, armed: bool) -> None:
    async with one(tmp_path, armed=armed) as bench:
        run = await begun(bench, unpacks(), armed=armed)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "out") == b"a.txt: one\nb.txt: two\nc.txt: three"
        assert run.artifacts["files"].items == 3
        assert [run.artifacts[f"files.{place}"].file_name for place in range(3)] == list(FILES)
        if armed:
            assert {ref.node for ref in bench.executor.armings} == {"unpack", "pack"}


async def test_nothing_is_an_empty_collection(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await begun(bench, unpacks({})))
        assert (run.status, run.artifacts["files"].items) == (Status.COMPLETE, 0)
        assert await bench.download(run, "out") == b""


async def test_the_journal_tells_how_many_items_there_are_and_not_each(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await begun(bench, unpacks()))
        told = [
            entry.event.artifacts
            for entry in await bench.world.journal.read(run.id)
            if isinstance(entry.event, events.NodeSucceeded)
        ]
        assert [[(found.edge, found.items) for found in one] for one in told] == [[("files", 3)], [("out", None)]]


async def test_items_are_stored_early_and_withdrawn_where_their_node_failed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await begun(bench, unpacks(code=1, told_after_seconds=1.0))
        await bench.until(lambda: sum("/files/" in key for key in bench.store._objects) == 3, step=0.001)
        live = bench.engine.driver.live[run.id]
        assert (live.nodes["unpack"].status, set(live.artifacts)) == (NodeStatus.RUNNING, {"in"})
        bench.image("unpack", unpacks({"z.txt": b"z"}))
        run = await bench.ended(run)
        assert await bench.download(run, "out") == b"z.txt: z"
        assert [key for key in await keys(bench) if "/files" in key] == [f"{run.id}/files@2/000000-z.txt"]


@pytest.mark.parametrize("after", range(5))
async def test_an_attempt_taken_up_when_some_items_are_stored_stores_the_same(tmp_path: Path, after: int) -> None:
    async with a_bench(tmp_path) as plain:
        await plain.engine.close()
        faulty, stored = Faulty(plain.store), 0

        async def goes(key: str, path: Path, *, content_type: str) -> None:
            nonlocal stored
            if stored == after:
                await asyncio.get_running_loop().create_future()  # the process dies here
            stored += 1

        async def taken(key: str, path: Path, *, content_type: str) -> None:
            await asyncio.to_thread(path.unlink)

        faulty.before["put_file"], faulty.after["put_file"] = goes, taken
        bench = assemble(replace(plain.world, stores=OneStore(faulty)), plain.config, plain)
        await bench.engine.start()
        run = await begun(bench, unpacks())
        await bench.until(lambda: stored == after or run.id not in bench.engine.driver.live, step=0.001)
        del faulty.before["put_file"]
        bench = await bench.restarted()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "out") == b"a.txt: one\nb.txt: two\nc.txt: three"
        assert bench.executor.starts.total() == 2
        assert sum("/files" in key for key in await keys(bench)) == 3
        await bench.engine.close()


async def test_what_is_no_plain_file_fails_the_node_in_words(tmp_path: Path) -> None:
    def nests(order: ContainerOrder) -> Outcome:
        (order.outputs / "files" / "inner").mkdir()
        return Outcome()

    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await begun(bench, nests))
        assert run.status is Status.ERROR
        assert "inner in it cannot be an item: it is a directory" in run.error
        assert run.nodes["pack"].status is NodeStatus.SKIPPED


async def test_a_bomb_among_the_items_is_refused_before_anybody_opens_it(tmp_path: Path) -> None:
    class Suspicious:
        def looks_into(self, content_type: str) -> bool:
            return content_type == "image/png"

        async def look(self, content: Any, *, content_type: str, size: int) -> Inspection:
            return Inspection(facts=Facts(width=100_000, height=100_000))

        async def look_all(self, files: Sequence[Inspected]) -> Sequence[Inspection]:
            return [Inspection(facts=Facts(width=100_000, height=100_000)) for _ in files]

    async with a_bench(tmp_path) as plain:
        await plain.engine.close()
        config = replace(plain.config, caps=Limits(max_pixels=10**6))
        bench = assemble(replace(plain.world, inspector=Suspicious()), config, plain)
        await bench.engine.start()
        run = await bench.ended(await begun(bench, unpacks({**FILES, "bomb.png": PNG})))
        assert run.status is Status.ERROR
        assert "item bomb.png of output files" in run.error
        assert not any(ref.node == "pack" for ref in bench.executor.starts)
        assert [key for key in await keys(bench) if "/files" in key] == []
        await bench.engine.close()


# ── Afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_that_goes_on_takes_over_all_items(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await bench.ended(await begun(bench, unpacks(), lambda order: Outcome(code=1)))
        assert failed.status is Status.ERROR
        bench.image("pack", packs)
        run = (await bench.runs.resume(failed.id)).run
        run = await bench.ended(run)
        assert await bench.download(run, "out") == b"a.txt: one\nb.txt: two\nc.txt: three"
        assert sum(ref.node == "unpack" for ref in bench.executor.starts) == 1


async def test_a_run_with_an_item_that_is_gone_cannot_go_on(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await bench.ended(await begun(bench, unpacks(), lambda order: Outcome(code=1)))
        await bench.store.delete(failed.artifacts["files.1"].key)
        with pytest.raises(errors.Conflict, match=r"files\.1 .*000001-b\.txt.* is gone"):
            await bench.runs.resume(failed.id)


async def test_items_go_when_their_collection_has_been_kept_long_enough(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await begun(bench, unpacks()))
        assert sum("/files/" in key for key in await keys(bench)) == 3
        await later(bench, 7 * DAY + 60)
        assert [key for key in await keys(bench) if "/files" in key] == []
        view = await bench.view(run)
        assert view.artifacts["files"].deleted_at is not None


@pytest.mark.parametrize("key", ["", "gallery/${RUN_ID}/${EDGE}"])
async def test_nothing_is_left_of_a_run_that_was_purged(tmp_path: Path, key: str) -> None:
    async with a_bench(tmp_path) as bench:
        flow = through_and_back(wells=[a_well("files", key=key)] if key else [])
        run = await bench.ended(await begun(bench, unpacks(), flow=flow))
        assert len(await keys(bench)) == 5
        await bench.runs.purge(run.id)
        await later(bench, 60)
        assert await is_gone(bench, run)
        assert await keys(bench) == []


async def test_what_nobody_could_commit_goes_with_its_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        flow = through_and_back(wells=[a_well("files", key="gallery/${RUN_ID}")])
        run = await bench.ended(await begun(bench, unpacks(code=1), flow=flow))
        await bench.store.put_bytes(f"gallery/{run.id}/000000-a", TEXT, content_type="text/plain")
        await bench.runs.purge(run.id)
        await later(bench, 60)
        assert await keys(bench) == []


async def test_runs_are_purged_by_terms_with_all_items(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as plain:
        await plain.engine.close()
        terms = Keeping(terms=Terms(resumable_seconds=DAY, keep_runs_seconds=2 * DAY))
        bench = assemble(plain.world, replace(plain.config, keeping=terms), plain)
        await bench.engine.start()
        run = await bench.ended(await begun(bench, unpacks()))
        await later(bench, 2 * DAY + 60)
        assert await is_gone(bench, run)
        assert await keys(bench) == []
        await bench.engine.close()


# ── Many ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_many_items_take_no_task_each(tmp_path: Path) -> None:
    files = {f"{number:05}.txt": b"%d" % number for number in range(1000)}
    async with a_bench(tmp_path) as bench:
        run = await begun(bench, unpacks(files))
        most = 0

        def over() -> bool:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            return run.id not in bench.engine.driver.live

        await bench.until(over)
        run = await bench.engine.driver.look(run.id)
        assert (run.status, run.artifacts["files"].items) == (Status.COMPLETE, 1000)
        assert most < 100
