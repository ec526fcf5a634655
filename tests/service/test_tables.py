"""What runs made, shown as tables, told of, compared and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome
from pupload.domain import keys, saved
from pupload.domain.run import Run
from pupload.domain.tables import Kind
from pupload.service.flows import Draft, Flows
from pupload.service.tables import Tables
from tests.adapters.tables.test_parquet import of, written
from tests.bench import PNG, Bench, a_bench, copies
from tests.builders import a_definition, a_flow, a_node, a_port
from tests.engine.test_foreach import PACK, SHRINK, SPLIT, a_packing_flow, packs, shrinks_but, splits

IMAGE = "pupload/resize:latest"
CSV = b"id,name\n1,a\n2,b\n3,\n"
MAKES_CSV = a_definition(outputs=[a_port("resized", "text/csv")], inputs=[a_port("image")])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose node copies what it is given."""
    async with a_bench(tmp_path) as made:
        made.image(IMAGE, copies("image", "resized.csv"))
        yield made


def tables_of(bench: Bench, *, most_bytes: int = 1 << 20) -> Tables:
    """The service."""
    scratch = bench.config.attempts_root.parent / "tables"
    return Tables(engine=bench.engine, runs=bench.runs, scratch=scratch, most_bytes=most_bytes)


async def ran(bench: Bench, data: bytes = CSV, definition: Any = MAKES_CSV) -> Run:
    """A run that is over, and whose node copied these bytes."""
    run = await bench.start(a_flow(), [definition])
    await bench.upload(run, "resize-in", data)
    return await bench.ended(run, step=1)


def kept(bench: Bench) -> list[str]:
    """The keys of what was told."""
    return [key for key in bench.store._objects if "/@notes/" in key]


async def test_what_a_node_made_is_shown(bench: Bench, tmp_path: Path) -> None:
    run, tables = await ran(bench), tables_of(bench)
    for where in ({"node": "resize"}, {"edge": "resize-out"}, {"node": "resize", "edge": "resize-out"}):
        table = await tables.preview(run.id, **where, rows=2)
        assert (table.kind, table.columns, table.truncated) == (Kind.CSV, ("id", "name"), True)
        assert table.rows == ({"id": "1", "name": "a"}, {"id": "2", "name": "b"})
    assert not [*(tmp_path / "tables").iterdir()]


async def test_what_nobody_promised_to_be_a_table_is_lines(bench: Bench) -> None:
    run = await ran(bench)
    table = await tables_of(bench).preview(run.id, edge="resize-in")
    assert (table.kind, table.rows[0]) == (Kind.TEXT, {"line": "id,name"})
    assert await tables_of(bench).row_count(run.id, edge="resize-in") is None


async def test_a_profile_is_made_once_and_kept_beside_the_run(bench: Bench) -> None:
    run = await ran(bench)
    told = await tables_of(bench).profile(run.id, node="resize")
    assert (told.edge, told.profile.row_count, told.drift, told.compared) == ("resize-out", 3, (), "")
    assert [column.name for column in told.profile.columns] == ["id", "name"]
    assert kept(bench) == [keys.of_notes(run.id, "resize-out")]
    # Nobody could make it again.
    await bench.store.delete(run.artifacts["resize-out"].key)
    assert await tables_of(bench).profile(run.id, node="resize") == told
    assert await tables_of(bench).row_count(run.id, node="resize") == 3
    with pytest.raises(errors.NoPreview, match="gone"):
        await tables_of(bench).preview(run.id, node="resize")


async def test_what_was_told_outlives_the_file(bench: Bench) -> None:
    run, tables = await ran(bench), tables_of(bench)
    told = await tables.profile(run.id, node="resize")
    await bench.kept.runs.tidied(run.id, gone=["resize-out"], at=bench.clock.now())
    bench.engine.driver.forget(run.id)
    assert (await tables.profile(run.id, node="resize")) == told
    assert await tables.row_count(run.id, node="resize") == 3
    with pytest.raises(errors.NoPreview, match=r"the object on edge resize-out was deleted at 2026-03-03"):
        await tables.preview(run.id, node="resize")


