"""What `ports.FlowStore` promises."""

import pytest

from pupload import errors, ports
from pupload.domain import flow, nodedef
from tests.contracts.states import Bench, state

__all__ = ["state"]

PROJECT = ports.Project(
    id="01563e3a-b5d3-d676-4c61-efb99302bd5b",
    name="pictures",
    flows=(
        flow.Flow(
            name="shrink",
            nodes=(flow.Node(id="a", uses="p/n", inputs=(flow.Binding(name="in", edge="e"),), timeout="90s"),),
            default_well=flow.DataWell(store="mine"),
        ),
    ),
    definitions=(
        nodedef.NodeDef(publisher="p", name="n", command=nodedef.Command(exec=("cp", "a", "b"))),
        nodedef.NodeDef(publisher="p", name="m", command=nodedef.Command(exec="cp a b")),
    ),
    stores=(flow.Store(name="mine", type="s3", params={"Endpoint": "http://here", "UsePathStyle": True}),),
)


async def test_a_project_reads_back_after_a_restart(state: Bench) -> None:
    await state.flows.put_project(PROJECT)
    await state.again()
    assert await state.flows.get_project(PROJECT.id) == PROJECT


async def test_a_project_replaces_the_one_of_its_id(state: Bench) -> None:
    await state.flows.put_project(PROJECT)
    later = ports.Project(id=PROJECT.id, name="films")
    await state.flows.put_project(later)
    assert await state.flows.get_project(PROJECT.id) == later


async def test_a_name_may_hold_anything(state: Bench) -> None:
    odd = ports.Project(id=PROJECT.id, name="a\x00b")
    await state.flows.put_project(odd)
    assert await state.flows.get_project(PROJECT.id) == odd


async def test_an_unknown_project_is_told(state: Bench) -> None:
    with pytest.raises(errors.UnknownProject):
        await state.flows.get_project(PROJECT.id)
