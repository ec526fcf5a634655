"""Runs on behalf of others: started, given what they wait for, and their results handed on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain import flow as flows
from pupload.domain.run import Run, Status
from pupload.service.approvals import Approvals
from pupload.service.handing import Hands
from tests.bench import Bench, a_bench, copies, ends
from tests.builders import a_flow, a_node, a_well
from tests.engine.test_ownership import finished, silenced, two
from tests.service.following import (
    children,
    copies_to_result,
    restarted,
    save,
    started,
    waits_for_a_run,
)

IMAGE = "pupload/resize:latest"
BAD = "pupload/bad:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        found.image(BAD, ends(code=3))
        yield started(found)


async def over(bench: Bench, run: Run) -> Run:
    return await bench.ended(run, step=5.0)


async def test_a_run_of_another_flow_is_given_an_edge_and_its_result_is_another(bench: Bench) -> None:
    await save(bench, "inner", copies_to_result())
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    assert run.error == ""
    assert await bench.download(run, "result") == b"hello"
    (child,) = await children(bench)
    assert child.status is Status.COMPLETE
    assert child.plan.labels == {"parent": run.id, "parent_edge": "made"}
    assert child.plan.parent is not None
    assert (child.plan.parent.run, child.plan.parent.edge, child.plan.parent.depth) == (run.id, "made", 1)


async def test_one_run_may_feed_the_next(bench: Bench) -> None:
    await save(bench, "inner", copies_to_result())
    wells = [
        replace(a_well("one", source="run"), flow="inner", given="text"),
        replace(a_well("two", source="run"), flow="inner", given="one"),
    ]
    run = await bench.start(a_flow(a_node("last", inputs={"image": "two"}, outputs={"resized": "result"}), wells=wells))
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    assert await bench.download(run, "result") == b"hello"
    assert len(await children(bench)) == 2


async def test_a_run_that_is_given_nothing_starts_at_once(bench: Bench) -> None:
    wells = [a_well("said", source="static", key="there")]
    await bench.store.put_bytes("there", b"hello", content_type="text/plain")
    await save(bench, "inner", replace(copies_to_result(), wells=tuple(wells)))
    run = await over(bench, await bench.start(waits_for_a_run(given="")))
    assert await bench.download(run, "result") == b"hello"


async def test_json_is_shared_out_among_several_inputs(bench: Bench) -> None:
    both = a_flow(
        a_node("a", inputs={"image": "left"}, outputs={"resized": "other"}),
        a_node("b", inputs={"image": "right"}, outputs={"resized": "result"}),
    )
    await save(bench, "inner", both)
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b'{"left": "one", "right": "two"}')
    assert await bench.download(await over(bench, run), "result") == b"two"


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        (a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"})), "failed: node bad: "),
        (a_flow(a_node("a", inputs={"image": "said"}), a_node("b", inputs={"image": "said"})), "has no result"),
        (a_flow(a_node("a"), a_node("b")), "the flow waits for several inputs"),
        (None, "is not saved here"),
    ],
)
async def test_where_there_is_no_result_the_run_says_why(bench: Bench, inner: flows.Flow | None, why: str) -> None:
    if inner is not None:
        await save(bench, "inner", inner)
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    assert run.status is Status.ERROR
    assert why in run.error
    assert "inner" in run.error


async def test_a_result_that_is_not_kept_any_more_is_not_waited_for(bench: Bench) -> None:
    await save(bench, "inner", copies_to_result())
    real = bench.store.copy

    async def gone(source: str, target: str, **more: Any) -> Any:
        if source.endswith("/result") or "/result/" in source:
            raise errors.ObjectAbsent(key=source, store="default")
        return await real(source, target, **more)

    bench.store.copy = gone  # type: ignore[method-assign]
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    assert "cannot be handed on to edge made" in run.error


async def test_a_resumed_run_has_a_child_of_its_own(bench: Bench) -> None:
    await save(bench, "inner", a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"})))
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    await save(bench, "inner", copies_to_result())
    again = await over(bench, (await bench.runs.resume(run.id)).run)
    assert await bench.download(again, "result") == b"hello"
    assert [child.status for child in await children(bench)] == [Status.ERROR, Status.COMPLETE]


async def test_who_cancels_a_run_cancels_what_runs_on_its_behalf(bench: Bench) -> None:
    bench.image(IMAGE, copies("image", "resized", seconds=1e6))
    await save(bench, "inner", copies_to_result())
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    await bench.until(lambda: len(bench.engine.driver.live) == 2, step=0.1)
    (child,) = await children(bench)
    await bench.runs.cancel(run.id)
    assert (await over(bench, child)).status is Status.STOPPED
    assert (await over(bench, run)).status is Status.STOPPED


async def test_a_flow_that_runs_itself_comes_to_an_end(bench: Bench) -> None:
    again = waits_for_a_run("around", name="around")
    await save(bench, "around", again)
    run = await bench.start(again)
    await bench.upload(run, "text", b"hello")
    run = await over(bench, run)
    assert "it would be run number 9 on behalf of another; 8 may be" in run.error
    assert len(await children(bench)) == 8


async def test_whoever_resumes_a_child_resumes_it_for_themselves(bench: Bench) -> None:
    await save(bench, "inner", a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"})))
    run = await bench.start(waits_for_a_run())
    await bench.upload(run, "text", b"hello")
    await over(bench, run)
    (child,) = await children(bench)
    bench.image(BAD, copies("image", "resized"))
    again = await over(bench, (await bench.runs.resume(child.id)).run)
    assert again.status is Status.COMPLETE
    assert again.plan.parent is None


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_flow_is_run_when_one_has_failed(bench: Bench) -> None:
    await save(bench, "tell", copies_to_result())
    bad = a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"}), on_error="tell", name="bad")
    run = await bench.start(bad)
    await bench.upload(run, "said", b"hello")
    run = await over(bench, run)
    await bench.until(lambda: not bench.engine.driver.live and len(bench.kept.shelf.books) == 2, step=0.1)
    (handler,) = await children(bench)
    assert handler.status is Status.COMPLETE
    said = await bench.download(handler, "result")
    assert said.decode() == f'{{"run": "{run.id}", "flow": "bad", "error": "{run.error}", "node": "bad"}}'


async def test_no_flow_is_run_when_that_one_has_failed(bench: Bench) -> None:
    bad = a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"}), on_error="bad", name="bad")
    await save(bench, "bad", bad)
    run = await bench.start(bad)
    await bench.upload(run, "said", b"hello")
    await over(bench, run)
    await bench.until(lambda: not bench.engine.driver.live and len(bench.kept.shelf.books) == 2, step=0.1)
    await bench.clock.run_for(3600)
    (handler,) = await children(bench)
    assert handler.status is Status.ERROR
    assert await bench.world.runs.unsettled() == []


async def test_a_flow_that_is_not_there_when_one_has_failed_is_given_up(bench: Bench) -> None:
    run = await bench.start(a_flow(a_node("bad", uses="pupload/bad", inputs={"image": "said"}), on_error="gone"))
    await bench.upload(run, "said", b"hello")
    await over(bench, run)
    await bench.clock.run_for(60)
    assert await bench.world.runs.unsettled() == []
    assert await children(bench) == []


# ── Crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_dies_anywhere_between_leaves_nothing_undone(bench: Bench) -> None:
    """It is ended after each turn of the event loop that does anything; the next one goes on."""
    await save(bench, "inner", copies_to_result())
    for turns in range(60):
        run = await bench.start(waits_for_a_run())
        await bench.upload(run, "text", b"hello")
        for _ in range(turns):
            await asyncio.sleep(0)
        bench = await restarted(bench)
        run = await over(bench, run)
        assert run.error == ""
        assert await bench.download(run, "result") == b"hello"
        of_it = [child for child in await children(bench) if child.plan.labels["parent"] == run.id]
        assert [child.status for child in of_it] == [Status.COMPLETE]
    await bench.until(lambda: not any(book.followed for book in bench.kept.shelf.books.values()), step=1.0)
    await bench.engine.close()


async def test_what_nobody_follows_stays_so_until_somebody_does(bench: Bench) -> None:
    await bench.engine.close()
    without = await bench.restarted()
    await save(without, "inner", copies_to_result())
    run = await without.start(waits_for_a_run())
    await without.upload(run, "text", b"hello")
    await without.clock.run_for(3600)
    assert (await without.runs.status(run.id)).children[0].run == ""
    bench = await restarted(without)
    assert (await over(bench, run)).status is Status.COMPLETE
    await bench.engine.close()


# ── Several servers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Bench, Bench]]:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, copies("image", "resized", seconds=5.0))
        await save(one, "inner", copies_to_result())
        yield one, other


async def test_a_child_on_another_server_hands_its_result_over(both: tuple[Bench, Bench]) -> None:
    one, other = both
    run = await one.start(waits_for_a_run())
    await one.upload(run, "text", b"hello")
    await one.until(lambda: bool(one.engine.driver.live[run.id].artifacts), step=0.1)
    started(other)
    other.engine.consequences.look_at(run.id)
    await one.until(lambda: bool(other.engine.driver.live), step=0.1)
    started(one)
    run = await finished(one, run)
    assert run.status is Status.COMPLETE
    assert run.owner == "one"
    (child,) = await children(one)
    assert child.owner == "two"


async def test_what_a_dead_server_began_another_goes_on_with(both: tuple[Bench, Bench]) -> None:
    one, other = started(both[0]), started(both[1])
    run = await one.start(waits_for_a_run())
    await one.upload(run, "text", b"hello")
    await one.until(lambda: len(one.engine.driver.live) == 2, step=0.1)
    await one.engine.consequences.close()
    await silenced(one)
    run = await finished(other, run)
    assert (run.status, run.owner) == (Status.COMPLETE, "two")
    assert len(await children(other)) == 1
    await other.until(lambda: not any(book.followed for book in other.kept.shelf.books.values()), step=1.0)


async def test_two_servers_that_see_to_one_run_start_one_child(both: tuple[Bench, Bench]) -> None:
    one, other = started(both[0]), started(both[1])
    run = await one.start(waits_for_a_run())
    await one.upload(run, "text", b"hello")
    for _ in range(100):
        for each in both:
            each.engine.consequences.look_at(run.id)
        await one.clock.run_for(0.05)
    assert (await finished(one, run)).status is Status.COMPLETE
    assert len(await children(other)) == 1


async def test_a_no_reaches_the_server_that_has_the_run(both: tuple[Bench, Bench]) -> None:
    one, other = both
    node = a_node("publish", inputs={"image": "go"}, outputs={"resized": "result"})
    for approve, status in ((True, Status.COMPLETE), (False, Status.ERROR)):
        run = await one.start(a_flow(node, wells=[a_well("go", source="approval")]))
        hands = Hands(engine=other.engine, uploads=other.uploads)
        approvals = Approvals(engine=other.engine, runs=other.runs, hands=hands)
        said = asyncio.ensure_future(approvals.answer(run.id, "go", approve=approve))
        assert (await finished(one, run)).status is status
        await one.until(said.done, step=0.1)
        assert (await said).run.id == run.id
