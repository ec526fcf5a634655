"""The checker notices what is wrong, and nothing where all is well."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pupload import ports
from pupload.domain import events
from pupload.domain.delivery import Delivery, State, Try
from pupload.domain.flow import Callback
from pupload.domain.run import AttemptRef, NodeStatus, Status
from tests.bench import PNG, TEXT, Bench, a_bench, copies, ends
from tests.builders import a_chain, a_flow, a_node
from tests.checker import Checker, Violation, as_json, compare, describe, results

IMAGE = "pupload/resize:latest"


def a_checker(bench: Bench, **fields: Any) -> Checker:
    world = bench.world
    usual: dict[str, Any] = {
        "attempts_root": bench.config.attempts_root,
        "room": {"memory_bytes": bench.config.room.memory_bytes, "attempts": 2},
        "secrets": ("hush-hush",),
    }
    return Checker(
        runs=world.runs,
        journal=world.journal,
        stores=world.stores,
        executor=world.executor,
        clock=world.clock,
        **{**usual, **fields},
    )


async def a_finished_run(bench: Bench) -> Any:
    """All that is kept of a run of two nodes that succeeded, to be tampered with."""
    bench.image(IMAGE, copies("image", "resized", seconds=1))
    run = await bench.start(a_flow(*a_chain(2)))
    await bench.upload(run, "e0", PNG)
    await bench.ended(run, step=0.1)
    await nothing_left(bench)
    return book_of(bench, run.id)


async def nothing_left(bench: Bench) -> None:
    """What is cleaned up behind a run's back is clean."""
    await bench.until(lambda: not bench.executor.left and not list(bench.config.attempts_root.glob("*")))


def book_of(bench: Bench, run_id: str) -> Any:
    """What the database in memory keeps of the run."""
    return bench.world.runs._shelf.books[run_id]  # type: ignore[attr-defined]


def said_by(bench: Bench, book: Any) -> dict[str, list[str]]:
    return {f"{book.head.id}.{node}.1": ["copied image"] for node in ("n0", "n1")}


async def verdict(bench: Bench, book: Any, **fields: Any) -> list[Violation]:
    return await a_checker(bench, **fields).judge(ended=True, said=said_by(bench, book))


def entry(book: Any, event: events.Event) -> None:
    """One more line of the journal."""
    book.entries.append(ports.Entry(run=book.head.id, seq=len(book.entries) + 1, at=book.entries[-1].at, event=event))


def find(book: Any, kind: type[Any]) -> int:
    return next(number for number, one in enumerate(book.entries) if isinstance(one.event, kind))


async def test_nothing_is_wrong_where_all_is_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        book = await a_finished_run(bench)
        broken = await verdict(bench, book)
        assert not broken
        assert describe(broken) == "every promise was kept"


# ── What is kept of a run is changed ─────────────────────────────────────────────────────────────────────────────


def succeeds_twice(book: Any) -> None:
    book.entries.insert(-1, book.entries[find(book, events.NodeSucceeded)])
    renumber(book)


def renumber(book: Any) -> None:
    book.entries[:] = [replace(one, seq=number) for number, one in enumerate(book.entries, 1)]


def starts_again_and_again(book: Any) -> None:
    where = find(book, events.NodeReady)
    book.entries[where:where] = [book.entries[where]] * 20
    renumber(book)


def starts_before_its_input(book: Any) -> None:
    where = find(book, events.UploadSealed)
    book.entries.insert(where + 4, book.entries.pop(where))
    renumber(book)


def shows_what_was_not_committed(book: Any) -> None:
    book.artifacts["e1"] = replace(book.artifacts["e1"], size=7)


def has_another_hash(book: Any) -> None:
    book.artifacts["e1"] = replace(book.artifacts["e1"], sha256="0" * 64)


def goes_on_after_its_end(book: Any) -> None:
    entry(book, events.NodeStarted(node="n1", attempt=1, image="i"))


def is_not_what_its_journal_says(book: Any) -> None:
    book.nodes["n0"] = replace(book.nodes["n0"], status=NodeStatus.ERROR)


def lost_an_entry(book: Any) -> None:
    del book.entries[find(book, events.NodeStarted)]


def said_a_line_twice(book: Any) -> None:
    book.logs.append(replace(book.logs[0], cursor=len(book.logs) + 1, number=2))


def lost_a_line(book: Any) -> None:
    del book.logs[-1]


def has_cursors_that_stand_still(book: Any) -> None:
    book.logs[-1] = replace(book.logs[-1], cursor=book.logs[0].cursor)


def tells_a_secret(book: Any) -> None:
    book.logs[0] = replace(book.logs[0], line=replace(book.logs[0].line, message="it is hush-hush"))


def tells_a_signature(book: Any) -> None:
    book.head = replace(book.head, error="GET http://store/key?X-Amz-Signature=00ff failed")


def never_ends(book: Any) -> None:
    book.head = replace(book.head, status=Status.RUNNING)
    del book.entries[-1]


@pytest.mark.parametrize(
    ("invariant", "wrong"),
    [
        ("I1", never_ends),
        ("I2", succeeds_twice),
        ("I3", starts_again_and_again),
        ("I4", starts_before_its_input),
        ("I5", shows_what_was_not_committed),
        ("I5", has_another_hash),
        ("I6", goes_on_after_its_end),
        ("I6", is_not_what_its_journal_says),
        ("I9", lost_an_entry),
        ("I9", said_a_line_twice),
        ("I9", lost_a_line),
        ("I9", has_cursors_that_stand_still),
        ("I11", tells_a_secret),
        ("I11", tells_a_signature),
    ],
)
async def test_what_is_wrong_is_noticed(tmp_path: Path, invariant: str, wrong: Callable[[Any], None]) -> None:
    async with a_bench(tmp_path) as bench:
        book = await a_finished_run(bench)
        wrong(book)
        broken = await verdict(bench, book)
        assert invariant in {violation.invariant for violation in broken}, describe(broken)
        assert book.head.id in describe(broken)
        assert len(as_json(broken)) == len(broken)


