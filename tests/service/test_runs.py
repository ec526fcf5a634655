"""Runs: validated, started, listed, cancelled, resumed."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain import ids
from pupload.domain.nodedef import FlagDef, NodeDef
from pupload.domain.run import NodeStatus, Run, Status
from pupload.domain.validation.limits import Limits
from pupload.service.runs import MAX_PAGE, Runs
from pupload.service.views import Order
from tests.bench import PNG, Bench, a_bench, copies, ends
from tests.builders import a_chain, a_definition, a_flow, a_node, a_store, a_well, definitions_for
from tests.engine.worlds import OneStore, changed

IMAGE = "pupload/resize:latest"


def an_order(flow: Any = None, *definitions: NodeDef, **rest: Any) -> Order:
    flow = flow or a_flow()
    return Order(flow=flow, definitions=definitions or definitions_for(flow), **rest)


async def in_the_end(bench: Bench, run: Run) -> Run:
    return await bench.ended(run, step=0.1)


# ── Validate and start ───────────────────────────────────────────────────────────────────────────────────────────


async def test_validation_tells_everything_and_stores_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        flow = a_flow(a_node("a", uses="p/none"), a_node("a"))
        found = await bench.runs.validate(an_order(flow, a_definition()))
        assert len({finding.code for finding in found if finding.is_error}) >= 2
        assert not await bench.runs.validate(an_order())
        assert (await bench.runs.list()).total == 0


async def test_an_invalid_flow_is_refused_with_all_findings_and_nothing_is_stored(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        order = an_order(a_flow(a_node("a", uses="p/none"), a_node("a")), a_definition())
        with pytest.raises(errors.Invalid) as caught:
            await bench.runs.start(order, idempotency_key="k")
        assert list(caught.value.findings) == list(await bench.runs.validate(order))
        assert (await bench.runs.list()).total == 0
        assert (await bench.runs.start(an_order(), idempotency_key="k")).run.status is Status.WAITING


async def test_a_store_that_cannot_be_used_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    class Picky(OneStore):
        def open(self, store: object) -> Any:
            raise errors.Malformed(reason="store bucket has no Endpoint")

    async with a_bench(tmp_path) as first, changed(first, stores=Picky(first.store)) as bench:
        flow = a_flow(stores=[a_store("bucket")], wells=[a_well("resize-in", source="upload", store="bucket")])
        with pytest.raises(errors.Invalid) as caught:
            await bench.runs.start(an_order(flow))
        assert [(one.code, one.path, one.description) for one in caught.value.findings] == [
            ("STORE_003", "/Flow/Stores/0/Params", "Store bucket has invalid params: store bucket has no Endpoint")
        ]
        assert list(await bench.runs.validate(an_order(flow))) == list(caught.value.findings)
        assert (await bench.runs.list()).total == 0


async def test_a_definition_comes_from_the_catalogue_unless_the_request_brings_it(tmp_path: Path) -> None:
    class Catalogue:
        asked: list[str] = []  # noqa: RUF012

        async def find(self, uses: str) -> NodeDef | None:
            self.asked.append(uses)
            return a_definition(uses, image="from/catalogue:1") if uses == "pupload/resize" else None

        async def all(self) -> list[NodeDef]:
            return []

    async with a_bench(tmp_path) as bench:
        runs = Runs(
            engine=bench.engine, catalogue=Catalogue(), presenter=bench.runs._presenter, terms=bench.runs._terms
        )
        flow = a_flow(a_node("a"), a_node("b"), a_node("c", uses="my/own"))
        run = (await runs.start(an_order(flow, a_definition("my/own", image="mine:1")))).run
        assert {node.id: node.image for node in run.plan.nodes.values()} == {
            "a": "from/catalogue:1",
            "b": "from/catalogue:1",
            "c": "mine:1",
        }
        assert Catalogue.asked == ["pupload/resize"]
        with pytest.raises(errors.Invalid):
            await runs.start(Order(flow=a_flow(a_node(uses="nobody/knows"))))


async def test_parameters_reach_flags_and_keys_and_are_judged_first(tmp_path: Path) -> None:
    node = a_node("a", inputs={"image": "photo"}, outputs={"copy": "result"}, flags={"width": "${param.width}"})
    flow = replace(
        a_flow(node),
        wells=(a_well("result", key="${param.folder}/${RUN_ID}"),),
        params=(FlagDef(name="width", type="integer", default="10"), FlagDef(name="folder", required=True)),
    )
    async with a_bench(tmp_path) as bench:
        with pytest.raises(errors.Invalid) as caught:
            await bench.runs.start(an_order(flow, params={"width": "wide"}))
        assert {finding.code for finding in caught.value.findings} >= {"PARAM_004", "PARAM_005"}
        assert (await bench.runs.list()).total == 0
        run = (await bench.runs.start(an_order(flow, params={"folder": "../out"}))).run
        assert run.plan.params == {"width": "10", "folder": "../out"}
        assert run.plan.nodes["a"].flags == {"width": "10"}
        assert run.plan.edges["result"].key == f"..%2Fout/{run.id}"


async def test_warnings_of_the_surface_and_of_validation_are_kept(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        terms = replace(bench.runs._terms, limits=Limits(clamp=True, capacity=await bench.executor.capacity()))
        runs = Runs(engine=bench.engine, catalogue=bench.runs._catalogue, presenter=bench.runs._presenter, terms=terms)
        view = await runs.start(an_order(None, a_definition(tier="c-4xlarge"), warnings=("unknown field Foo",)))
        assert view.warnings[0] == "unknown field Foo"
        assert len(view.warnings) == 2


async def test_one_key_starts_one_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        first = await bench.runs.start(an_order(), idempotency_key="k")
        views = await asyncio.gather(*(bench.runs.start(an_order(), idempotency_key="k") for _ in range(5)))
        assert {view.run.id for view in views} == {first.run.id}
        assert (await bench.runs.start(an_order(), idempotency_key="l")).run.id != first.run.id
        assert (await bench.runs.list()).total == 2


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_spelling_of_an_id_is_understood(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        uuid = ids.uuid_of(run.id)
        for spelling in (run.id, run.id.lower(), uuid, uuid.upper()):
            assert (await bench.runs.find(spelling)).id == run.id
        for wrong in ("", "nonsense", "run_", "x" * 10_000, f"{run.id}x", "run_01HZX3K9T8Q2B7M4N6P5R1S0VW"):
            with pytest.raises(errors.UnknownRun):
                await bench.runs.status(wrong)


async def test_lists_are_newest_first_filtered_and_in_pages(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        runs = []
        for name in ("a", "b", "a"):
            runs.append(await bench.start(a_flow(name=name)))
            await bench.clock.run_for(1)
        await bench.runs.cancel(runs[0].id)
        newest_first = [run.id for run in reversed(runs)]
        assert [one.id for one in (await bench.runs.list()).runs] == newest_first
        assert [one.id for one in (await bench.runs.list(status=Status.STOPPED)).runs] == [runs[0].id]
        assert [one.id for one in (await bench.runs.list(flow="a", limit=1, offset=1)).runs] == [runs[0].id]
        assert (await bench.runs.list(limit=-5)).runs == []
        page = await bench.runs.list(limit=10 * MAX_PAGE, offset=-1)
        assert (len(page.runs), page.total) == (3, 3)


# ── Cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_two_modes_of_cancel_are_known(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        with pytest.raises(errors.Malformed, match='"kill" or "drain", not "gently"'):
            await bench.runs.cancel(run.id, mode="gently")
        with pytest.raises(errors.UnknownRun):
            await bench.runs.cancel("run_01HZX3K9T8Q2B7M4N6P5R1S0VW")
        assert (await bench.runs.cancel(run.id)).run.status is Status.STOPPED


async def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(code=1))
        run = await bench.start(a_flow(a_node(inputs={})), [a_definition(max_attempts=1)])
        before = await in_the_end(bench, run)
        assert (await bench.runs.cancel(run.id)).run == before


async def test_a_drain_may_become_a_kill_and_not_the_other_way(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, ends(hangs=True, ignores_term=True))
        run = await bench.start(a_flow(a_node(inputs={})))
        await bench.until(lambda: bool(bench.executor.alive))
        assert (await bench.runs.cancel(run.id, mode="drain")).run.status is Status.RUNNING
        await bench.clock.run_for(60)
        await bench.runs.cancel(run.id, mode="kill")
        await bench.runs.cancel(run.id, mode="drain")
        assert (await bench.ended(run, step=1)).status is Status.STOPPED


# ── Resuming ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def a_run_that_failed_at(bench: Bench, broken: int, length: int = 3) -> Run:
    """A chain of nodes of which one fails; its images work from then on."""
    nodes = [replace(node, uses=f"p/n{number}") for number, node in enumerate(a_chain(length))]
    for number in range(length):
        script = ends(code=1) if number == broken else copies("image", "resized")
        bench.image(f"p/n{number}:latest", script)
    run = await bench.start(a_flow(*nodes), [a_definition(f"p/n{n}", max_attempts=1) for n in range(length)])
    await bench.upload(run, "e0", PNG)
    run = await in_the_end(bench, run)
    bench.image(f"p/n{broken}:latest", copies("image", "resized"))
    return run


def ran(bench: Bench, run: Run) -> set[str]:
    return {ref.node for ref in bench.executor.starts if ref.run == run.id}


async def test_what_succeeded_is_not_done_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await a_run_that_failed_at(bench, 1)
        assert failed.status is Status.ERROR
        resumed = (await bench.runs.resume(ids.uuid_of(failed.id))).run
        assert (resumed.id != failed.id, resumed.resumed_from) == (True, failed.id)
        resumed = await in_the_end(bench, resumed)
        assert resumed.status is Status.COMPLETE
        assert ran(bench, resumed) == {"n1", "n2"}
        assert resumed.nodes["n0"].reused
        assert await bench.download(resumed, "e3") == PNG
        assert (await bench.view(failed)).run.status is Status.ERROR, "the old one is as it was"


@pytest.mark.parametrize(("node", "again"), [("n0", {"n0", "n1", "n2"}), ("n1", {"n1", "n2"}), ("n2", {"n1", "n2"})])
async def test_from_a_node_on_everything_runs_again(tmp_path: Path, node: str, again: set[str]) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await a_run_that_failed_at(bench, 1)
        resumed = await in_the_end(bench, (await bench.runs.resume(failed.id, from_node=node)).run)
        assert resumed.status is Status.COMPLETE
        assert ran(bench, resumed) == again


async def test_a_complete_run_is_resumed_only_from_a_node(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow())
        await bench.upload(run, "resize-in", PNG)
        run = await in_the_end(bench, run)
        with pytest.raises(errors.Conflict, match="nothing to resume"):
            await bench.runs.resume(run.id)
        resumed = await in_the_end(bench, (await bench.runs.resume(run.id, from_node="resize")).run)
        assert resumed.status is Status.COMPLETE
        assert ran(bench, resumed) == {"resize"}


async def test_a_stopped_run_waits_again_for_what_never_came(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        run = await bench.start(a_flow(a_node(inputs={"image": "a", "other": "b"})))
        await bench.upload(run, "a", PNG)
        await bench.until(lambda: "a" in bench.engine.driver.live[run.id].artifacts)
        await bench.runs.cancel(run.id)
        resumed = (await bench.runs.resume(run.id)).run
        assert [waiting.edge for waiting in (await bench.view(resumed)).waiting] == ["b"]
        await bench.upload(resumed, "b", PNG)
        assert (await in_the_end(bench, resumed)).status is Status.COMPLETE


async def test_what_cannot_be_resumed_is_refused_and_told_why(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        going = await bench.start(a_flow())
        with pytest.raises(errors.Conflict, match="is WAITING: only a run that has ended"):
            await bench.runs.resume(going.id)
        with pytest.raises(errors.UnknownRun):
            await bench.runs.resume("run_01HZX3K9T8Q2B7M4N6P5R1S0VW")
        failed = await a_run_that_failed_at(bench, 1)
        with pytest.raises(errors.Malformed, match="has no node other"):
            await bench.runs.resume(failed.id, from_node="other")
        before = (await bench.runs.list()).total
        await bench.store.put_bytes(failed.artifacts["e1"].key, b"else", content_type="image/png")
        with pytest.raises(errors.Conflict, match=r"e1 \(object .* has changed\)"):
            await bench.runs.resume(failed.id)
        assert (await bench.runs.list()).total == before


async def test_a_store_that_cannot_be_asked_is_not_one_without_the_artifact(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await a_run_that_failed_at(bench, 1)

        async def away(key: str) -> Any:
            raise errors.StoreUnavailable(store="default", endpoint="e", reason="r")

        bench.store.stat = away  # type: ignore[method-assign]
        with pytest.raises(errors.StoreUnavailable):
            await bench.runs.resume(failed.id)


async def test_a_resumed_run_may_fail_and_be_resumed_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        failed = await a_run_that_failed_at(bench, 2)
        bench.image("p/n2:latest", ends(code=1))
        second = await in_the_end(bench, (await bench.runs.resume(failed.id)).run)
        assert second.nodes["n2"].status is NodeStatus.ERROR
        bench.image("p/n2:latest", copies("image", "resized"))
        third = await in_the_end(bench, (await bench.runs.resume(second.id)).run)
        assert third.status is Status.COMPLETE
        assert ran(bench, third) == {"n2"}
        assert third.resumed_from == second.id
