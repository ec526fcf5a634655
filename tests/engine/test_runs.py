"""Runs from beginning to end, on a world in memory."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome, Pull, Said
from pupload.domain.nodedef import Retry
from pupload.domain.run import AttemptRef, Failure, NodeRun, NodeStatus, Run, Status
from pupload.engine.admission import Room
from pupload.ports import ContainerOrder
from tests.bench import PNG, TEXT, Bench, a_bench, copies, ends
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port, a_well

IMAGE = "pupload/resize:latest"


def current(bench: Bench, run: Run) -> NodeRun:
    """The node as it stands now."""
    return bench.engine.driver.live[run.id].nodes["resize"]


async def test_a_picture_goes_through_a_chain(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(*a_chain(3)))
        assert run.status is Status.WAITING
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e3") == PNG
        assert run.artifacts["e3"].content_type == "image/png"
        assert run.artifacts["e3"].sha256 == run.artifacts["e0"].sha256


async def test_nothing_is_left_of_a_run_that_is_over(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.upload(run, "e0", PNG)
        await bench.ended(run)
        await bench.until(lambda: not bench.executor.left)
        await bench.until(lambda: not list((tmp_path / "attempts").iterdir()))
        left = [found.key async for found in bench.store.list()]
        assert left == sorted(f"{run.id}/{edge}" for edge in ("e0", "e1", "e2")), "no upload is left unsealed"
        assert not bench.engine.admission.holders
        assert not len(bench.engine.uploads)


async def test_what_is_put_after_the_sealing_changes_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=60))
        run = await bench.start(a_flow())
        url = (await bench.view(run)).waiting[0].url
        await bench.store.use("PUT", url, PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.store.use("PUT", url, TEXT)
        run = await bench.ended(run, step=1)
        assert await bench.download(run, "resize-in") == PNG
        assert await bench.download(run, "resize-out") == PNG


async def test_an_upload_of_the_wrong_type_is_refused_before_any_container(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        definition = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        run = await bench.start(a_flow(), [definition])
        await bench.upload(run, "resize-in", TEXT)
        run = await bench.ended(run)
        assert run.status is Status.ERROR
        assert run.error == (
            "upload of edge resize-in is text/plain, but image/* by input image of node resize is expected"
        )
        assert not bench.executor.starts


async def test_an_upload_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with a_bench(tmp_path, max_upload_bytes=4) as bench:
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run)
        assert "larger than the limit of 4 bytes" in run.error


async def test_a_store_that_tells_nothing_is_looked_at_again_and_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, notifies=False) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.clock.run_for(30)
        await bench.upload(run, "resize-in", PNG)
        before = bench.clock.now()
        run = await bench.ended(run, step=0.1)
        assert run.status is Status.COMPLETE
        assert bench.clock.now() - before <= timedelta(seconds=7)


async def test_a_static_object_must_be_there(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        flow = a_flow(wells=[a_well("resize-in", source="static", key="fixed/logo")])
        run = await bench.ended(await bench.start(flow))
        assert run.error == "object fixed/logo of edge resize-in is not in store default"
        await bench.store.put_bytes("fixed/logo", PNG, content_type="image/png")
        run = await bench.ended(await bench.start(flow))
        assert run.status is Status.COMPLETE


async def test_what_a_node_says_is_kept(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        said = ['{"level": "info", "message": "half", "progress": 0.5}', Said(text="oh no", stream="stderr")]
        bench.image(IMAGE, ends(code=3, said=said))
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [a_definition(max_attempts=1)]))
        view = await bench.view(run)
        lines = [(record.line.stream, record.line.level, record.line.message) for record in view.logs["resize"]]
        assert lines == [("stdout", "INFO", "half"), ("stderr", "", "oh no")]
        assert run.nodes["resize"].error == "exit code 3: oh no"


async def test_a_log_without_end_is_cut_but_for_its_last_line(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(code=1, said=["x" * 1000] * 100 + ["the end"]))
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [a_definition(max_attempts=1)]))
        records = await bench.world.journal.read_logs(run.id)
        assert sum(len(record.line.message) for record in records) < 1 << 17
        assert [record.line.message for record in records[-2:]] == [
            "the log was longer than its limit: what follows is its last line",
            "the end",
        ]


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_that_fails_is_tried_again_in_a_clean_place(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        seen: list[list[str]] = []

        def script(order: ContainerOrder) -> Outcome:
            seen.append([path.name for path in order.outputs.iterdir()])
            (order.outputs / "resized").write_bytes(PNG)
            return Outcome(code=0 if order.attempt.number == 3 else 1)

        bench.image(IMAGE, script)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}))), step=0.1)
        assert run.status is Status.COMPLETE
        assert seen == [[], [], []]
        assert [attempt.failure for attempt in run.nodes["resize"].attempts] == ["exit", "exit", ""]


@pytest.mark.parametrize(
    ("outcome", "failure", "sentence"),
    [
        (Outcome(code=7), Failure.EXIT, "exit code 7"),
        (Outcome(code=139), Failure.EXIT, "exit code 139 (SIGSEGV)"),
        (
            Outcome(code=137, oom=True, peak_memory_bytes=512 << 20),
            Failure.OOM,
            "killed: used 512 MiB, the limit of c-nano is 512 MiB; try c-micro",
        ),
        (
            Outcome(code=0),
            Failure.OUTPUT_MISSING,
            "the node ended well but did not write its output resized to /pupload/out/resized",
        ),
        (Outcome(refused="no such file"), Failure.NOT_STARTABLE, "the container could not be started: no such file"),
    ],
)
async def test_every_bad_end_has_its_class_and_its_sentence(
    tmp_path: Path, outcome: Outcome, failure: Failure, sentence: str
) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: outcome)
        definition = a_definition(tier="c-nano", max_attempts=1)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [definition]))
        last = run.nodes["resize"].last
        assert last is not None
        assert (last.failure, last.reason) == (failure, sentence)
        assert run.error == f"node resize: {sentence}"
        assert not bench.executor.left


async def test_an_image_that_is_nowhere_is_said_and_not_tried_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}))))
        assert run.nodes["resize"].last is not None
        assert run.nodes["resize"].last.failure == Failure.IMAGE_MISSING
        assert IMAGE in run.error


async def test_an_image_is_pulled_once_however_many_nodes_want_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.executor.registry[IMAGE] = Pull(script=copies("image", "resized"), seconds=30)
        nodes = [a_node(f"n{i}", inputs={"image": "e0"}) for i in range(8)]
        run = await bench.start(a_flow(*nodes))
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.COMPLETE
        assert bench.executor.pulls[IMAGE] == 1


async def test_an_output_of_the_wrong_type_is_told_by_its_bytes(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:

        def script(order: ContainerOrder) -> Outcome:
            (order.outputs / "resized.png").write_bytes(TEXT)
            return Outcome()

        bench.image(IMAGE, script)
        definition = a_definition(outputs=[a_port("resized", "image/png")])
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [definition]))
        assert run.nodes["resize"].error == "output resized is text/plain, but image/png is expected"


@pytest.mark.parametrize("trick", ["symlink", "hardlink", "directory", "fifo"])
async def test_an_output_that_is_no_plain_file_is_refused(tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PNG)

    def script(order: ContainerOrder) -> Outcome:
        target = order.outputs / "resized"
        match trick:
            case "symlink":
                target.symlink_to(secret)
            case "hardlink":
                target.hardlink_to(secret)
            case "directory":
                target.mkdir()
            case "fifo":
                import os

                os.mkfifo(target)
        return Outcome()

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, script)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}))))
        assert run.nodes["resize"].error.startswith("output resized cannot be used")
        assert secret.read_bytes() == PNG


async def test_an_engine_that_does_not_answer_costs_no_attempt(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        bench.executor.down = True
        await bench.upload(run, "resize-in", PNG)
        await bench.until(lambda: bool(bench.engine.admission.holders))
        await bench.clock.run_for(30)
        bench.executor.down = False
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.COMPLETE
        assert len(run.nodes["resize"].attempts) == 1


async def test_a_container_that_is_gone_is_tried_again_at_nobodys_cost(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:

        def script(order: ContainerOrder) -> Outcome:
            (order.outputs / "resized").write_bytes(PNG)
            return Outcome(vanishes=order.attempt.number == 1)

        bench.image(IMAGE, script)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}))), step=0.1)
        assert run.status is Status.COMPLETE
        assert (run.nodes["resize"].charged, run.nodes["resize"].mishaps) == (0, 1)


@pytest.mark.parametrize(
    "end",
    [{"code": 137, "engine_restarted": True}, {"code": 5, "signalled": "SIGTERM"}, {"code": 0, "signalled": "SIGKILL"}],
    ids=["with the engine", "stopped by hand", "stopped by hand and ending well"],
)
async def test_what_ended_a_container_from_outside_is_not_charged_to_the_node(
    tmp_path: Path, end: dict[str, Any]
) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(hangs=order.attempt.number == 1))
        run = await bench.start(a_flow(a_node(inputs={}, outputs={})), [a_definition(max_attempts=1)])
        await bench.until(lambda: bool(bench.executor.alive))
        bench.executor.end(AttemptRef(run=run.id, node="resize", number=1), **end)
        run = await bench.ended(run, step=0.1)
        assert run.status is Status.COMPLETE
        node = run.nodes["resize"]
        assert (node.charged, node.mishaps, node.attempts[0].failure) == (0, 1, Failure.RUNTIME)


@pytest.mark.parametrize("gone", [True, False], ids=["lost", "ended with the engine"])
async def test_a_time_limit_that_passed_while_the_engine_was_away_charges_nobody(tmp_path: Path, gone: bool) -> None:
    """The run orders a stop for the time limit; the container had been gone for long."""
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(hangs=order.attempt.number == 1))
        definition = a_definition(timeout="60s", max_attempts=1)
        run = await bench.start(a_flow(a_node(inputs={}, outputs={})), [definition])
        await bench.until(lambda: bool(bench.executor.alive))
        ref = AttemptRef(run=run.id, node="resize", number=1)
        bench.executor.down = True
        if gone:
            bench.executor.lose(ref)
        else:
            bench.executor.end(ref, code=255, engine_restarted=True)
        await bench.clock.run_for(90)
        bench.executor.down = False
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.COMPLETE, run.error
        assert run.nodes["resize"].attempts[0].failure == Failure.RUNTIME


async def test_a_good_end_after_a_stop_for_its_time_limit_is_a_time_out(tmp_path: Path) -> None:
    """What it wrote may be cut off: it was told to end."""
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(hangs=True, ignores_term=True))
        definition = a_definition(timeout="60s", max_attempts=1)
        run = await bench.start(a_flow(a_node(inputs={}, outputs={})), [definition])
        await bench.until(lambda: bool(bench.executor.alive))
        ref = AttemptRef(run=run.id, node="resize", number=1)
        await bench.until(lambda: bool((last := current(bench, run).last) and last.stopping), step=1)
        bench.executor.end(ref, code=0, signalled="SIGTERM")
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.ERROR
        assert "timed out" in run.error


async def test_more_memory_climbs_the_tiers(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        given: list[int] = []

        def script(order: ContainerOrder) -> Outcome:
            given.append(order.memory_bytes >> 20)
            (order.outputs / "resized").write_bytes(PNG)
            return Outcome(code=137, oom=True) if len(given) < 3 else Outcome()

        bench.image(IMAGE, script)
        definition = a_definition(tier="c-nano", retry=Retry(more_memory=True))
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [definition]), step=0.1)
        assert run.status is Status.COMPLETE
        assert given == [512, 1024, 2048]


# ── Stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_that_runs_too_long_is_killed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(hangs=True, ignores_term=True))
        definition = a_definition(timeout="90s", max_attempts=1)
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={})), [definition]), step=1)
        assert run.nodes["resize"].error == "timed out: ran longer than its limit of 1m30s"
        assert not bench.executor.left


async def test_a_cancelled_run_ends_when_its_container_is_gone(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(hangs=True))
        run = await bench.start(a_flow(a_node(inputs={})))
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.runs.cancel(run.id, mode="kill")
        run = await bench.ended(run)
        assert run.status is Status.STOPPED
        assert not bench.executor.left


async def test_a_drained_run_finishes_what_runs(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=30))
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.runs.cancel(run.id, mode="drain")
        run = await bench.ended(run, step=1)
        assert run.status is Status.STOPPED
        assert (run.nodes["n0"].status, run.nodes["n1"].status) == (NodeStatus.COMPLETE, NodeStatus.SKIPPED)


async def test_a_cancelled_run_leaves_the_queue(tmp_path: Path) -> None:
    room = Room(cpus=100, memory_bytes=64 << 30, gpus={}, attempts=1)
    async with a_bench(tmp_path, room=room) as bench:
        bench.image(IMAGE, ends(hangs=True))
        first = await bench.start(a_flow(a_node(inputs={})))
        await bench.until(lambda: bool(bench.executor.alive))
        second = await bench.start(a_flow(a_node(inputs={})))
        await bench.until(lambda: bench.engine.admission.queued == 1)
        await bench.runs.cancel(second.id, mode="kill")
        await bench.until(lambda: not bench.engine.admission.queued)
        assert (await bench.view(second)).run.status is Status.STOPPED
        await bench.runs.cancel(first.id, mode="kill")
        await bench.ended(first)
        assert sum(bench.executor.starts.values()) == 1


# ── Starting again ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restart_takes_up_what_runs_and_runs_nothing_twice(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=60))
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        again = await bench.restarted()
        run = await again.ended(run, step=1)
        assert run.status is Status.COMPLETE
        assert set(again.executor.starts.values()) == {1}
        records = await again.world.journal.read_logs(run.id)
        assert [record.line.message for record in records] == ["copied image", "copied image"]
        await again.engine.close()


async def test_an_upload_that_came_while_nobody_looked_is_seen(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        url = (await bench.view(run)).waiting[0].url
        await bench.engine.close()
        await bench.store.use("PUT", url, PNG)
        again = await bench.restarted()
        run = await again.ended(run)
        assert run.status is Status.COMPLETE
        await again.engine.close()


async def test_a_container_of_a_run_nobody_knows_is_removed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(hangs=True))
        run = await bench.start(a_flow(a_node(inputs={})))
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.engine.close()
        await bench.world.runs.delete(run.id)
        again = await bench.restarted()
        await again.until(lambda: not again.executor.left)
        assert AttemptRef(run=run.id, node="resize", number=1) not in again.executor.left
        await again.engine.close()


# ── Resuming ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_run_is_resumed_where_it_failed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("p/good:latest", copies("image", "resized"))
        bench.image("p/bad:latest", ends(code=1))
        good = a_node("good", uses="p/good", inputs={"image": "e0"}, outputs={"resized": "e1"})
        bad = a_node("bad", uses="p/bad", inputs={"image": "e1"}, outputs={"resized": "e2"})
        flow = a_flow(good, bad)
        definitions = [a_definition("p/good"), a_definition("p/bad", max_attempts=1)]
        run = await bench.start(flow, definitions)
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.ERROR
        bench.image("p/bad:latest", copies("image", "resized"))
        resumed = await bench.ended((await bench.runs.resume(run.id)).run)
        assert resumed.status is Status.COMPLETE
        assert resumed.resumed_from == run.id
        assert {ref.node for ref in bench.executor.starts if ref.run == resumed.id} == {"bad"}
        assert await bench.download(resumed, "e2") == PNG


async def test_a_run_whose_artifacts_are_gone_is_not_resumed_and_says_which(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(code=1))
        run = await bench.start(a_flow(), [a_definition(max_attempts=1)])
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run)
        await bench.store.delete(run.artifacts["resize-in"].key)
        with pytest.raises(errors.Conflict, match=r"resize-in .*is gone"):
            await bench.runs.resume(run.id)
