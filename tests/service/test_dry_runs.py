"""Flows tried out: on first rows, as real as any run, and nothing is left."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.memory.containers import Outcome
from pupload.adapters.tables import reading
from pupload.adapters.tables.given import Unreadable
from pupload.adapters.tables.reader import TableReader
from pupload.domain import saved
from pupload.domain.flow import Callback, DataWell
from pupload.service.dry_runs import Bytes, DryNode, DryRuns, Earlier
from pupload.service.flows import Draft, Flows
from pupload.service.health import Health
from pupload.service.queue import Queue
from pupload.service.views import Order
from tests.bench import PNG, Bench, a_bench, copies, ends
from tests.builders import a_definition, a_flow, a_node, a_port
from tests.engine.worlds import changed

ROWS60 = "id,name\n" + "".join(f"{n},name {n}\n" for n in range(60))
TAKES = a_port("image", "text/csv")
COPY = a_definition("pupload/copy", inputs=[TAKES], outputs=[a_port("resized", "text/csv")])
PLAIN = a_definition("pupload/plain")
CHAIN = a_flow(
    a_node("first", uses="pupload/copy", inputs={"image": "in"}, outputs={"resized": "middle"}),
    a_node("second", uses="pupload/copy", inputs={"image": "middle"}, outputs={"resized": "out"}),
)


class Here(TableReader):
    """Reads in this very process, so that no time passes."""

    async def _ask(self, file: ports.TableFile, task: str, seconds: float, *, rows: int = 0) -> bytes:
        descriptor = os.open(file.path, os.O_RDONLY)
        order = reading.Order(
            task=task, kind=file.kind, size=file.size, limit=file.head, tail=file.tail, rows=rows, seconds=seconds
        )
        try:
            return json.dumps(reading.answer(descriptor, order)).encode()
        except Unreadable as error:
            return json.dumps({"reason": str(error)}).encode()
        finally:
            os.close(descriptor)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose nodes copy tables, or anything."""
    async with a_bench(tmp_path, memoize=True) as made, changed(made, tables=Here()) as found:
        found.image("pupload/copy:latest", copies("image", "resized.csv"))
        found.image("pupload/plain:latest", copies("image", "resized"))
        yield found


def dry_runs(bench: Bench, **options: Any) -> DryRuns:
    flows = Flows(engine=bench.engine, runs=bench.runs)
    scratch = bench.config.attempts_root.parent / "tables"
    return DryRuns(engine=bench.engine, runs=bench.runs, flows=flows, scratch=scratch, **options)


async def tried(bench: Bench, this: Any, definitions: Any = (COPY, PLAIN), **options: Any) -> Mapping[str, DryNode]:
    """What comes of it."""
    order = Order(flow=this, definitions=tuple(definitions))
    asked = asyncio.ensure_future(dry_runs(bench).run_order(order, **options))
    await bench.until(asked.done)
    await nothing_is_left(bench)
    return await asked


async def nothing_is_left(bench: Bench) -> None:
    """No trace of a dry run, wherever one could be."""
    books = bench.kept.shelf.books
    assert [name for name, book in books.items() if book.head.plan.ephemeral] == []
    assert {key.split("/")[0].removeprefix("uploads/") for key in bench.store._objects if "run_" in key} <= set(books)
    assert not bench.executor.alive
    assert not bench.executor.left
    assert not await bench.engine.staging.folders()
    assert not [*(bench.config.attempts_root.parent / "tables").glob("*")]
    assert not bench.engine.ephemeral._held
    assert not bench.engine.ephemeral._closed
    assert not bench.engine.driver.live.keys() - books.keys()


def table(text: str = ROWS60) -> Bytes:
    return Bytes(data=text.encode())


