"""What `ports.RunStore` promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain import events, run
from tests.contracts.states import (
    NOON,
    Bench,
    a_line,
    a_plan,
    a_run,
    an_artifact,
    arrived,
    created,
    ended,
    moved,
    state,
)

__all__ = ["state"]


async def test_a_new_run_is_version_one_and_reads_back_after_a_restart(state: Bench) -> None:
    new = await state.runs.create(created(a_run()))
    assert new == replace(a_run(), version=1, fence=1)
    await state.again()
    assert await state.runs.load("run_a") == new


async def test_a_save_reads_back_after_a_restart(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    second = await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    third = await state.runs.save(arrived(second), if_version=2)
    assert (second.version, third.version) == (2, 3)
    await state.again()
    found = await state.runs.load("run_a")
    assert found == third
    assert list(found.nodes) == ["resize", "label"]
    assert found.artifacts == {"photo": an_artifact()}


async def test_indexes_into_the_nodes_are_right_after_loading(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    await state.runs.save(moved(first, "resize", run.NodeStatus.COMPLETE), if_version=1)
    second = await state.runs.load("run_a")
    await state.runs.save(moved(second, "label", run.NodeStatus.RUNNING), if_version=2)
    found = await state.runs.load("run_a")
    assert found.active == {"label"}
    assert found.unfinished == 1


async def test_only_what_the_decision_names_is_written(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    decision = replace(moved(first, "resize", run.NodeStatus.READY), changed_nodes=frozenset())
    await state.runs.save(decision, if_version=1)
    found = await state.runs.load("run_a")
    assert found.nodes["resize"].status is run.NodeStatus.IDLE
    assert found.status is run.Status.RUNNING


async def test_a_run_that_begins_with_work_done_keeps_it(state: Bench) -> None:
    await state.runs.create(created(a_run("run_0")))
    new = a_run()
    reused = run.NodeRun(id="resize", status=run.NodeStatus.COMPLETE, reused=True)
    new = replace(
        new,
        nodes={**new.nodes, "resize": reused},
        artifacts={"photo": an_artifact()},
        unfinished=1,
        resumed_from="run_0",
        ending=run.Ending(status=run.Status.STOPPED, reason="enough", drain=True),
    )
    saved = await state.runs.create(created(new))
    await state.again()
    assert await state.runs.load("run_a") == saved


async def test_a_stale_save_changes_nothing(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    second = await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    for version in (0, 1, 3):
        with pytest.raises(errors.Stale):
            await state.runs.save(moved(first, "label", run.NodeStatus.READY), if_version=version)
    assert await state.runs.load("run_a") == second
    assert len(await state.journal.read("run_a")) == 3


async def test_of_many_savers_of_one_version_one_wins(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    decision = moved(first, "resize", run.NodeStatus.READY)
    ends = await asyncio.gather(*(state.runs.save(decision, if_version=1) for _ in range(20)), return_exceptions=True)
    assert [type(end) for end in ends].count(run.Run) == 1
    assert [type(end) for end in ends].count(errors.Stale) == 19
    assert len(await state.journal.read("run_a")) == 3


async def test_an_unknown_run_is_told(state: Bench) -> None:
    with pytest.raises(errors.UnknownRun):
        await state.runs.load("run_none")
    with pytest.raises(errors.UnknownRun):
        await state.runs.save(created(a_run("run_none")), if_version=1)


async def test_an_id_is_used_once(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    with pytest.raises(errors.Broken):
        await state.runs.create(created(a_run(of=a_plan("another"))))
    assert await state.runs.load("run_a") == first


async def test_the_same_key_returns_the_earlier_run(state: Bench) -> None:
    first = await state.runs.create(created(a_run("run_a")), idempotency_key="k")
    moved_on = await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await state.again()
    assert await state.runs.create(created(a_run("run_b")), idempotency_key="k") == moved_on
    assert (await state.runs.list()).total == 1
    assert await state.journal.read("run_b") == []
    assert (await state.runs.create(created(a_run("run_c")), idempotency_key="other")).id == "run_c"
    assert (await state.runs.create(created(a_run("run_d")))).id == "run_d"


async def test_of_many_creators_with_one_key_one_creates(state: Bench) -> None:
    made = await asyncio.gather(
        *(state.runs.create(created(a_run(f"run_{n}")), idempotency_key="k") for n in range(20))
    )
    assert len({one.id for one in made}) == 1
    assert (await state.runs.list()).total == 1


async def test_lists_are_newest_first_in_pages(state: Bench) -> None:
    for n in range(5):
        await state.runs.create(created(a_run(f"run_{n}", created_at=NOON + timedelta(minutes=n))))
    page = await state.runs.list(limit=2, offset=1)
    assert [one.id for one in page.runs] == ["run_3", "run_2"]
    assert page.total == 5
    assert [one.id for one in (await state.runs.list(limit=100, offset=4)).runs] == ["run_0"]
    assert (await state.runs.list(limit=0)).runs == []


async def test_runs_of_the_same_moment_are_listed_by_their_ids(state: Bench) -> None:
    for name in ("run_b", "run_c", "run_a"):
        await state.runs.create(created(a_run(name)))
    assert [one.id for one in (await state.runs.list()).runs] == ["run_c", "run_b", "run_a"]
    assert await state.runs.unfinished() == ["run_a", "run_b", "run_c"]


async def test_lists_are_by_status_and_by_flow(state: Bench) -> None:
    for n, flow in enumerate(["shrink", "shrink", "grow"]):
        first = await state.runs.create(created(a_run(f"run_{n}", of=a_plan(flow))))
        if n:
            await state.runs.save(ended(first), if_version=1)

    async def found(status: run.Status | None, flow: str | None) -> set[str]:
        page = await state.runs.list(status=status, flow=flow)
        assert page.total == len(page.runs)
        return {one.id for one in page.runs}

    assert await found(run.Status.COMPLETE, None) == {"run_1", "run_2"}
    assert await found(None, "shrink") == {"run_0", "run_1"}
    assert await found(run.Status.COMPLETE, "shrink") == {"run_1"}
    assert await found(run.Status.ERROR, "shrink") == set()


async def test_runs_that_go_on_are_listed_by_whether_they_have_started(state: Bench) -> None:
    for name in ("run_a", "run_b", "run_c", "run_d"):
        first = await state.runs.create(created(a_run(name)))
        if name in ("run_b", "run_c"):
            first = await state.runs.save(moved(first, "resize", run.NodeStatus.RUNNING), if_version=1)
        if name in ("run_c", "run_d"):
            await state.runs.save(ended(first), if_version=first.version)

    async def found(**asked: Any) -> list[str]:
        page = await state.runs.list(**asked)
        assert page.total == len(page.runs)
        return [one.id for one in page.runs]

    await state.again()
    assert await found(started=True) == ["run_b"]
    assert await found(started=False) == ["run_a"]
    assert await found(started=False, flow="shrink") == ["run_a"]
    assert await found(started=False, flow="grow") == []


async def test_a_summary_tells_when_something_of_the_run_first_had_room(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    assert (await state.runs.list()).runs[0].started_at is None
    ready, began, later, end = (NOON + timedelta(seconds=s) for s in (2, 5, 9, 20))
    first = await state.runs.save(moved(first, "resize", run.NodeStatus.READY, at=ready), if_version=1)
    assert (await state.runs.list()).runs[0].started_at is None
    second = await state.runs.save(moved(first, "resize", run.NodeStatus.RUNNING, at=began), if_version=2)
    third = await state.runs.save(moved(second, "label", run.NodeStatus.RUNNING, at=later), if_version=3)
    failed = replace(ended(third, run.Status.ERROR, at=end), run=replace(third, error="no", status=run.Status.ERROR))
    await state.runs.save(replace(failed, run=replace(failed.run, finished_at=end)), if_version=4)
    await state.again()
    (summary,) = (await state.runs.list()).runs
    assert (summary.created_at, summary.started_at, summary.finished_at) == (NOON, began, end)
    assert (summary.flow, summary.status, summary.error) == ("shrink", run.Status.ERROR, "no")


async def test_texts_come_back_whatever_is_in_them(state: Bench) -> None:
    """A program may print what it likes, NUL as well, and its last words become the error of a run."""
    odd = "\x00 \x1a0 \x1a\x00 \x1b[31m \u2028 \U0001f4f7"
    first = await state.runs.create(created(a_run(of=a_plan(odd, nodes=(odd, "label")))), idempotency_key=odd)
    second = await state.runs.save(moved(first, odd, run.NodeStatus.READY), if_version=1)
    second = await state.runs.save(arrived(second, odd), if_version=2)
    failed = replace(ended(second, run.Status.ERROR), run=replace(second, status=run.Status.ERROR, error=odd))
    third = await state.runs.save(failed, if_version=3)
    await state.again()
    assert await state.runs.load("run_a") == third
    (summary,) = (await state.runs.list(flow=odd)).runs
    assert (summary.flow, summary.error) == (odd, odd)
    assert (await state.runs.list(flow=odd.replace("\x00", "\x1a0"))).total == 0
    assert await state.runs.create(created(a_run("run_b")), idempotency_key=odd) == third


async def test_unfinished_runs_come_oldest_first(state: Bench) -> None:
    for n in range(5):
        first = await state.runs.create(created(a_run(f"run_{n}", created_at=NOON - timedelta(minutes=n))))
        if n == 2:
            await state.runs.save(ended(first), if_version=1)
        if n == 3:
            await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await state.again()
    assert await state.runs.unfinished() == ["run_4", "run_3", "run_1", "run_0"]


async def test_a_condemned_run_is_over_and_says_why(state: Bench) -> None:
    first = await state.runs.create(created(a_run()))
    await state.runs.create(created(a_run("run_b")))
    before = await state.journal.read("run_a")
    await state.runs.condemn("run_a", "internal: unreadable", NOON + timedelta(minutes=1))
    await state.runs.condemn("run_a", "said twice", NOON + timedelta(minutes=2))
    await state.runs.condemn("run_none", "never was", NOON)
    await state.again()
    assert await state.runs.unfinished() == ["run_b"]
    (summary,) = (await state.runs.list(status=run.Status.ERROR)).runs
    assert (summary.id, summary.error, summary.finished_at) == (
        "run_a",
        "internal: unreadable",
        NOON + timedelta(minutes=1),
    )
    entries = await state.journal.read("run_a")
    assert entries[:-1] == before
    assert (entries[-1].seq, entries[-1].event) == (len(before) + 1, events.RunFailed(error="internal: unreadable"))
    with pytest.raises(errors.Stale):
        await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)


async def test_a_deleted_run_leaves_nothing(state: Bench) -> None:
    first = await state.runs.create(created(a_run()), idempotency_key="k")
    await state.runs.create(created(a_run("run_b")))
    await state.journal.write_logs("run_a", "resize", 1, [a_line("hello")])
    await state.runs.save(arrived(first), if_version=1)
    await state.runs.delete("run_a")
    await state.runs.delete("run_a")
    with pytest.raises(errors.UnknownRun):
        await state.runs.load("run_a")
    assert await state.journal.read("run_a") == []
    assert await state.journal.read_logs("run_a") == []
    assert await state.journal.count_logs("run_a", "resize", 1) == 0
    assert [one.id for one in (await state.runs.list()).runs] == ["run_b"]
    again = await state.runs.create(created(a_run()), idempotency_key="k")
    assert (again.version, again.artifacts) == (1, {})
    assert [entry.seq for entry in await state.journal.read("run_a")] == [1, 2]


async def test_a_big_flow_is_saved_by_what_moves(state: Bench) -> None:
    big = a_plan(nodes=tuple(f"n{n}" for n in range(3000)))
    last = await state.runs.create(created(a_run(of=big)))
    for n in range(50):
        last = await state.runs.save(moved(last, f"n{n}", run.NodeStatus.READY), if_version=last.version)
    await state.again()
    assert await state.runs.load("run_a") == last
