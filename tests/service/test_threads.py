"""Threads: what was said when a run was started, and what came back when it had succeeded."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from pupload.domain import thread
from pupload.domain.access import Caller, Role
from pupload.domain.run import Run
from pupload.service import asking
from pupload.service.threads import LABEL
from tests.bench import Bench, a_bench, copies, ends
from tests.builders import a_flow, a_node
from tests.service.following import copies_to_result, flows_of, restarted, save, started, threads_of

IMAGE = "pupload/resize:latest"
ANN, BEN = (Caller(user=number, name=name, role=Role.EDITOR) for number, name in ((7, "ann"), (8, "ben")))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield started(found)


async def begun(bench: Bench, flow: str) -> Run:
    """A run of the flow, which is labelled with it."""
    return (await flows_of(bench).start(flow, labels={LABEL: flow}, followed=True)).run


async def said(bench: Bench, flow: str, text: str) -> Run:
    """A run that was told something, when it is over and nothing follows from it any more."""
    run = await begun(bench, flow)
    await threads_of(bench).said(run, text)
    return await heard(bench, run, text)


async def heard(bench: Bench, run: Run, text: str) -> Run:
    await bench.upload(run, "said", text.encode())
    run = await bench.ended(run, step=0.5)
    await bench.until(lambda: not any(book.followed for book in bench.kept.shelf.books.values()), step=0.5)
    return run


async def test_each_account_has_a_thread_of_its_own_with_each_flow(bench: Bench) -> None:
    for who in (ANN, BEN):
        with asking.asked_by(who):
            flow = await save(bench, "inner", copies_to_result())
            await said(bench, flow, f"I am {who.name}")
            other = await save(bench, "other", copies_to_result())
            await said(bench, other, f"still {who.name}")
            history = await threads_of(bench).history(flow)
            assert [(one.role, one.text) for one in history.messages] == [
                ("user", f"I am {who.name}"),
                ("assistant", f"I am {who.name}"),
            ]
            assert (await threads_of(bench).list()).total == 2
            await threads_of(bench).clear(flow)
            assert (await threads_of(bench).history(flow)).messages == []
            assert (await threads_of(bench).list()).total == 1
    assert (await threads_of(bench).list()).total == 2, "everybody's, to who sees everything"


async def test_what_comes_back_is_the_text_that_was_made_last(bench: Bench) -> None:
    several = a_flow(
        a_node("a", inputs={"image": "said"}, outputs={"resized": "first"}),
        a_node("b", inputs={"image": "first"}, outputs={"resized": "second"}),
        a_node("c", inputs={"image": "first"}, outputs={"resized": "third"}),
    )
    flow = await save(bench, "several", several)
    await said(bench, flow, "hello")
    assert [one.text for one in (await threads_of(bench).history(flow)).messages] == ["hello", "hello"]


async def test_a_run_that_fails_answers_nothing(bench: Bench) -> None:
    bench.image(IMAGE, ends(code=1))
    flow = await save(bench, "inner", copies_to_result())
    await said(bench, flow, "hello")
    assert [one.role for one in (await threads_of(bench).history(flow)).messages] == ["user"]


async def test_a_server_that_dies_before_it_kept_what_was_said_loses_nothing(bench: Bench) -> None:
    flow = await save(bench, "inner", copies_to_result())
    run = await begun(bench, flow)
    bench = await restarted(bench)
    await heard(bench, run, "hello")
    history = (await threads_of(bench).history(flow)).messages
    assert [(one.role, one.text, one.run) for one in history] == [
        ("user", "hello", run.id),
        ("assistant", "hello", run.id),
    ]
    assert history[0].at == run.created_at
    await bench.engine.close()


async def test_a_history_goes_back(bench: Bench) -> None:
    flow = await save(bench, "inner", copies_to_result())
    for number in range(3):
        await said(bench, flow, f"said {number}")
        await bench.clock.run_for(60)
    last = await threads_of(bench).history(flow, limit=3)
    assert ([one.text for one in last.messages], last.more) == (["said 1", "said 2", "said 2"], True)
    before = await threads_of(bench).history(flow, before=last.messages[0].at)
    assert ([one.text for one in before.messages], before.more) == (["said 0", "said 0", "said 1"], False)
    none = await threads_of(bench).history(flow, before=before.messages[0].at - timedelta(days=1))
    assert none.messages == []


def test_what_is_very_long_is_cut_between_its_letters() -> None:
    assert thread.cut("short") == "short"
    long = "ü" * thread.MOST_TEXT_BYTES
    assert thread.cut(long) == "ü" * (thread.MOST_TEXT_BYTES // 2)
    assert thread.cut("x" + long) == "x" + "ü" * ((thread.MOST_TEXT_BYTES - 1) // 2)