async def test_each_node_is_given_the_first_rows_and_told_with_its_own(bench: Bench) -> None:
    seen = []

    def counts(order: ports.ContainerOrder) -> Outcome:
        text = (order.inputs / "image.csv").read_text()
        seen.append((text.count("\n"), order.environment.get("DRY_RUN")))
        (order.outputs / "resized.csv").write_text(ROWS60)
        return Outcome()

    bench.image("pupload/copy:latest", counts)
    told = await tried(bench, CHAIN, inputs={"in": table()})
    assert list(told) == ["first", "second"]
    assert seen == [(11, "1"), (11, "1")]
    assert {one.status for one in told.values()} == {"success"}
    assert told["second"].columns == ("id", "name")
    assert told["second"].rows == tuple({"id": str(n), "name": f"name {n}"} for n in range(10))
    assert (told["second"].node, told["second"].name, told["second"].error) == ("second", "second", "")


async def test_real_runs_are_not_told_that_they_are_dry(bench: Bench) -> None:
    seen = []

    def looks(order: ports.ContainerOrder) -> Outcome:
        seen.append(order.environment.get("DRY_RUN"))
        (order.outputs / "resized.csv").write_text("a")
        return Outcome()

    bench.image("pupload/copy:latest", looks)
    run = await bench.start(CHAIN, [COPY])
    await bench.upload(run, "in", ROWS60.encode())
    await bench.ended(run)
    assert seen == [None, None]


async def test_what_is_no_table_is_handed_on_whole(bench: Bench) -> None:
    this = a_flow(a_node(uses="pupload/plain"))
    told = await tried(bench, this, inputs={"resize-in": Bytes(data=PNG * 100)})
    assert (told["resize"].status, told["resize"].columns, told["resize"].rows) == ("success", (), ())


async def test_what_waits_for_an_upload_is_skipped_and_the_rest_runs(bench: Bench) -> None:
    this = a_flow(
        a_node("waits", uses="pupload/plain", inputs={"image": "photo"}, outputs={"resized": "small"}),
        a_node("behind", uses="pupload/plain", inputs={"image": "small"}, outputs={"resized": "smaller"}),
        *CHAIN.nodes,
    )
    told = await tried(bench, this, inputs={"in": table()})
    assert [(one.node, one.status, one.error) for one in told.values()] == [
        ("waits", "skipped", "waits for an upload of edge photo"),
        ("behind", "skipped", "waits for an upload of edge photo"),
        ("first", "success", ""),
        ("second", "success", ""),
    ]


async def test_where_nothing_can_run_nothing_begins(bench: Bench) -> None:
    told = await tried(bench, CHAIN)
    assert {one.status for one in told.values()} == {"skipped"}
    assert not bench.kept.shelf.fed


async def test_a_node_that_fails_is_told_and_tried_once(bench: Bench) -> None:
    ran = []

    def fails(order: ports.ContainerOrder) -> Outcome:
        ran.append(order.attempt)
        return Outcome(code=3)

    bench.image("pupload/plain:latest", fails)
    this = a_flow(
        a_node("fails", uses="pupload/plain", inputs={"image": "in"}, outputs={"resized": "gone"}),
        a_node("behind", uses="pupload/copy", inputs={"image": "gone"}, outputs={"resized": "never"}),
    )
    told = await tried(bench, this, inputs={"in": table()})
    assert (told["fails"].status, told["behind"].status) == ("failed", "skipped")
    assert "3" in told["fails"].error
    assert len(ran) == 1


async def test_after_its_time_it_is_stopped_and_what_there_is_is_told(bench: Bench) -> None:
    bench.image("pupload/plain:latest", ends(hangs=True))
    this = a_flow(
        *CHAIN.nodes,
        a_node("slow", uses="pupload/plain", inputs={"image": "in"}, outputs={"resized": "late"}),
        a_node("behind", uses="pupload/plain", inputs={"image": "late"}, outputs={"resized": "later"}),
    )
    told = await tried(bench, this, inputs={"in": table()}, seconds=30.0)
    assert [one.status for one in told.values()] == ["success", "success", "failed", "skipped"]
    assert told["slow"].error == told["behind"].error == "stopped after 30 seconds"


async def test_who_goes_away_stops_it(bench: Bench) -> None:
    bench.image("pupload/copy:latest", ends(hangs=True))
    asked = asyncio.ensure_future(
        dry_runs(bench).run_order(Order(flow=CHAIN, definitions=(COPY,)), inputs={"in": table()})
    )
    await bench.until(lambda: bool(bench.executor.alive))
    asked.cancel()
    await bench.until(lambda: not bench.kept.shelf.books and not len(bench.engine.ephemeral._tasks))
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    await nothing_is_left(bench)