async def test_what_was_told_goes_with_the_run(bench: Bench) -> None:
    run = await ran(bench)
    await tables_of(bench).profile(run.id, node="resize")
    await bench.runs.purge(run.id)
    await bench.until(lambda: not kept(bench), step=1)
    with pytest.raises(errors.UnknownRun):
        await tables_of(bench).profile(run.id, node="resize")


async def test_what_is_told_of_a_run_that_is_purged_meanwhile_is_not_kept(bench: Bench) -> None:
    run, tables = await ran(bench), tables_of(bench)
    reading = asyncio.create_task(tables.profile(run.id, node="resize"))
    await asyncio.sleep(0)
    await bench.runs.purge(run.id)
    with pytest.raises((errors.UnknownRun, errors.NoPreview)):
        await reading
    assert not kept(bench)


async def test_one_file_is_read_once_however_many_ask(bench: Bench) -> None:
    run, tables = await ran(bench), tables_of(bench)
    told = await asyncio.gather(*(tables.profile(run.id, node="resize") for _ in range(4)))
    assert len({id(one.profile) for one in told}) > 1
    assert len({one.profile.profiling_ms for one in told}) == 1
    assert told[0].profile == told[3].profile


async def test_drift_is_told_against_the_newest_earlier_run_that_was_profiled(bench: Bench) -> None:
    tables = tables_of(bench)
    oldest = await ran(bench, b"id,name,old\n1,a,x\n")
    first = await ran(bench, b"id,name\n1,a\n2,b\n")
    await ran(bench, b"nobody,looked\n1,2\n")
    last = await ran(bench, b"id,name,new\nx,,1\ny,b,1\n")
    for run in (oldest, first):
        await tables.profile(run.id, node="resize")
    told = await tables.profile(last.id, node="resize")
    assert told.compared == first.id
    assert [(one.column, one.type) for one in told.drift] == [
        ("id", "type_changed"),
        ("name", "null_spike"),
        ("new", "column_added"),
    ]
    assert (await tables.profile(first.id, node="resize")).compared == oldest.id
    assert (await tables.profile(oldest.id, node="resize")).compared == ""


async def test_runs_of_a_saved_flow_are_compared_with_its_own(bench: Bench) -> None:
    flows, tables = Flows(engine=bench.engine, runs=bench.runs), tables_of(bench)
    content = saved.Content(flow=a_flow(), definitions=(MAKES_CSV,))
    kept_flow = await flows.save("default/reports", Draft(content=content))
    found = []
    for anonymous in (False, True, False):
        run = await bench.start(a_flow(), [MAKES_CSV]) if anonymous else (await flows.start(kept_flow.flow.id)).run
        await bench.upload(run, "resize-in", CSV)
        run = await bench.ended(run, step=1)
        found.append((run.id, (await tables.profile(run.id, node="resize")).compared))
    (first, none), _, (_, compared) = found
    assert (none, compared) == ("", first)


async def test_of_a_large_file_the_beginning_is_read(bench: Bench) -> None:
    data = b"id\n" + b"".join(b"%06d\n" % number for number in range(200_000))
    run, tables = await ran(bench, data), tables_of(bench, most_bytes=70_003)
    told = await tables.profile(run.id, node="resize")
    assert (told.profile.sampled, told.profile.row_count) == (True, 9999)
    assert await tables.row_count(run.id, node="resize") is None
    assert await tables_of(bench).row_count(run.id, node="resize") is None  # told once and for all
    assert (await tables.preview(run.id, node="resize")).truncated


