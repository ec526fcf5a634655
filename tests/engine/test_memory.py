"""Work that was done before, used again: on a world in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pupload import errors, ports
from pupload.adapters.memory import containers
from pupload.domain import artifact, collection, events, memo
from pupload.domain.flow import Flow
from pupload.domain.run import NodeStatus, Run, Status
from pupload.engine import kin
from pupload.engine import memory as engine_memory
from pupload.engine.arming import Budget
from tests.bench import PNG, ROOM, TEXT, Bench, a_bench, copies
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port, a_well
from tests.engine.worlds import Faulty, Gate, OneStore, changed

IMAGE = "pupload/resize:latest"


async def once(bench: Bench, this: Flow | None = None, data: bytes = PNG, **definition: Any) -> Run:
    """A run of the flow with that upload, from beginning to end."""
    this = this or a_flow()
    definitions = [a_definition(**definition)] if definition else None
    run = await bench.start(this, definitions)
    await bench.upload(run, next(edge for edge in run.plan.edges if run.plan.edges[edge].producer is None), data)
    run = await bench.ended(run, step=1)
    assert run.status is Status.COMPLETE
    return run


async def kinds(bench: Bench, run: Run) -> list[str]:
    return [events.name_of(entry.event) for entry in await bench.world.journal.read(run.id)]


async def test_the_same_upload_twice_costs_no_container_the_second_time(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await once(bench, a_flow(*a_chain(3)))
        before = len(bench.executor.starts)
        second = await once(bench, a_flow(*a_chain(3)))
        assert len(bench.executor.starts) == before == 3
        assert {edge: found.sha256 for edge, found in second.artifacts.items()} == {
            edge: found.sha256 for edge, found in first.artifacts.items()
        }
        assert await bench.download(second, "e3") == PNG
        node = second.nodes["n1"]
        assert node.reused
        assert node.source is not None
        assert (node.source.run, node.source.node) == (first.id, "n1")
        assert "node.reused" in await kinds(bench, second)
        assert not bench.executor.left
        assert not bench.engine.admission.holders


async def test_each_run_owns_what_it_shows(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await once(bench)
        second = await once(bench)
        assert second.artifacts["resize-out"].key.startswith(f"{second.id}/")
        await bench.runs.purge(first.id)
        await bench.until(lambda: bench.engine.retention.purged == 1)
        assert await bench.download(second, "resize-out") == PNG
        third = await once(bench)
        source = third.nodes["resize"].source
        assert source is not None
        assert source.run == first.id, "it is told who did it, though that run is gone"
        assert len(bench.executor.starts) == 1


async def test_what_was_deleted_is_made_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await once(bench)
        await bench.store.delete(first.artifacts["resize-out"].key)
        second = await once(bench)
        assert not second.nodes["resize"].reused
        missed = second.nodes["resize"].attempts[0].missed
        assert missed is not None
        assert missed.nearest is not None
        assert (missed.nearest.run, missed.differences) == (first.id, ())
        third = await once(bench)
        assert third.nodes["resize"].reused


async def test_what_is_another_object_by_now_is_not_used(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await once(bench)
        await bench.store.put_bytes(first.artifacts["resize-out"].key, TEXT, content_type="image/png")
        second = await once(bench)
        assert not second.nodes["resize"].reused
        assert await bench.download(second, "resize-out") == PNG


async def test_other_bytes_are_other_work(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        second = await once(bench, data=PNG + b"!")
        assert not second.nodes["resize"].reused
        missed = second.nodes["resize"].attempts[0].missed
        assert missed is not None
        assert [one.component for one in missed.differences] == ["input image"]


async def test_a_miss_says_which_flag_differs(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first = await once(bench, a_flow(a_node(flags={"width": "640"})))
        first_missed = first.nodes["resize"].attempts[0].missed
        assert first_missed == memo.Missed(), "nothing of its type was done before"
        second = await once(bench, a_flow(a_node(flags={"width": "800"})))
        missed = second.nodes["resize"].attempts[0].missed
        assert missed is not None
        assert missed.nearest is not None
        assert missed.nearest.run == first.id
        assert [str(one) for one in missed.differences] == ["flag width: 800, was 640"]


async def test_who_says_so_is_never_spared(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        given: list[tuple[Flow, dict[str, Any]]] = [(a_flow(a_node(memoize=False)), {}), (a_flow(), {"memoize": False})]
        for this, fields in given:
            starts = len(bench.executor.starts)
            await once(bench, this, **fields)
            second = await once(bench, this, **fields)
            assert len(bench.executor.starts) == starts + 2
            assert second.nodes["resize"].attempts[0].missed is None, "nobody looked"


async def test_what_failed_is_not_remembered(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, fails_first(copies("image", "resized")))
        first = await once(bench)
        assert len(first.nodes["resize"].attempts) == 2
        second = await once(bench)
        assert second.nodes["resize"].reused
        assert len(second.nodes["resize"].attempts) == 1
        assert second.artifacts["resize-out"].sha256 == first.artifacts["resize-out"].sha256


def fails_first(script: containers.Script) -> containers.Script:
    """Every attempt that is a node's first ends badly, having written what is wrong."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        if order.attempt.number == 1:
            (order.outputs / "resized").write_bytes(PNG + b"wrong")
            return containers.Outcome(code=1)
        return script(order)

    return run


