"""A node whose run goes on in a full house: what it held is the next one's, in the same commit."""

from dataclasses import replace
from pathlib import Path

from pupload.domain import events
from pupload.domain.run import Status
from tests.bench import PNG, ROOM, a_bench, copies
from tests.builders import a_chain, a_flow
from tests.engine.worlds import Faulty, changed

IMAGE = "pupload/resize:latest"


async def test_the_next_node_has_the_room_of_the_one_before(tmp_path: Path) -> None:
    async with a_bench(tmp_path, room=replace(ROOM, attempts=1)) as bench:
        saved = list[list[str]]()
        runs = Faulty(bench.world.runs)

        async def see(decision: object, **_: object) -> None:
            saved.append([events.name_of(event) for event in decision.events])  # type: ignore[attr-defined]

        runs.before["save"] = see
        async with changed(bench, runs=runs) as bench:
            bench.image(IMAGE, copies("image", "resized"))
            run = await bench.start(a_flow(*a_chain(3)))
            await bench.upload(run, "e0", PNG)
            assert (await bench.ended(run)).status is Status.COMPLETE
            assert saved.count(["node.succeeded", "node.ready", "node.admitted"]) == 2
            assert not bench.engine.admission.holders


async def test_others_that_wait_go_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, room=replace(ROOM, attempts=1)) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=1))
        first, second = [await bench.start(a_flow(*a_chain(2))) for _ in range(2)]
        for run in (first, second):
            await bench.upload(run, "e0", PNG)
        for run in (first, second):
            assert (await bench.ended(run)).status is Status.COMPLETE
        assert [ref.run for ref in bench.executor.starts] == [first.id, second.id, first.id, second.id]