# ── What is left in the world ────────────────────────────────────────────────────────────────────────────────────


async def test_bytes_that_were_changed_or_removed_are_noticed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        book = await a_finished_run(bench)
        await bench.store.put_bytes(book.artifacts["e1"].key, TEXT, content_type="text/plain")
        await bench.store.delete(book.artifacts["e2"].key)
        broken = [violation.sentence for violation in await verdict(bench, book)]
        assert any("its bytes have SHA-256" in sentence for sentence in broken)
        assert any("is not in store default" in sentence for sentence in broken)


async def test_what_is_left_of_a_run_is_noticed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        book = await a_finished_run(bench)
        run_id = book.head.id
        key = book.head.plan.edges["e0"].upload_key
        await bench.store.put_bytes(key, PNG, content_type="image/png")
        await bench.store.begin_multipart(key)
        (bench.config.attempts_root / f"{run_id}.n0.1").mkdir()
        bench.executor.images["left"] = ends()
        order = ports.ContainerOrder(
            attempt=AttemptRef(run=run_id, node="n0", number=1), image="left", argv=None, environment={},
            inputs=tmp_path, outputs=tmp_path, user="1:1", network="none", memory_bytes=1, cpus=1, pids=1,
            tmp_bytes=1, file_bytes=1, log_bytes=1,
        )  # fmt: skip
        await bench.executor.ensure_started(order)
        broken = await verdict(bench, book)
        assert {violation.invariant for violation in broken} == {"I8"}
        assert len(broken) == 4


async def test_more_than_there_is_room_for_is_noticed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(seconds=60))
        run = await bench.start(a_flow(*(a_node(f"n{number}", inputs={}, outputs={}) for number in range(3))))
        await bench.ended(run, step=1)
        await nothing_left(bench)
        book = book_of(bench, run.id)
        (first, *_) = await a_checker(bench).judge(ended=False)
        assert first.invariant == "I7"
        assert "3 attempts were held where there are 2" in first.sentence
        assert not await a_checker(bench, room={"attempts": 3}).judge(ended=False)
        assert not await a_checker(bench).judge(ended=False, steady_clock=False)
        assert book.head.status is Status.COMPLETE


async def test_a_run_that_waits_is_well_until_its_deadline_has_passed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(a_flow())
        assert not await a_checker(bench).judge(ended=False)
        await bench.engine.close()
        bench.clock.advance(timedelta(days=2).total_seconds())
        (late,) = await a_checker(bench).judge(ended=False)
        assert late.invariant == "I1"
        assert "its deadline was" in late.sentence
        await asyncio.sleep(0)


async def test_another_result_is_noticed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        book = await a_finished_run(bench)
        run = await bench.world.runs.load(book.head.id)
        wanted = results(run)
        assert not compare(run.id, results(run), wanted)
        artifacts = {**run.artifacts, "e2": replace(run.artifacts["e2"], sha256="0" * 64)}
        nodes = {**run.nodes, "n1": replace(run.nodes["n1"], status=NodeStatus.ERROR)}
        other = replace(run, status=Status.ERROR, artifacts=artifacts, nodes=nodes)
        assert [one.invariant for one in compare(run.id, results(other), wanted)] == ["I12", "I12", "I12"]


# ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────────


async def a_told_run(bench: Bench) -> Delivery:
    """A run that somebody was told of; what is kept of that, to be tampered with."""
    run = await bench.start(a_flow(a_node(), callbacks=(Callback(url="https://hooks.example/"),)))
    await bench.runs.cancel(run.id)
    await bench.until(lambda: bench.engine.callbacks.totals[State.DELIVERED] == 1)
    (kept,) = await bench.world.outbox.of_run(run.id)
    return kept


async def told(bench: Bench, **fields: Any) -> list[tuple[str, str]]:
    found = await a_checker(bench, outbox=bench.world.outbox, **fields).judge(ended=True)
    return [(one.invariant, one.sentence) for one in found]


async def test_whoever_was_told_is_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        kept = await a_told_run(bench)
        assert await told(bench, received={kept.id}) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"state": State.PENDING}, "was due at None"),
        ({"state": State.PENDING, "due_at": datetime(2026, 3, 3, tzinfo=UTC)}, "nobody sends it"),
        ({"tries": ()}, "its last try says: no try"),
        ({"tries": (Try(at=datetime(2026, 3, 3, tzinfo=UTC), status=500, error="it answered 500"),)}, "answered 500"),
        ({"state": State.FAILED}, "given up after a try that went well"),
        ({"id": "msg_other"}, "is not what the run makes"),
    ],
)
async def test_a_callback_that_is_not_well_is_noticed(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    async with a_bench(tmp_path) as bench:
        kept = await a_told_run(bench)
        bench.world.outbox._kept[kept.id] = replace(kept, **changed)  # type: ignore[attr-defined]
        await bench.engine.callbacks.close()
        ((invariant, said), *_) = await told(bench)
        assert invariant == "I10"
        assert sentence in said


async def test_a_callback_that_was_never_made_or_never_received_is_noticed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        kept = await a_told_run(bench)
        assert await told(bench, received=set()) == [
            ("I10", f"callback {kept.id} is DELIVERED, but no receiver got it")
        ]
        bench.world.outbox._kept.clear()  # type: ignore[attr-defined]
        assert await told(bench) == [("I10", f"callback {kept.id} was never made")]