async def test_nobody_else_is_shown_it(bench: Bench) -> None:
    bench.image("pupload/copy:latest", ends(hangs=True))
    asked = asyncio.ensure_future(
        dry_runs(bench).run_order(Order(flow=CHAIN, definitions=(COPY,)), inputs={"in": table()})
    )
    await bench.until(lambda: bool(bench.executor.alive))
    (run_id,) = bench.kept.shelf.books
    assert (await bench.runs.list()).total == 0
    queue = Queue(engine=bench.engine, runs=bench.runs)
    standing = queue.standing(most=10)
    assert (queue.running(), standing.running_total, standing.queued_total) == (0, 0, 0)
    assert not Health(bench.engine).counts().runs
    for ask in (bench.runs.status, bench.runs.find, bench.runs.cancel, bench.runs.purge, bench.runs.resume):
        with pytest.raises(errors.UnknownRun):
            await ask(run_id)
    with pytest.raises(errors.UnknownRun):
        await bench.runs.why(run_id, "first")
    for follow in (bench.runs.events, bench.runs.logs):
        with pytest.raises(errors.UnknownRun):
            await anext(follow(run_id))
    with pytest.raises(errors.UnknownRun):
        await bench.uploads.renew(run_id, "in")
    asked.cancel()
    await bench.until(lambda: not bench.kept.shelf.books)


async def test_nothing_is_written_where_a_real_run_would_write(bench: Bench) -> None:
    for key, data in {"table.csv": ROWS60.encode(), "photo": PNG}.items():
        await bench.store.put_bytes(key, data, content_type="text/plain")
    this = a_flow(
        a_node("reads", uses="pupload/copy", inputs={"image": "in"}, outputs={"resized": "out"}),
        a_node("looks", uses="pupload/plain", inputs={"image": "photo"}, outputs={"resized": "small"}),
        wells=[
            DataWell(edge="in", source="static", key="table.csv"),
            DataWell(edge="photo", source="static", key="photo"),
            DataWell(edge="out", key="daily/${DATE}.csv"),
        ],
        callbacks=(Callback(url="https://example.org/told"),),
    )
    before = dict(bench.store._objects)
    told = await tried(bench, this)
    assert {one.status for one in told.values()} == {"success"}
    assert len(told["reads"].rows) == 10
    assert bench.store._objects == before
    assert not bench.world.poster.posted  # type: ignore[attr-defined]


async def test_a_static_object_that_is_not_there_is_told(bench: Bench) -> None:
    this = a_flow(a_node(uses="pupload/plain"), wells=[DataWell(edge="resize-in", source="static", key="none")])
    told = await tried(bench, this)
    assert told["resize"].error == "object none of edge resize-in is not in store default"


async def test_what_no_node_takes_is_told_where_it_lacks(bench: Bench) -> None:
    takes = a_definition("pupload/plain", inputs=[a_port("image", "image/png")])
    told = await tried(bench, a_flow(a_node(uses="pupload/plain")), [takes], inputs={"resize-in": table()})
    assert told["resize"].status == "skipped"
    assert "image/png" in told["resize"].error


async def test_an_earlier_run_gives_what_it_made(bench: Bench) -> None:
    run = await bench.start(CHAIN, [COPY])
    await bench.upload(run, "in", ROWS60.encode())
    run = await bench.ended(run)
    before = dict(bench.store._objects)
    for edge in ("in", "out"):
        told = await tried(bench, CHAIN, inputs={"in": Earlier(run=run.id, edge=edge)})
        assert [len(one.rows) for one in told.values()] == [10, 10]
    assert bench.store._objects == before
    photo = await bench.start(a_flow(a_node(uses="pupload/plain")), [PLAIN])
    await bench.upload(photo, "resize-in", PNG)
    photo = await bench.ended(photo)
    told = await tried(
        bench, a_flow(a_node(uses="pupload/plain")), inputs={"resize-in": Earlier(run=photo.id, edge="resize-out")}
    )
    assert told["resize"].status == "success"