async def test_what_one_flow_lets_pass_another_need_not(tmp_path: Path) -> None:
    """The taker of the output counts: reused is only what this flow would have let pass."""
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench, a_flow(*a_chain(1)))
        picky = a_flow(
            a_node("n0", inputs={"image": "e0"}, outputs={"resized": "e1"}),
            a_node("n1", uses="pupload/picky", inputs={"text": "e1"}, outputs={"resized": "e2"}),
        )
        definitions = [
            a_definition(),
            a_definition("pupload/picky", inputs=[a_port("text", "text/plain")], outputs=[a_port("resized")]),
        ]
        run = await bench.start(picky, definitions)
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run, step=1)
        assert run.status is Status.ERROR
        assert run.nodes["n0"].status is NodeStatus.ERROR
        assert "input text of node n1" in run.error


async def test_no_room_is_taken(tmp_path: Path) -> None:
    """While a long one has all the room, work that was done before does not wait for it."""
    async with a_bench(tmp_path, memoize=True, room=replace(ROOM, attempts=1)) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        bench.image("pupload/long:latest", copies("image", "resized", seconds=1000))
        long = await bench.start(a_flow(a_node(uses="pupload/long")), [a_definition("pupload/long")])
        await bench.upload(long, "resize-in", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        await bench.until(lambda: run.id not in bench.engine.driver.live)
        done = await bench.engine.driver.look(run.id)
        assert done.nodes["resize"].reused
        assert done.nodes["resize"].attempts[0].admitted_at is None
        assert bench.executor.alive


async def test_a_container_that_was_armed_for_it_is_dropped(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True, armed=Budget(nodes=4)) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        run = await bench.start(a_flow())
        await bench.until(lambda: bool(bench.executor.armed))
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run)
        assert run.nodes["resize"].reused
        await bench.until(lambda: not bench.executor.left)
        await bench.until(lambda: not list((tmp_path / "attempts").iterdir()))


async def test_a_database_that_forgot_keeps_nobody_from_running(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)

        async def away(*_: object, **__: object) -> memo.Entry | None:
            raise errors.DatabaseUnavailable(reason="for a test")

        memory = bench.world.memo
        assert memory is not None
        memory.find = away  # type: ignore[method-assign]
        second = await once(bench)
        assert not second.nodes["resize"].reused


async def test_what_half_could_be_copied_leaves_nothing(tmp_path: Path) -> None:
    flow = a_flow(a_node(outputs={"resized": "one", "other": "two"}))

    def both(order: ports.ContainerOrder) -> containers.Outcome:
        for port in ("resized", "other"):
            (order.outputs / port).write_bytes(PNG + port.encode())
        return containers.Outcome()

    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, both)
        first = await once(bench, flow)
        await bench.store.delete(first.artifacts["two"].key)
        second = await once(bench, flow)
        assert not second.nodes["resize"].reused
        left = [found.key async for found in bench.store.list(f"{second.id}/")]
        assert left == sorted(f"{second.id}/{edge}" for edge in ("one", "resize-in", "two"))


async def test_a_well_gets_what_it_names(tmp_path: Path) -> None:
    flow = a_flow(wells=[a_well("resize-out", key="results/${RUN_ID}.png")])
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench, flow)
        second = await once(bench, flow)
        assert second.nodes["resize"].reused
        assert second.artifacts["resize-out"].key == f"results/{second.id}.png"
        assert await bench.download(second, "resize-out") == PNG


async def test_what_is_forgotten_is_done_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        await bench.clock.run_for(timedelta(days=31).total_seconds())
        await bench.engine.memory.tidy()
        second = await once(bench)
        assert not second.nodes["resize"].reused


