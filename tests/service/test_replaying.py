"""Runs, replayed with changes: what runs anew, what is taken over, what is refused."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pupload import errors, ports
from pupload.adapters.memory.containers import Outcome, Script
from pupload.api.flow import wire
from pupload.domain.flow import Node
from pupload.domain.replaying import Edits, Setting
from pupload.domain.run import Run, Status
from tests.bench import TEXT, Bench, a_bench
from tests.builders import a_definition, a_flag, a_flow, a_node, a_well
from tests.engine.test_foreach import PACK, SHRINK, SPLIT, a_packing_flow, packs, shrinks_but, splits


def says(flag: str, *, code: int = 0) -> Script:
    """A node that writes a flag's value behind what it was given."""

    def run(order: ports.ContainerOrder) -> Outcome:
        (found,) = order.inputs.iterdir()
        value = order.environment.get(f"FLAG_{flag.upper()}", "")
        (order.outputs / "out").write_bytes(found.read_bytes() + f" {value}".encode())
        return Outcome(code=code)

    return run


def a_step(name: str, taken: str, made: str, **flags: str) -> Node:
    return a_node(name, uses=f"p/{name}", inputs={"in": taken}, outputs={"out": made}, flags=flags)


# first → second → third, and beside them another behind the first
FLOW = a_flow(
    a_step("first", "text", "one", word="a"),
    a_step("second", "one", "two", word="b"),
    a_step("third", "two", "three", word="c"),
    a_step("beside", "one", "four", word="d"),
    wells=[a_well("text", source="upload", lifetime="720h")],
)
DEFINITIONS = tuple(a_definition(node.uses, flags=[a_flag("word")], max_attempts=1) for node in FLOW.nodes)


async def ended(bench: Bench, run: Run) -> Run:
    return await bench.ended(run, step=0.1)


async def a_run(bench: Bench, *, broken: str = "") -> Run:
    """The flow, run to its end; one of the nodes may fail."""
    for node in FLOW.nodes:
        bench.image(f"{node.uses}:latest", says("word", code=int(node.id == broken)))
    run = await bench.start(FLOW, DEFINITIONS)
    await bench.upload(run, "text", TEXT)
    run = await ended(bench, run)
    assert run.status is (Status.ERROR if broken else Status.COMPLETE)
    if broken:
        bench.image(f"p/{broken}:latest", says("word"))
    return run


def ran(bench: Bench, run: Run) -> set[str]:
    return {ref.node for ref in bench.executor.starts if ref.run == run.id}


def a_flag_set(node: str, value: str) -> Edits:
    return Edits(flags=(Setting(node=node, name="word", value=value),))


def a_part_set(node: str, name: str, value: str) -> Edits:
    return Edits(parts=(Setting(node=node, name=name, value=value),))