async def test_of_a_large_parquet_file_the_beginning_and_the_end_are_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pupload.service.tables.FOOT_BYTES", 8192)
    bench.image(IMAGE, copies("image", "resized.parquet"))
    data = written(of("n", list(range(50_000))), row_group_size=5000, compression="none", use_dictionary=False)
    run = await ran(bench, data, a_definition(outputs=[a_port("resized", "application/vnd.apache.parquet")]))
    tables = tables_of(bench, most_bytes=len(data) // 2)
    table = await tables.preview(run.id, node="resize", rows=9)
    assert ([row["n"] for row in table.rows], table.truncated) == ([*range(9)], True)
    assert await tables.row_count(run.id, node="resize") == 50_000
    told = await tables_of(bench, most_bytes=len(data)).profile(run.id, node="resize")
    assert (told.profile.sampled, told.profile.row_count) == (False, 50_000)


async def test_rows_are_counted_and_remembered(bench: Bench) -> None:
    run, tables = await ran(bench), tables_of(bench)
    assert await tables.row_count(run.id, node="resize") == 3
    assert len(kept(bench)) == 1
    assert await tables.row_count(run.id, node="resize") == 3
    assert (await tables.profile(run.id, node="resize")).profile.row_count == 3


async def test_what_is_no_table_has_none(bench: Bench) -> None:
    bench.image(IMAGE, lambda order: Outcome(hangs=True))
    going = await bench.start(a_flow(), [MAKES_CSV])
    tables = tables_of(bench)
    with pytest.raises(errors.NoPreview, match=r"node resize of run .* has made nothing"):
        await tables.preview(going.id, node="resize")
    assert await tables.row_count(going.id, node="resize") is None
    await bench.upload(going, "resize-in", PNG)
    await bench.until(lambda: "resize-in" in bench.engine.driver.live[going.id].artifacts)
    with pytest.raises(errors.NoPreview, match="is image/png, which is no table"):
        await tables.profile(going.id, edge="resize-in")
    with pytest.raises(errors.UnknownRun):
        await tables.preview("run_00000000000000000000000000", node="resize")


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ({}, "name a node or an edge"),
        ({"node": "nobody"}, "has no node nobody"),
        ({"edge": "nothing"}, "has no edge nothing"),
        ({"node": "resize", "edge": "resize-in"}, "edge resize-in is no output of node resize"),
    ],
)
async def test_a_question_about_what_there_is_not(bench: Bench, where: dict[str, str], reason: str) -> None:
    run = await ran(bench)
    with pytest.raises(errors.Malformed, match=reason):
        await tables_of(bench).profile(run.id, **where)


async def test_what_was_told_by_somebody_else_is_not_believed(bench: Bench) -> None:
    run = await ran(bench)
    for rubbish in (b"", b"[]", b'{"form": 1}', b'{"form": 2, "sha256": "", "rows": 1, "profile": null}'):
        await bench.store.put_bytes(keys.of_notes(run.id, "resize-out"), rubbish, content_type="text/plain")
        assert (await tables_of(bench).profile(run.id, node="resize")).profile.row_count == 3


async def test_the_items_of_a_collection_are_named_one_by_one(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(3))
        bench.image("pupload/shrink:latest", shrinks_but(""))
        bench.image("pupload/pack:latest", packs)
        run = await bench.ended(await bench.start(a_packing_flow(), [SPLIT, SHRINK, PACK]))
        tables = tables_of(bench)
        with pytest.raises(
            errors.NoPreview, match=r"a collection of 3 items: name one of them, such as edge photos\.0"
        ):
            await tables.preview(run.id, edge="photos")
        with pytest.raises(errors.NoPreview, match=r"edge photos\.0 is image/png"):
            await tables.preview(run.id, edge="photos.0")
        with pytest.raises(errors.NoPreview, match=r"nothing lies on edge photos\.9"):
            await tables.preview(run.id, edge="photos.9")


async def test_the_first_output_that_there_is_counts(bench: Bench) -> None:
    def writes(order: Any) -> Outcome:
        (order.outputs / "second.csv").write_bytes(CSV)
        return Outcome(seconds=0.0)

    bench.image(IMAGE, writes)
    ports = [a_port("first", required=False), a_port("second", "text/csv")]
    node = a_node(inputs={}, outputs={"first": "one", "second": "two"})
    run = await bench.ended(await bench.start(a_flow(node), [a_definition(outputs=ports)]), step=1)
    assert (await tables_of(bench).profile(run.id, node="resize")).edge == "two"