async def test_what_was_done_before_is_done_again_and_not_remembered(bench: Bench) -> None:
    ran: list[str] = []
    copy = copies("image", "resized.csv")

    def counts(order: ports.ContainerOrder) -> Outcome:
        ran.append(order.attempt.run)
        return copy(order)

    bench.image("pupload/copy:latest", counts)
    small = "a,b\n1,2\n"
    for _ in range(2):
        await tried(bench, CHAIN, inputs={"in": table(small)})
    run = await bench.start(CHAIN, [COPY])
    await bench.upload(run, "in", small.encode())
    await bench.ended(run)
    assert len(ran) == 6, "a real run finds nothing of it either"


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"nowhere": Bytes(data=b"a")}, "no edge"),
        ({"out": Bytes(data=b"a")}, "no edge"),
        ({"in": Bytes(data=b"a" * ((1 << 20) + 1))}, "larger than"),
        ({"in": Earlier(run="run_none", edge="in")}, "does not exist"),
    ],
)
async def test_inputs_of_what_there_is_not_are_refused(bench: Bench, inputs: Any, error: str) -> None:
    with pytest.raises(errors.Refused, match=error):
        await tried(bench, CHAIN, inputs=inputs)


async def test_a_flow_that_is_wrong_is_refused(bench: Bench) -> None:
    with pytest.raises(errors.Invalid):
        await tried(bench, a_flow(a_node(uses="pupload/none")), [])


async def test_saved_flows_are_tried_and_no_run_of_them_is_counted(bench: Bench) -> None:
    flows = Flows(engine=bench.engine, runs=bench.runs)
    kept = await flows.save("one", Draft(content=saved.Content(flow=CHAIN, definitions=(COPY,))))
    asked = asyncio.ensure_future(dry_runs(bench).run("one", inputs={"in": table()}))
    await bench.until(asked.done)
    assert [len(one.rows) for one in (await asked).values()] == [10, 10]
    assert (await bench.runs.list(flow_id=kept.flow.id)).total == 0
    with pytest.raises(errors.UnknownSavedFlow):
        await dry_runs(bench).run("none")


async def test_what_a_dead_server_left_is_stopped_and_erased(bench: Bench) -> None:
    bench.image("pupload/copy:latest", ends(hangs=True))
    asked = asyncio.ensure_future(
        dry_runs(bench).run_order(Order(flow=CHAIN, definitions=(COPY,)), inputs={"in": table()})
    )
    await bench.until(lambda: bool(bench.executor.alive))
    for part in (bench.engine.ephemeral, bench.engine.driver):
        await part.close()  # it dies: nobody ends what it was at
    asked.cancel()
    again = await bench.restarted()
    try:
        await again.until(lambda: not again.kept.shelf.books, step=0.5)
        await again.until(lambda: not again.executor.left and not again.executor.alive, step=0.5)
        await nothing_is_left(again)
    finally:
        await again.engine.close()