async def test_only_what_a_changed_flag_concerns_runs(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        new = (await bench.runs.replay(old.id, a_flag_set("second", "B"))).run
        assert (new.resumed_from, new.plan.replays, new.plan.nodes["second"].flags) == (old.id, True, {"word": "B"})
        new = await ended(bench, new)
        assert new.status is Status.COMPLETE
        assert ran(bench, new) == {"second", "third"}
        assert await bench.download(new, "three") == TEXT + b" a B c"
        assert await bench.download(old, "three") == TEXT + b" a b c", "the old one is as it was"
        for edge in ("text", "one", "four"):
            assert new.artifacts[edge] == old.artifacts[edge]
        # A replay can be replayed, and its changes hold.
        again = await ended(bench, (await bench.runs.replay(new.id, a_flag_set("third", "C"))).run)
        assert await bench.download(again, "three") == TEXT + b" a B C"


async def test_a_node_is_replayed_in_another_image(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        for image in ("acme/x:1", "acme/y:1"):
            bench.image(image, says("word"))
        chooses = tuple(
            replace(each, image="${flag.word}", flags=(a_flag("word", required=True),)) for each in DEFINITIONS
        )
        nodes = (replace(node, flags=(replace(node.flags[0], value="acme/x:1"),)) for node in FLOW.nodes)
        old = await bench.start(replace(FLOW, nodes=tuple(nodes)), chooses)
        await bench.upload(old, "text", TEXT)
        assert (await ended(bench, old)).status is Status.COMPLETE
        new = (await bench.runs.replay(old.id, a_flag_set("second", "acme/y:1"))).run
        assert {name: node.image for name, node in new.plan.nodes.items() if node.image != "acme/x:1"} == {
            "second": "acme/y:1"
        }
        assert (await ended(bench, new)).status is Status.COMPLETE
        assert ran(bench, new) == {"second", "third"}
        with pytest.raises(errors.Invalid) as caught:
            await bench.runs.replay(old.id, a_flag_set("second", "no image"))
        assert [(each.code, each.path) for each in caught.value.findings] == [
            ("NODE_015", "/Flow/Nodes/1/Flags/0/Value")
        ]


@pytest.mark.parametrize(
    ("edits", "again"),
    [
        (Edits(from_nodes=("third",)), {"third"}),
        (Edits(from_nodes=("third", "beside")), {"third", "beside"}),
        (Edits(from_nodes=("first",)), {"first", "second", "third", "beside"}),
        (replace(a_flag_set("beside", "D"), from_nodes=("third",)), {"third", "beside"}),
        (a_part_set("second", "Tier", "c-nano"), {"second", "third"}),
        (a_part_set("p/beside", "Image", "p/other:1"), {"beside"}),
    ],
    ids=["one", "two", "the first", "a change elsewhere widens it", "a tier", "an image"],
)
async def test_what_runs_again_and_what_does_not(tmp_path: Path, edits: Edits, again: set[str]) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        bench.image("p/other:1", says("word"))
        new = await ended(bench, (await bench.runs.replay(old.id, edits)).run)
        assert new.status is Status.COMPLETE
        assert ran(bench, new) == again


async def test_of_a_run_that_failed_what_did_not_succeed_runs_as_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench, broken="second")
        new = await ended(bench, (await bench.runs.replay(old.id, a_flag_set("beside", "D"))).run)
        assert new.status is Status.COMPLETE
        assert ran(bench, new) == {"second", "third", "beside"}


async def test_what_is_wrong_with_the_changed_flow_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        for edits, name in (
            (a_part_set("second", "Tier", "c-huge"), "NodeInvalidTier"),
            (Edits(flags=(Setting(node="second", name="colour", value="red"),)), "NodeUnknownFlag"),
        ):
            with pytest.raises(errors.Invalid) as caught:
                await bench.runs.replay(old.id, edits)
            assert [found.name for found in caught.value.findings] == [name]
        with pytest.raises(errors.Malformed):
            await bench.runs.replay(old.id, Edits(from_nodes=("nobody",)))
        with pytest.raises(errors.Conflict, match="nothing in run"):
            await bench.runs.replay(old.id, a_flag_set("second", "b"))
        assert (await bench.runs.list()).total == 1


async def test_only_a_run_that_has_ended_is_replayed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(FLOW, DEFINITIONS)
        with pytest.raises(errors.Conflict, match="only a run that has ended can be replayed"):
            await bench.runs.replay(run.id, Edits(from_nodes=("first",)))


async def test_what_is_gone_cannot_be_taken_over(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        await bench.store.delete(old.artifacts["one"].key)
        with pytest.raises(errors.Conflict, match=f"run {old.id} cannot be replayed: artifacts are missing: one "):
            await bench.runs.replay(old.id, a_flag_set("second", "B"))


async def test_one_key_makes_one_replay_of_a_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        replays = [await bench.runs.replay(old.id, a_flag_set("third", "C"), idempotency_key="k") for _ in range(2)]
        assert len({view.run.id for view in replays}) == 1
        assert (await bench.runs.resume(old.id, from_node="third", idempotency_key="k")).run.id != replays[0].run.id


async def test_a_replay_that_is_resumed_is_no_replay_any_more(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        bench.image("p/other:1", says("word", code=1))
        failed = await ended(bench, (await bench.runs.replay(old.id, a_part_set("second", "Image", "p/other:1"))).run)
        assert failed.status is Status.ERROR
        bench.image("p/other:1", says("word"))
        new = await ended(bench, (await bench.runs.resume(failed.id)).run)
        assert (new.status, new.plan.replays) == (Status.COMPLETE, False)
        written = wire.write_run(await bench.view(new))
        assert (written.ResumedFrom, written.ReplayOf) == (failed.id, msgspec.UNSET)
        assert new.plan.nodes["second"].image == "p/other:1"


async def test_a_replay_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        old = await a_run(bench)
        new = (await bench.runs.replay(old.id, a_flag_set("second", "B"))).run
        bench = await bench.restarted()
        new = await ended(bench, new)
        assert (new.status, new.plan.replays) == (Status.COMPLETE, True)
        assert await bench.download(new, "three") == TEXT + b" a B c"


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_runs_for_each_item_is_taken_over_or_runs_for_each_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image("pupload/split:latest", splits(5))
        bench.image("pupload/shrink:latest", shrinks_but("2"))
        bench.image("pupload/pack:latest", packs)
        old = await ended(bench, await bench.start(a_packing_flow(partial_failure="Keep"), [SPLIT, SHRINK, PACK]))
        assert old.status is Status.COMPLETE
        new = await ended(bench, (await bench.runs.replay(old.id, Edits(from_nodes=("pack",)))).run)
        assert (new.status, ran(bench, new)) == (Status.COMPLETE, {"pack"})
        assert new.artifacts["small"].items == 5
        assert "small.2" not in new.artifacts
        new = await ended(bench, (await bench.runs.replay(new.id, a_part_set("shrink", "Tier", "c-nano"))).run)
        assert (new.status, ran(bench, new)) == (Status.COMPLETE, {*(f"shrink.{place}" for place in range(5)), "pack"})
        assert await bench.download(new, "list") == await bench.download(old, "list")
