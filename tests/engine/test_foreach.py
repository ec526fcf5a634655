"""Nodes that run once for each item, on the whole engine in memory."""

from pathlib import Path

from pupload import ports
from pupload.adapters.memory import containers
from pupload.domain import events
from pupload.domain.flow import Flow, ForEach
from pupload.domain.run import NodeStatus, Status
from tests.bench import PNG, a_bench, copies
from tests.builders import a_definition, a_flow, a_node, a_port

SPLIT = a_definition("pupload/split", outputs=[a_port("files", many=True)])
SHRINK = a_definition("pupload/shrink", inputs=[a_port("image")], outputs=[a_port("small")], max_attempts=1)
PACK = a_definition("pupload/pack", inputs=[a_port("files", many=True)], outputs=[a_port("list")])


def a_packing_flow(**asked: object) -> Flow:
    """`split` makes a collection, `shrink` runs for each item, `pack` lists what comes of that."""
    for_each = ForEach(input="image", **asked)  # type: ignore[arg-type]
    return a_flow(
        a_node("split", uses="pupload/split", inputs={}, outputs={"files": "photos"}),
        a_node(
            "shrink", uses="pupload/shrink", inputs={"image": "photos"}, outputs={"small": "small"}, for_each=for_each
        ),
        a_node("pack", uses="pupload/pack", inputs={"files": "small"}, outputs={"list": "list"}),
    )


def splits(count: int) -> containers.Script:
    """Writes so many pictures."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        for number in range(count):
            (order.outputs / "files" / f"{number:05}.png").write_bytes(PNG + b"%d" % number)
        return containers.Outcome()

    return run


def packs(order: ports.ContainerOrder) -> containers.Outcome:
    """Writes the names of what there is, a line each."""
    (folder,) = order.inputs.iterdir()
    (order.outputs / "list").write_text("".join(f"{path.name}\n" for path in sorted(folder.iterdir())))
    return containers.Outcome()


def shrinks_but(*bad: str) -> containers.Script:
    """Copies its input, unless that holds one of these."""
    copy = copies("image", "small")

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        (path,) = order.inputs.iterdir()
        if any(path.read_bytes() == PNG + text.encode() for text in bad):
            return containers.Outcome(code=7)
        return copy(order)

    return run


async def test_a_collection_is_worked_on_item_by_item_and_packed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(12))
        bench.image("pupload/shrink:latest", copies("image", "small"))
        bench.image("pupload/pack:latest", packs)
        run = await bench.ended(await bench.start(a_packing_flow(concurrency=3), [SPLIT, SHRINK, PACK]))
        assert run.status is Status.COMPLETE, run.error
        assert run.artifacts["small"].items == 12
        listed = (await bench.download(run, "list")).decode().split()
        assert listed == [f"{number:05}.png" for number in range(12)]


async def test_a_place_stays_empty_where_its_item_failed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(4))
        bench.image("pupload/shrink:latest", shrinks_but("2"))
        bench.image("pupload/pack:latest", packs)
        run = await bench.ended(await bench.start(a_packing_flow(partial_failure="Keep"), [SPLIT, SHRINK, PACK]))
        assert run.status is Status.COMPLETE, run.error
        assert run.nodes["shrink.2"].status is NodeStatus.ERROR
        listed = (await bench.download(run, "list")).decode().split()
        assert listed == ["00000.png", "00001.png", "00003.png"]


async def test_an_item_that_failed_ends_the_rest(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(40))
        bench.image("pupload/shrink:latest", shrinks_but("2"))
        bench.image("pupload/pack:latest", packs)
        run = await bench.ended(await bench.start(a_packing_flow(concurrency=2), [SPLIT, SHRINK, PACK]))
        assert run.status is Status.ERROR
        assert run.error.startswith("node shrink: item 2 (00002.png): ")
        assert len(run.nodes) < 10
        assert run.nodes["pack"].status is NodeStatus.SKIPPED


async def test_another_process_goes_on_with_the_items(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(9))
        bench.image("pupload/shrink:latest", copies("image", "small", seconds=5))
        bench.image("pupload/pack:latest", packs)
        run = await bench.start(a_packing_flow(concurrency=3), [SPLIT, SHRINK, PACK])
        live = bench.engine.driver.live
        await bench.until(lambda: "shrink.4" in live[run.id].nodes, step=0.1)
        again = await bench.restarted()
        run = await again.ended(run, step=0.1)
        assert run.status is Status.COMPLETE, run.error
        assert all(len(node.attempts) == 1 for name, node in run.nodes.items() if name != "shrink")


async def test_a_run_that_is_resumed_does_not_run_again_for_items_that_succeeded(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(6))
        bench.image("pupload/shrink:latest", shrinks_but("4"))
        bench.image("pupload/pack:latest", packs)
        failed = await bench.ended(await bench.start(a_packing_flow(concurrency=1), [SPLIT, SHRINK, PACK]))
        assert failed.status is Status.ERROR
        bench.image("pupload/shrink:latest", shrinks_but("0", "1", "2", "3"))
        run = await bench.ended((await bench.runs.resume(failed.id)).run)
        assert run.status is Status.COMPLETE, run.error
        assert {name for name, node in run.nodes.items() if node.attempts} == {"shrink.4", "shrink.5", "pack"}
        assert len((await bench.download(run, "list")).decode().split()) == 6
        found = await bench.kept.journal.read(run.id, after=0, limit=100)
        told = [entry.event for entry in found if isinstance(entry.event, events.NodeExpanded | events.NodeReused)]
        assert all(len(event.artifacts) == 1 for event in told if isinstance(event, events.NodeReused))
        assert told[-1] == events.NodeExpanded(node="shrink", items=6, reused=4)