class Dying:
    """A store of runs with which the process dies: at so many commits, before one or behind it."""

    def __init__(self, real: Any, *, at: int, behind: bool) -> None:
        self._real, self._left, self._behind = real, at, behind
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        do = getattr(self._real, name)
        if name not in ("create", "save", "close", "erase"):
            return do

        async def commit(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left > 0:
                return await do(*given, **named)
            if self._behind and not self._left:
                await do(*given, **named)
            self.dead.set()
            return await asyncio.Event().wait()

        return commit


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("at", range(1, 16))
async def test_whenever_the_server_dies_nothing_is_left(bench: Bench, at: int, *, behind: bool) -> None:
    dying = Dying(bench.world.runs, at=at, behind=behind)
    async with changed(bench, runs=dying) as one:
        asked = asyncio.ensure_future(
            dry_runs(one).run_order(Order(flow=CHAIN, definitions=(COPY,)), inputs={"in": table()})
        )
        await one.until(lambda: dying.dead.is_set() or asked.done(), step=0.2)
        await one.engine.ephemeral.close()
        asked.cancel()
    async with changed(bench) as again:
        await again.until(lambda: not again.kept.shelf.books, step=0.5)
        await again.until(lambda: not again.executor.left and not again.executor.alive, step=0.5)
        await again.until(lambda: not list((again.config.attempts_root).glob("*")), step=0.5)
        await nothing_is_left(again)


async def test_of_a_collection_there_are_the_first_items_each_with_its_first_rows(bench: Bench) -> None:
    seen: list[Any] = []

    def splits(order: ports.ContainerOrder) -> Outcome:
        for number in range(25):
            (order.outputs / "files" / f"{number:02}.csv").write_text(ROWS60)
        return Outcome()

    def takes(order: ports.ContainerOrder) -> Outcome:
        seen.append([path.read_text().count("\n") for path in sorted((order.inputs / "files").iterdir())])
        (order.outputs / "list").write_text("done")
        return Outcome()

    bench.image("pupload/split:latest", splits)
    bench.image("pupload/pack:latest", takes)
    definitions = (
        a_definition("pupload/split", outputs=[a_port("files", "text/csv", many=True)]),
        a_definition("pupload/pack", inputs=[a_port("files", many=True)], outputs=[a_port("list")]),
        COPY,
    )
    this = a_flow(
        a_node("split", uses="pupload/split", inputs={}, outputs={"files": "parts"}),
        a_node("each", uses="pupload/copy", inputs={"image": "parts"}, outputs={"resized": "copied"}, for_each="image"),
        a_node("pack", uses="pupload/pack", inputs={"files": "parts"}, outputs={"list": "list"}),
    )
    told = await tried(bench, this, definitions)
    assert [one.status for one in told.values()] == ["success"] * 3, told
    assert seen == [[11] * 10]
    assert len(told["split"].rows) == len(told["each"].rows) == 10
    assert told["pack"].rows == ({"line": "done"},)


async def test_what_a_node_puts_to_its_url_is_cut_as_well(bench: Bench) -> None:
    async def puts(url: str) -> None:
        await bench.store.use("PUT", url, ROWS60.encode())

    def moves(order: ports.ContainerOrder) -> Outcome:
        putting.append(asyncio.ensure_future(puts(order.environment["OUTPUT_RESIZED_URL"])))
        return Outcome(seconds=5)

    putting: list[asyncio.Future[None]] = []
    bench.image("pupload/moves:latest", moves)
    definition = a_definition(
        "pupload/moves", transfer="urls", network="bridge", outputs=[a_port("resized", "text/csv")]
    )
    this = a_flow(
        a_node("moves", uses="pupload/moves", inputs={}, outputs={"resized": "middle"}),
        a_node("copies", uses="pupload/copy", inputs={"image": "middle"}, outputs={"resized": "out"}),
    )
    sizes = []
    copy = copies("image", "resized.csv")

    def counts(order: ports.ContainerOrder) -> Outcome:
        sizes.append((order.inputs / "image.csv").read_text().count("\n"))
        return copy(order)

    bench.image("pupload/copy:latest", counts)
    told = await tried(bench, this, (definition, COPY))
    assert [one.status for one in told.values()] == ["success"] * 2, told
    assert sizes == [11]


async def test_a_condition_and_what_needs_none_of_what_is_missing(bench: Bench) -> None:
    optional = a_definition(
        "pupload/plain", inputs=[a_port("image", required=False), a_port("other")], outputs=[a_port("resized")]
    )
    bench.image("pupload/plain:latest", copies("other", "resized"))
    this = a_flow(
        a_node("left", uses="pupload/plain", inputs={"image": "none", "other": "in"}, outputs={"resized": "a"}),
        a_node(
            "asks", uses="pupload/plain", inputs={"image": "in", "other": "in"}, outputs={"resized": "b"}, when="false"
        ),
    )
    told = await tried(bench, this, (optional,), inputs={"in": table()})
    assert [(one.status, one.error) for one in told.values()] == [
        ("success", ""),
        ("skipped", told["asks"].error),
    ]
    assert "condition" in told["asks"].error
