"""What `ports.Journal` promises."""

import asyncio
from datetime import timedelta

import pytest

from pupload import errors, ports
from pupload.domain import events, run
from tests.contracts.states import NOON, Bench, a_line, a_run, created, moved, state

__all__ = ["state"]


async def a_saved_run(state: Bench, run_id: str = "run_a") -> run.Run:
    return await state.runs.create(created(a_run(run_id)))


async def test_events_are_read_in_order_without_gaps(state: Bench) -> None:
    last = await a_saved_run(state)
    for _ in range(4):
        last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
    await state.again()
    last = await state.runs.save(moved(last, "label", run.NodeStatus.READY), if_version=last.version)
    entries = await state.journal.read("run_a")
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert entries[0].event == events.RunCreated(flow="shrink", nodes=2)
    assert entries[2].event == events.NodeReady(node="resize", attempt=1)
    assert (entries[0].at, entries[6].at) == (NOON, NOON + timedelta(seconds=5))
    assert {entry.run for entry in entries} == {"run_a"}


async def test_reading_goes_on_after_a_sequence_number(state: Bench) -> None:
    last = await a_saved_run(state)
    for _ in range(8):
        last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
    assert [entry.seq for entry in await state.journal.read("run_a", after=3, limit=4)] == [4, 5, 6, 7]
    assert await state.journal.read("run_a", after=10) == []
    assert await state.journal.read("run_a", limit=0) == []
    assert await state.journal.read("run_none") == []


async def test_many_runs_at_once_have_each_its_own_numbers(state: Bench) -> None:
    async def live(run_id: str) -> list[int]:
        last = await a_saved_run(state, run_id)
        for _ in range(10):
            last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
            with pytest.raises(errors.Stale):
                await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version - 1)
        return [entry.seq for entry in await state.journal.read(run_id)]

    numbers = await asyncio.gather(*(live(f"run_{n}") for n in range(20)))
    assert all(found == list(range(1, 13)) for found in numbers)


async def test_log_lines_are_numbered_on_per_attempt(state: Bench) -> None:
    await a_saved_run(state)
    await state.journal.write_logs("run_a", "resize", 1, [a_line("a"), a_line("b")])
    await state.journal.write_logs("run_a", "label", 1, [a_line("c")])
    await state.again()
    await state.journal.write_logs("run_a", "resize", 1, [a_line("d")])
    await state.journal.write_logs("run_a", "resize", 2, [a_line("e")])
    await state.journal.write_logs("run_a", "resize", 2, [])
    records = await state.journal.read_logs("run_a")
    assert [(r.node, r.attempt, r.number, r.line.message) for r in records] == [
        ("resize", 1, 1, "a"),
        ("resize", 1, 2, "b"),
        ("label", 1, 1, "c"),
        ("resize", 1, 3, "d"),
        ("resize", 2, 1, "e"),
    ]
    assert [r.cursor for r in records] == sorted({r.cursor for r in records})
    assert records[0].cursor > 0
    assert await state.journal.count_logs("run_a", "resize", 1) == 3
    assert await state.journal.count_logs("run_a", "resize", 2) == 1
    assert await state.journal.count_logs("run_a", "resize", 3) == 0
    assert await state.journal.count_logs("run_none", "resize", 1) == 0


async def test_a_line_keeps_all_it_had(state: Bench) -> None:
    line = ports.LogLine(at=NOON, stream="stderr", message="ü \x00\x1b[31m \U0001f4f7", level="WARN")
    await a_saved_run(state)
    await state.journal.write_logs("run_a", "resize", 1, [line])
    await state.again()
    (record,) = await state.journal.read_logs("run_a")
    assert (record.run, record.line) == ("run_a", line)


async def test_a_node_of_any_name_has_its_lines(state: Bench) -> None:
    await a_saved_run(state)
    await state.journal.write_logs("run_a", "a\x00b", 1, [a_line("x")])
    await state.journal.write_logs("run_a", "a\x1a0b", 1, [a_line("y")])
    assert await state.journal.count_logs("run_a", "a\x00b", 1) == 1
    tails = await state.journal.log_tails("run_a", lines=9)
    assert {node: [r.line.message for r in records] for node, records in tails.items()} == {
        "a\x00b": ["x"],
        "a\x1a0b": ["y"],
    }


