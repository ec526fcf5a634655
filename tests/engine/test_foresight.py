"""What is done for the attempts that another's end lets begin, before it is known how that one ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pupload.adapters.memory.containers import Outcome, Script
from pupload.domain.run import NodeStatus, Run, Status
from pupload.ports import ContainerOrder
from tests.bench import PNG, ROOM, TEXT, Bench
from tests.builders import a_chain, a_definition, a_flow, a_node
from tests.engine.test_arming import an_arming_one, nodes_of, nothing_left
from tests.engine.worlds import Faulty, OneStore, changed

IMAGE = "pupload/resize:latest"

TOLD_AFTER = 0.5
"""How long the engine takes to tell of an end."""


def makes(*each: tuple[bytes, int], seen: list[list[str]] | None = None) -> Script:
    """The first container writes these bytes and ends with this code, the next the next; `seen` are their inputs."""
    left = list(each)

    def script(order: ContainerOrder) -> Outcome:
        content, code = left.pop(0)
        if seen is not None:
            seen.append(sorted(path.name for path in order.inputs.iterdir()))
        (order.outputs / "resized").write_bytes(content)
        return Outcome(code=code, seconds=1.0, told_after_seconds=TOLD_AFTER)

    return script


@asynccontextmanager
async def watched(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Bench, Faulty]]:
    """A bench that arms, and its store."""
    async with an_arming_one(tmp_path, **more) as first:
        store = Faulty(first.store)
        async with changed(first, stores=OneStore(store)) as bench:
            yield bench, store


def chain() -> Any:
    """Two nodes one after the other, of which the first needs nothing."""
    first, *rest = a_chain(2)
    return a_flow(a_node(first.id, inputs={}, outputs={"resized": "e1"}), *rest)


def laid(bench: Bench) -> list[Path]:
    """Inputs that lie in attempts' directories."""
    return list(bench.config.attempts_root.glob("*/in/image*"))


async def foreseen(bench: Bench, run: Run) -> None:
    """The first node has ceased, nobody knows how it ended, and what follows is begun."""
    await bench.until(lambda: bool(laid(bench)), step=0.01)
    live = bench.engine.driver.live[run.id]
    assert [live.nodes[node].status for node in ("n0", "n1")] == [NodeStatus.RUNNING, NodeStatus.IDLE]
    assert not live.artifacts
    assert nodes_of(bench.executor.starts) == ["n0"], "no command begins by it"
    assert [path.parent.parent.name for path in laid(bench)] == [f"{run.id}.n1.1"]


async def test_the_inputs_of_what_follows_are_laid_before_it_is_known_how_it_ended(tmp_path: Path) -> None:
    async with watched(tmp_path) as (bench, store):
        bench.image(IMAGE, makes((PNG, 0), (TEXT, 0)))
        run = await bench.start(chain())
        await foreseen(bench, run)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert store.calls.count("fetch") == 1
        assert nodes_of(bench.executor.armings) == ["n1"], "the container is the one that waited"
        await nothing_left(bench, run)


async def test_what_was_laid_for_an_end_that_did_not_come_is_seen_by_nobody(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        seen = list[list[str]]()
        bench.image(IMAGE, makes((PNG, 1), (TEXT, 0), (TEXT, 0), seen=seen))
        run = await bench.start(chain(), [a_definition(max_attempts=2)])
        await foreseen(bench, run)
        await bench.until(lambda: not laid(bench))
        run = await bench.ended(run, step=0.1)
        assert run.status is Status.COMPLETE
        assert seen[:2] == [[], []]
        assert seen[2] == ["image.txt"]
        assert await bench.download(run, "e2") == TEXT
        await nothing_left(bench, run)


async def test_a_cancel_leaves_nothing_of_it(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        bench.image(IMAGE, makes((PNG, 0)))
        run = await bench.start(chain())
        await foreseen(bench, run)
        await bench.runs.cancel(run.id)
        run = await bench.ended(run)
        assert run.status is Status.STOPPED
        assert nodes_of(bench.executor.starts) == ["n0"]
        await nothing_left(bench, run)


async def test_who_has_to_wait_for_room_finds_them_there_as_well(tmp_path: Path) -> None:
    async with watched(tmp_path, room=replace(ROOM, attempts=1)) as (bench, store):
        bench.image(IMAGE, makes((PNG, 0), (PNG, 0), (TEXT, 0), (TEXT, 0)))
        run = await bench.start(chain())
        await bench.until(lambda: bool(bench.executor.armed))
        other = await bench.start(chain())
        await foreseen(bench, run)
        live = bench.engine.driver.live
        await bench.until(lambda: live[run.id].nodes["n1"].status is NodeStatus.READY)
        assert store.calls.count("fetch") == 1
        run, other = await bench.ended(run), await bench.ended(other)
        assert (run.status, other.status) == (Status.COMPLETE, Status.COMPLETE)
        assert store.calls.count("fetch") == 2, "each of two inputs once"
        await nothing_left(bench, run)