async def test_it_is_remembered_after_a_restart(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        again = await bench.restarted()
        try:
            second = await once(again)
            assert second.nodes["resize"].reused
        finally:
            await again.engine.close()


async def test_with_it_off_nothing_is_remembered(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await once(bench)
        second = await once(bench)
        assert len(bench.executor.starts) == 2
        assert second.nodes["resize"].attempts[0].missed is None


# ── What comes in between ────────────────────────────────────────────────────────────────────────────────────────


async def keys(bench: Bench, run: Run) -> list[str]:
    return [found.key async for found in bench.store.list(f"{run.id}/")]


def of_outputs(gate: Gate) -> Callable[..., Awaitable[None]]:
    """Holds up copies of outputs alone: uploads are copied when they are sealed."""

    async def hook(source: str, target: str, **_: object) -> None:
        if "resize-out" in target:
            await gate()

    return hook


async def test_a_run_that_is_cancelled_while_it_is_copied_leaves_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as first:
        first.image(IMAGE, copies("image", "resized"))
        await once(first)
        store, gate = Faulty(first.store), Gate()
        async with changed(first, stores=OneStore(store)) as bench:
            store.after["copy"] = of_outputs(gate)
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            await bench.until(gate.reached.is_set)
            await bench.runs.cancel(run.id)
            run = await bench.ended(run)
            assert run.status is Status.STOPPED
            await bench.until(lambda: not len(bench.engine.memory))
            assert await keys(bench, run) == [f"{run.id}/resize-in"]


async def test_a_crash_between_the_copy_and_its_commit_leaves_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as first:
        first.image(IMAGE, copies("image", "resized"))
        await once(first)
        store, gate = Faulty(first.store), Gate()
        async with changed(first, stores=OneStore(store)) as bench:
            store.after["copy"] = of_outputs(gate)
            run = await bench.start(a_flow())
            await bench.upload(run, "resize-in", PNG)
            await bench.until(gate.reached.is_set)
            store.after.clear()
            again = await bench.restarted()
            try:
                run = await again.ended(run)
                assert run.nodes["resize"].reused
                assert await keys(again, run) == sorted(found.key for found in run.artifacts.values())
            finally:
                await again.engine.close()


async def test_who_asks_while_it_is_told_waits_for_the_answer(tmp_path: Path) -> None:
    """Two at once: the second finds what the first has just done, or does it; never half of it."""
    async with a_bench(tmp_path, memoize=True, room=replace(ROOM, attempts=1)) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=5))
        runs = [await bench.start(a_flow()) for _ in range(4)]
        for run in runs:
            await bench.upload(run, "resize-in", PNG)
        ended = [await bench.ended(run, step=0.5) for run in runs]
        assert len(bench.executor.starts) == 1, "those who waited for room look once more when they have it"
        assert all(run.status is Status.COMPLETE for run in ended)
        assert sum(run.nodes["resize"].reused for run in ended) == 3


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_a_collection_only_what_is_new_is_done(tmp_path: Path) -> None:
    """The item that changed runs; the others are used again, at whatever place they are."""
    flow = a_flow(
        a_node("split", uses="pupload/split", inputs={"text": "there"}, outputs={"words": "words"}),
        a_node("each", uses="pupload/each", inputs={"word": "words"}, outputs={"done": "done"}, for_each="word"),
        a_node("join", uses="pupload/join", inputs={"words": "done"}, outputs={"text": "here"}),
    )
    definitions = [
        a_definition("pupload/split", inputs=[a_port("text")], outputs=[a_port("words", many=True)]),
        a_definition("pupload/each", inputs=[a_port("word")], outputs=[a_port("done")]),
        a_definition("pupload/join", inputs=[a_port("words", many=True)], outputs=[a_port("text")]),
    ]

    def split(order: ports.ContainerOrder) -> containers.Outcome:
        (given,) = order.inputs.iterdir()
        for place, word in enumerate(given.read_text().split()):
            (order.outputs / "words" / f"{place:02}").write_text(word)
        return containers.Outcome()

    def each(order: ports.ContainerOrder) -> containers.Outcome:
        (given,) = order.inputs.iterdir()
        (order.outputs / "done").write_text(given.read_text().upper())
        return containers.Outcome()

    def join(order: ports.ContainerOrder) -> containers.Outcome:
        (order.outputs / "text").write_text(" ".join(p.read_text() for p in sorted((order.inputs / "words").iterdir())))
        return containers.Outcome()

    async with a_bench(tmp_path, memoize=True) as bench:
        for name, script in {"split": split, "each": each, "join": join}.items():
            bench.image(f"pupload/{name}:latest", script)

        async def joined(words: str) -> tuple[Run, str, int]:
            before = len(bench.executor.starts)
            run = await bench.start(flow, definitions)
            await bench.upload(run, "there", words.encode())
            run = await bench.ended(run)
            assert run.status is Status.COMPLETE, run.error
            return run, (await bench.download(run, "here")).decode(), len(bench.executor.starts) - before

        _, text, started = await joined("one two three")
        assert (text, started) == ("ONE TWO THREE", 5)
        run, text, started = await joined("one two three")
        assert (text, started) == ("ONE TWO THREE", 0)
        assert [found.file_name for found in collection_of(run, "words")] == ["00", "01", "02"]
        _, text, started = await joined("new one two three")
        assert (text, started) == ("NEW ONE TWO THREE", 3), "what splits, what joins, and the new word"
        assert not bench.executor.left


