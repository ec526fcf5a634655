"""Saved flows: saved, changed, run."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain import arguments, flow, nodedef, saved
from pupload.domain.replaying import Edits
from pupload.domain.run import Status
from pupload.service.flows import Draft, Flows
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node, definitions_for

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


@pytest.fixture
def flows(bench: Bench) -> Flows:
    return Flows(engine=bench.engine, runs=bench.runs)


def content(width: str = "800", **more: object) -> saved.Content:
    this = replace(a_flow(a_node("resize", flags={"width": width})), **more)  # type: ignore[arg-type]
    return saved.Content(flow=this, definitions=definitions_for(this))


WITH_PARAM = content(
    "${param.width}", params=(nodedef.FlagDef(name="width", type="integer", required=True, minimum=1.0),)
)


async def test_a_flow_is_saved_under_its_name(bench: Bench, flows: Flows) -> None:
    view = await flows.save("pictures/small/shrink", Draft(content=content(), description="Smaller", tags=("a",)))
    assert (view.flow.namespace, view.flow.name, view.flow.full_name) == (
        "pictures/small",
        "shrink",
        "pictures/small/shrink",
    )
    assert (view.flow.version, view.flow.label, view.flow.source) == (1, "1.0.0", "api")
    for spelling in (view.flow.id, view.flow.id.lower(), "pictures/small/shrink", "/pictures/small/shrink/"):
        assert await flows.get(spelling) == view
    plain = await flows.save("shrink", Draft(content=content()))
    assert plain.flow.full_name == "default/shrink"
    assert await flows.find("shrink") == await flows.find("default/shrink")
    ids = [view.flow.id, plain.flow.id, view.flow.id, "flow_01JD0000000000000000000001"]
    assert await flows.names(ids) == {ids[0]: "pictures/small/shrink", ids[1]: "default/shrink"}


async def test_the_same_again_is_no_new_version(bench: Bench, flows: Flows) -> None:
    first = await flows.save("shrink", Draft(content=content(), description="Smaller"))
    again = await flows.save("shrink", Draft(content=content()))
    assert (again.flow, again.version) == (first.flow, first.version)
    described = await flows.save("shrink", Draft(content=content(), description="Much smaller"))
    assert (described.flow.version, described.flow.revision) == (1, 2)
    assert described.flow.description == "Much smaller"


async def test_another_content_is_a_new_version(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()))
    second = await flows.save("shrink", Draft(content=content("100"), message="smaller"))
    third = await flows.save("shrink", Draft(content=content("50"), label="2.0.0"))
    fourth = await flows.save("shrink", Draft(content=content("50"), label="2.1.0"))
    fifth = await flows.save("shrink", Draft(content=content("40")))
    assert [view.flow.label for view in (second, third, fourth, fifth)] == ["1.0.1", "2.0.0", "2.1.0", "2.1.1"]
    told = [(each.number, each.label, each.message) for each in await flows.versions("shrink")]
    assert told[3] == (2, "1.0.1", "smaller")
    assert [number for number, _, _ in told] == [5, 4, 3, 2, 1]
    changes = await flows.diff("shrink", 1, 2)
    assert [(each.name, each.field, each.was, each.now) for each in changes] == [
        ("resize", "flags.width", "800", "100")
    ]
    assert (await flows.get("shrink", version=1)).content == content()
    with pytest.raises(errors.UnknownVersion):
        await flows.diff("shrink", 1, 6)


async def test_a_flow_that_cannot_run_is_not_saved(bench: Bench, flows: Flows) -> None:
    wrong = replace(content(), definitions=())
    with pytest.raises(errors.Invalid) as caught:
        await flows.save("shrink", Draft(content=wrong))
    assert caught.value.findings
    with pytest.raises(errors.UnknownSavedFlow):
        await flows.find("shrink")


@pytest.mark.parametrize("name", ["", "a b", "x/../y", "../y", "x//y", "-", "x/é"])
async def test_a_name_that_none_can_have_is_refused(bench: Bench, flows: Flows, name: str) -> None:
    with pytest.raises(errors.Malformed):
        await flows.save(name, Draft(content=content()))
    with pytest.raises(errors.UnknownSavedFlow):
        await flows.find(name)


async def test_an_id_is_not_made_up(bench: Bench, flows: Flows) -> None:
    with pytest.raises(errors.UnknownSavedFlow):
        await flows.save("flow_01JD0000000000000000000001", Draft(content=content()))


async def test_a_change_of_another_version_is_refused(bench: Bench, flows: Flows) -> None:
    with pytest.raises(errors.Conflict):
        await flows.save("shrink", Draft(content=content(), if_version=1))
    await flows.save("shrink", Draft(content=content(), if_version=0))
    await flows.save("shrink", Draft(content=content("100"), if_version=1))
    with pytest.raises(errors.Conflict, match="version 2, not 1"):
        await flows.save("shrink", Draft(content=content("50"), if_version=1))
    with pytest.raises(errors.Conflict, match="version 2, not 0"):
        await flows.save("shrink", Draft(content=content("50"), if_version=0))


async def test_of_those_who_save_at_once_all_or_one_are_told_of(bench: Bench, flows: Flows) -> None:
    widths = ["100", "200", "300"]
    drafts = [Draft(content=content(width)) for width in widths]
    ends = await asyncio.gather(*(flows.save("shrink", draft) for draft in drafts), return_exceptions=True)
    lost = [end for end in ends if isinstance(end, BaseException)]
    assert all(isinstance(end, errors.Conflict) for end in lost)
    assert len(await flows.versions("shrink")) == len(ends) - len(lost) >= 1


async def test_a_version_comes_back_as_a_new_one(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()))
    await flows.save("shrink", Draft(content=content("100")))
    view = await flows.rollback("shrink", 1)
    assert (view.flow.version, view.content, view.version.message) == (3, content(), "back to version 1")
    with pytest.raises(errors.UnknownVersion):
        await flows.rollback("shrink", 9)


async def test_a_run_keeps_what_it_was_started_with_and_says_what_it_is_of(bench: Bench, flows: Flows) -> None:
    saved_flow = (await flows.save("shrink", Draft(content=content()))).flow
    view = await flows.start("shrink", labels={"tenant": "one"})
    await flows.save("shrink", Draft(content=content("100")))
    await flows.remove("shrink")
    run = (await bench.view(view.run)).run
    assert run.plan.provenance is not None
    assert (run.plan.provenance.flow, run.plan.provenance.version) == (saved_flow.id, 1)
    assert run.plan.labels == {"tenant": "one"}
    assert run.plan.nodes["resize"].flags["width"] == "800"
    await bench.upload(run, "resize-in", b"picture")
    assert (await bench.ended(run)).status is Status.COMPLETE
    page = await bench.runs.list(flow_id=saved_flow.id)
    assert [each.id for each in page.runs] == [run.id]


async def test_an_earlier_version_can_be_run(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()))
    await flows.save("shrink", Draft(content=content("100")))
    latest, first = await flows.start("shrink"), await flows.start("shrink", version=1)
    assert [view.run.plan.nodes["resize"].flags["width"] for view in (latest, first)] == ["100", "800"]
    with pytest.raises(errors.UnknownVersion):
        await flows.start("shrink", version=3)


async def test_a_key_starts_one_run_of_a_flow(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()))
    await flows.save("other", Draft(content=content()))
    first = await flows.start("shrink", idempotency_key="k")
    assert (await flows.start("shrink", idempotency_key="k")).run.id == first.run.id
    assert (await flows.start("other", idempotency_key="k")).run.id != first.run.id


async def test_parameters_are_held_to_what_the_flow_declares(bench: Bench, flows: Flows) -> None:
    view = await flows.save("shrink", Draft(content=WITH_PARAM))
    assert view.arguments == {
        "type": "object",
        "properties": {"width": {"type": "integer", "minimum": 1}},
        "required": ["width"],
        "additionalProperties": False,
    }
    for wrong in ({}, {"width": "wide"}, {"width": "0"}, {"width": "5", "height": "7"}):
        with pytest.raises(errors.Invalid):
            await flows.start("shrink", params=wrong)
    run = (await flows.start("shrink", params={"width": "5"})).run
    assert run.plan.nodes["resize"].flags["width"] == "5"


async def test_a_flow_that_is_not_enabled_is_not_run(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()))
    assert not (await flows.enable("shrink", enabled=False)).enabled
    with pytest.raises(errors.Conflict, match="not enabled"):
        await flows.start("shrink")
    assert [each.name for each in (await flows.list(enabled=False)).flows] == ["shrink"]
    await flows.enable("shrink")
    await flows.start("shrink")


async def test_what_another_source_keeps_is_changed_there(bench: Bench, flows: Flows) -> None:
    await flows.save("shrink", Draft(content=content()), source="tree")
    with pytest.raises(errors.Conflict, match="source tree"):
        await flows.save("shrink", Draft(content=content("100")))
    for change in (flows.remove("shrink"), flows.enable("shrink", enabled=False), flows.rollback("shrink", 1)):
        with pytest.raises(errors.Conflict):
            await change
    await flows.save("shrink", Draft(content=content("100")), source="tree")
    await flows.start("shrink")


async def test_more_words_and_labels_than_anybody_needs_are_refused(bench: Bench, flows: Flows) -> None:
    for draft in (
        Draft(content=content(), description="x" * 5000),
        Draft(content=content(), label="x" * 300),
        Draft(content=content(), tags=("x" * 300,)),
        Draft(content=content(), tags=tuple(map(str, range(100)))),
    ):
        with pytest.raises(errors.Malformed):
            await flows.save("shrink", draft)
    await flows.save("shrink", Draft(content=content()))
    with pytest.raises(errors.Malformed):
        await flows.start("shrink", labels={"a": "x" * 300})


async def test_a_run_that_goes_on_with_one_of_a_flow_is_of_it_too(bench: Bench, flows: Flows) -> None:
    found = (await flows.save("shrink", Draft(content=content()))).flow
    run = (await flows.start("shrink", labels={"tenant": "one"})).run
    await bench.runs.cancel(run.id)
    await bench.ended(run)
    resumed = (await bench.runs.resume(run.id)).run
    assert resumed.plan.provenance == run.plan.provenance
    await bench.runs.cancel(resumed.id)
    await bench.ended(resumed)
    replayed = (await bench.runs.replay(resumed.id, Edits())).run
    assert (replayed.plan.provenance, replayed.plan.labels) == (run.plan.provenance, {"tenant": "one"})
    assert (await bench.runs.list(flow_id=found.id)).total == 3


def test_what_a_flow_names_and_does_not_declare_is_needed() -> None:

    well = flow.DataWell(edge="out", key="${param.day}/${RUN_ID}")
    named = content("${param.width}", wells=(well,)).flow
    assert arguments.schema(named) == {
        "type": "object",
        "properties": {"width": {"type": "string"}, "day": {"type": "string"}},
        "required": ["width", "day"],
        "additionalProperties": True,
    }
