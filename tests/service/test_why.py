"""Why a node ran, or did not."""

from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome
from pupload.domain.run import Run, Status
from pupload.service import views
from pupload.service.why import Outcome as Told
from pupload.service.why import Why
from tests.bench import PNG, Bench, a_bench, copies
from tests.builders import a_definition, a_flow, a_node

IMAGE = "pupload/resize:latest"


async def asked(bench: Bench, this: Any = None, **definition: Any) -> tuple[Run, Why]:
    """A run with an upload, and why its node ran, or did not."""
    run = await bench.start(this or a_flow(), [a_definition(**definition)])
    await bench.upload(run, "resize-in", PNG)
    run = await bench.ended(run, step=1)
    return run, await bench.runs.why(run.id, "resize")


async def test_why_tells_of_the_first_of_the_same_and_of_another(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first, why = await asked(bench, a_flow(a_node(flags={"width": "640"})))
        assert (why.outcome, why.source) == (Told.FIRST, None)
        _, why = await asked(bench, a_flow(a_node(flags={"width": "640"})))
        assert why.outcome is Told.REUSED
        assert why.source is not None
        assert why.source.run == first.id
        assert why.sentence.startswith(f"node resize of run {first.id} did the same work at 2026-03-03 12:")
        _, why = await asked(bench, a_flow(a_node(flags={"width": "800"})))
        assert why.outcome is Told.DIFFERENT
        assert why.sentence == f"it ran: nearest came node resize of run {first.id}, but flag width: 800, was 640"


async def test_why_tells_that_what_was_made_is_gone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        first, _ = await asked(bench)
        await bench.store.delete(first.artifacts["resize-out"].key)
        _, why = await asked(bench)
        assert why.outcome is Told.GONE
        assert first.id in why.sentence


async def test_why_tells_that_a_node_is_never_spared(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        _, why = await asked(bench, memoize=False)
        assert why.outcome is Told.NEVER
        assert "Memoize: false" in why.sentence


async def test_a_run_that_is_not_to_remember_does_all_its_work(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        await asked(bench)
        order = views.Order(flow=a_flow(), definitions=(a_definition(),), memoize=False)
        run = (await bench.runs.start(order)).run
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run, step=1)
        assert (run.status, run.nodes["resize"].reused, len(run.nodes["resize"].attempts)) == (
            Status.COMPLETE,
            False,
            1,
        )
        why = await bench.runs.why(run.id, "resize")
        assert (why.outcome, "the run says Memoize: false" in why.sentence) == (Told.NEVER, True)


async def test_why_tells_that_nothing_is_remembered(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        _, why = await asked(bench)
        assert (why.outcome, why.sentence) == (Told.OFF, "the setting memoize is off")


async def test_why_has_nothing_to_tell_of_what_has_not_begun(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        assert (await bench.runs.why(run.id, "resize")).outcome is Told.OPEN


async def test_a_resumed_run_says_where_its_work_was_done(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        bench.image("pupload/bad:latest", lambda order: Outcome(code=1))
        flow = a_flow(a_node(), a_node("bad", uses="pupload/bad", inputs={"image": "resize-out"}))
        definitions = [a_definition(), a_definition("pupload/bad", max_attempts=1)]
        run = await bench.start(flow, definitions)
        await bench.upload(run, "resize-in", PNG)
        run = await bench.ended(run, step=1)
        resumed = await bench.runs.resume(run.id)
        why = await bench.runs.why(resumed.run.id, "resize")
        assert why.outcome is Told.REUSED
        assert why.source is not None
        assert (why.source.run, why.source.at) == (run.id, run.nodes["resize"].attempts[0].finished_at)
        await bench.ended(resumed.run, step=1)


async def test_a_node_that_is_named_to_run_again_does(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run, _ = await asked(bench)
        before = len(bench.executor.starts)
        again = await bench.runs.resume(run.id, from_node="resize")
        await bench.ended(again.run, step=1)
        assert len(bench.executor.starts) == before + 1


async def test_why_knows_the_nodes_of_the_run_alone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, memoize=True) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        with pytest.raises(errors.Malformed, match="has no node nobody"):
            await bench.runs.why(run.id, "nobody")
        with pytest.raises(errors.UnknownRun):
            await bench.runs.why("run_nobody", "resize")