def collection_of(run: Run, edge: str) -> list[artifact.Artifact]:
    return list(collection.items(run.artifacts[edge], run.artifacts))


async def test_what_is_done_together_is_remembered_together_and_soon(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        memory = Faulty(bench.world.memo)
        async with changed(bench, memo=memory) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            runs = [await bench.start(a_flow(a_node(flags={"width": str(each)}))) for each in range(5)]
            for run in runs:
                await bench.upload(run, "resize-in", PNG)
            await bench.until(lambda: not bench.engine.driver.live, step=0.0)
            assert "keep" not in memory.calls, "what these let begin comes first"
            await bench.clock.run_for(1)
            assert memory.calls.count("keep") == 1
            assert (await once(bench, a_flow(a_node(flags={"width": "3"})))).nodes["resize"].reused


async def test_what_is_not_remembered_yet_is_when_the_engine_is_closed(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        await bench.until(lambda: not bench.engine.driver.live, step=0.0)
        bench = await bench.restarted()
        assert (await once(bench)).nodes["resize"].reused


async def test_the_same_work_done_twice_at_once_is_remembered_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=5))
        runs = [await bench.start(a_flow()) for _ in range(3)]
        for run in runs:
            await bench.upload(run, "resize-in", PNG)
        await bench.until(lambda: len(bench.executor.starts) == 3, step=0.0)
        for run in runs:
            assert not (await bench.ended(run)).nodes["resize"].reused
        assert (await once(bench)).nodes["resize"].reused


async def test_it_is_asked_while_that_the_node_begins_is_being_saved(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        kept, memory, gate = Faulty(bench.world.runs), Faulty(bench.world.memo), Gate()
        async with changed(bench, runs=kept, memo=memory) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow())
            kept.before["save"] = gate
            await bench.upload(run, "resize-in", PNG)
            await gate.reached.wait()
            await bench.until(lambda: "find" in memory.calls)
            assert not bench.executor.starts
            gate.opened.set()
            assert (await bench.ended(run)).status is Status.COMPLETE
            assert memory.calls.count("find") == 1, "once is enough"


async def test_what_came_nearest_is_looked_up_once_for_many(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        memory = Faulty(bench.world.memo)
        async with changed(bench, memo=memory) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            before = await once(bench, a_flow(a_node(flags={"width": "1"})))
            assert memory.calls.count("kin") == 1
            await bench.clock.run_for(kin.MOMENT_SECONDS)
            for width in ("2", "3", "4"):
                found = await once_soon(bench, a_flow(a_node(flags={"width": width})))
                missed = found.nodes["resize"].attempts[0].missed
                assert missed is not None
                assert missed.nearest is not None
                assert missed.nearest.run == before.id, "the one before, as the database would tell it"
                before = found
            assert memory.calls.count("kin") == 2


async def once_soon(bench: Bench, this: Flow) -> Run:
    """A run of the flow that takes less than half a second, until it is remembered."""
    run = await bench.start(this)
    await bench.upload(run, "resize-in", PNG)
    run = await bench.ended(run, step=0.01)
    await bench.clock.run_for(engine_memory.KEEP_SECONDS)
    return run


async def test_who_waits_for_room_is_not_asked_twice_for_nothing(tmp_path: Path) -> None:
    """But of those that wait to do the same work only the first does it."""
    async with a_bench(tmp_path, memoize=True, room=replace(ROOM, attempts=1)) as bench:
        memory = Faulty(bench.world.memo)
        async with changed(bench, memo=memory) as bench:
            bench.image(IMAGE, copies("image", "resized", seconds=1))
            runs = [await bench.start(a_flow(a_node(flags={"width": each}))) for each in ("1", "2", "2")]
            for run in runs:
                await bench.upload(run, "resize-in", PNG)
            ended = [(await bench.ended(run, step=0.1)).nodes["resize"].reused for run in runs]
            assert ended.count(True) == 1
            assert len(bench.executor.starts) == 2
            assert memory.calls.count("find") == 4, "each once, and the third again when the second was done"


async def test_who_waits_for_room_for_long_is_asked_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True, room=replace(ROOM, attempts=1)) as bench:
        memory = Faulty(bench.world.memo)
        async with changed(bench, memo=memory) as bench:
            bench.image(IMAGE, copies("image", "resized", seconds=engine_memory.AGAIN_SECONDS + 1))
            runs = [await bench.start(a_flow(a_node(flags={"width": each}))) for each in ("1", "2")]
            for run in runs:
                await bench.upload(run, "resize-in", PNG)
            for run in runs:
                assert not (await bench.ended(run, step=1)).nodes["resize"].reused
            assert memory.calls.count("find") == 3
