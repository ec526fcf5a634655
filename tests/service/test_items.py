"""What is shown of runs with collections."""

from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.api.flow import wire
from pupload.domain.run import Status
from pupload.service.views import Items
from tests.bench import Bench, a_bench
from tests.engine.test_foreach import PACK, SHRINK, SPLIT, a_packing_flow, packs, shrinks_but, splits


async def shown(bench: Bench, run_id: str, **items: Any) -> Any:
    """The run's status, as it goes over the wire."""
    asked = Items(**items) if items else None
    return wire.write_run(await bench.runs.status(run_id, asked))


@pytest.fixture
async def packed(tmp_path: Path) -> Any:
    """A bench, and a run with twelve items of which the fourth failed and its place was kept empty."""
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(12))
        bench.image("pupload/shrink:latest", shrinks_but("3"))
        bench.image("pupload/pack:latest", packs)
        run = await bench.ended(await bench.start(a_packing_flow(partial_failure="Keep"), [SPLIT, SHRINK, PACK]))
        assert run.status is Status.COMPLETE, run.error
        yield bench, run.id


async def test_a_status_has_counts_and_no_items(packed: Any) -> None:
    bench, run_id = packed
    found = await shown(bench, run_id)
    assert [*found.NodeState] == ["split", "shrink", "pack"]
    counted = found.NodeState["shrink"].Items
    times = [found.NodeState[node] for node in ("split", "shrink", "pack")]
    assert times[0].FinishedAt <= times[1].StartedAt <= times[1].FinishedAt <= times[2].StartedAt
    assert (counted.Total, counted.Complete, counted.Error, counted.Running, counted.Waiting) == (12, 11, 1, 0, 0)
    assert {*found.Artifacts} == {"photos", "small", "list"}
    assert (found.Artifacts["small"].Items, found.Artifacts["small"].GetURL) == (12, "")
    assert found.Warnings == ["node shrink: 1 of 12 items failed; the first was item 3 (00003.png): exit code 7"]


async def test_the_nodes_for_items_come_on_pages(packed: Any) -> None:
    bench, run_id = packed
    found = await shown(bench, run_id, node="shrink", offset=2, limit=3)
    assert (found.Page.Total, found.Page.Offset, found.Page.Limit) == (12, 2, 3)
    assert {name: state.Status for name, state in found.NodeState.items()} == {
        "shrink.2": "COMPLETE",
        "shrink.3": "ERROR",
        "shrink.4": "COMPLETE",
    }
    assert found.NodeState["shrink.3"].ExitCode == 7
    assert "copied image" in [line.message for line in found.NodeState["shrink.2"].Logs]
    assert found.Artifacts == {}


async def test_items_come_on_pages_with_urls(packed: Any) -> None:
    bench, run_id = packed
    found = await shown(bench, run_id, edge="small", offset=2, limit=3)
    assert [*found.Artifacts] == ["small.2", "small.4"]
    assert found.Artifacts["small.4"].FileName == "00004.png"
    assert (await bench.store.use("GET", found.Artifacts["small.4"].GetURL)).endswith(b"4")
    assert found.NodeState == {}


async def test_what_is_behind_the_last_item_is_an_empty_page(packed: Any) -> None:
    bench, run_id = packed
    found = await shown(bench, run_id, node="shrink", offset=12)
    assert (found.NodeState, found.Page.Total) == ({}, 12)
    assert (await shown(bench, run_id, node="pack")).Page.Total == 0


@pytest.mark.parametrize("items", [{"node": "nobody"}, {"edge": "small.1"}, {"node": "shrink", "edge": "small"}])
async def test_items_of_what_there_is_not_are_refused(packed: Any, items: dict[str, str]) -> None:
    bench, run_id = packed
    with pytest.raises(errors.Malformed):
        await shown(bench, run_id, **items)