async def test_logs_are_read_on_from_any_cursor(state: Bench) -> None:
    await a_saved_run(state)
    await state.journal.write_logs("run_a", "resize", 1, [a_line(str(n)) for n in range(1200)])
    await state.journal.write_logs("run_a", "label", 1, [a_line(str(n)) for n in range(1200, 1210)])
    everything = await state.journal.read_logs("run_a", limit=5000)
    assert [r.line.message for r in everything] == [str(n) for n in range(1210)]
    for place in (0, 1, 499, 500, 501, 1199, 1200, 1209):
        later = await state.journal.read_logs("run_a", since=everything[place].cursor, limit=3)
        assert later == everything[place + 1 : place + 4]
    assert len(await state.journal.read_logs("run_a")) == 1000
    assert await state.journal.read_logs("run_a", limit=0) == []
    assert await state.journal.read_logs("run_none") == []


async def test_logs_are_read_by_node_and_attempt(state: Bench) -> None:
    await a_saved_run(state)
    for node, attempt in [("resize", 1), ("label", 1), ("resize", 2), ("label", 1)]:
        await state.journal.write_logs("run_a", node, attempt, [a_line(f"{node}{attempt}")])

    async def found(node: str | None, attempt: int | None, since: int = 0) -> list[str]:
        records = await state.journal.read_logs("run_a", node=node, attempt=attempt, since=since)
        return [r.line.message for r in records]

    assert await found("resize", None) == ["resize1", "resize2"]
    assert await found("resize", 2) == ["resize2"]
    assert await found(None, 1) == ["resize1", "label1", "label1"]
    assert await found("nobody", None) == []
    first = (await state.journal.read_logs("run_a"))[0].cursor
    assert await found("resize", None, since=first) == ["resize2"]


async def test_tails_are_the_last_lines_of_every_node(state: Bench) -> None:
    await a_saved_run(state)
    for start in range(0, 9, 3):
        await state.journal.write_logs("run_a", "resize", 1, [a_line(str(n)) for n in range(start, start + 3)])
        await state.journal.write_logs("run_a", "label", start + 1, [a_line(f"attempt {start + 1}")])
    tails = await state.journal.log_tails("run_a", lines=4)
    assert {node: [r.line.message for r in records] for node, records in tails.items()} == {
        "resize": ["5", "6", "7", "8"],
        "label": ["attempt 1", "attempt 4", "attempt 7"],
    }
    assert [r.number for r in tails["resize"]] == [6, 7, 8, 9]
    assert await state.journal.log_tails("run_a", lines=0) == {}
    assert await state.journal.log_tails("run_none", lines=4) == {}


async def test_writers_at_once_share_no_number(state: Bench) -> None:
    await a_saved_run(state)
    await asyncio.gather(
        *(state.journal.write_logs("run_a", node, 1, [a_line("x")] * 7) for _ in range(15) for node in ("a", "b"))
    )
    records = await state.journal.read_logs("run_a", limit=1000)
    assert len({r.cursor for r in records}) == 210
    assert [r.number for r in records if r.node == "a"] == list(range(1, 106))


async def test_no_lines_are_kept_for_a_run_that_is_gone(state: Bench) -> None:
    await a_saved_run(state)
    await state.runs.delete("run_a")
    with pytest.raises(errors.UnknownRun):
        await state.journal.write_logs("run_a", "resize", 1, [a_line("late")])


async def test_a_subscriber_is_woken_by_events_and_by_lines(state: Bench) -> None:
    first = await a_saved_run(state)
    with state.journal.subscribe("run_a") as news:
        waiting = asyncio.ensure_future(news.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
        await asyncio.wait_for(waiting, timeout=10)
        assert len(await state.journal.read("run_a")) == 3
        await state.journal.write_logs("run_a", "resize", 1, [a_line("x")])
        await asyncio.wait_for(news.wait(), timeout=10)


async def test_what_was_written_between_two_waits_is_not_missed(state: Bench) -> None:
    await a_saved_run(state)
    with state.journal.subscribe("run_a") as news:
        await state.journal.write_logs("run_a", "resize", 1, [a_line("x")])
        await state.journal.write_logs("run_a", "resize", 1, [a_line("y")])
        await asyncio.wait_for(news.wait(), timeout=10)
        again = asyncio.ensure_future(news.wait())
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()


async def test_other_runs_and_refused_saves_wake_nobody(state: Bench) -> None:
    first = await a_saved_run(state)
    with state.journal.subscribe("run_a") as news:
        await a_saved_run(state, "run_b")
        with pytest.raises(errors.Stale):
            await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=7)
        waiting = asyncio.ensure_future(news.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_all_subscribers_are_woken_and_one_may_leave(state: Bench) -> None:
    await a_saved_run(state)
    with state.journal.subscribe("run_a") as one:
        with state.journal.subscribe("run_a"):
            pass
        with state.journal.subscribe("run_a") as other:
            await state.journal.write_logs("run_a", "resize", 1, [a_line("x")])
            await asyncio.wait_for(asyncio.gather(one.wait(), other.wait()), timeout=10)
