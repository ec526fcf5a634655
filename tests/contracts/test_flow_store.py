"""What `ports.FlowStore` promises."""

from dataclasses import replace

from pupload import ports
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
    assert await state.flows.projects(PROJECT.id) == [PROJECT]


async def test_a_project_replaces_the_one_of_its_id(state: Bench) -> None:
    await state.flows.put_project(PROJECT)
    later = ports.Project(id=PROJECT.id, name="films")
    await state.flows.put_project(later)
    assert await state.flows.projects(PROJECT.id) == [later]


async def test_a_name_may_hold_anything(state: Bench) -> None:
    odd = ports.Project(id=PROJECT.id, name="a\x00b")
    await state.flows.put_project(odd)
    assert await state.flows.projects(PROJECT.id) == [odd]


async def test_of_an_unknown_project_there_is_none(state: Bench) -> None:
    await state.flows.put_project(replace(PROJECT, id=PROJECT.id.replace("0", "1")))
    assert await state.flows.projects(PROJECT.id) == []


async def test_accounts_have_projects_of_one_id(state: Bench) -> None:
    nobodys, second, tenth = (replace(PROJECT, name=str(number), account=number) for number in (None, 2, 10))
    for project in (tenth, nobodys, second):
        await state.flows.put_project(project)
    await state.again()
    assert await state.flows.projects(PROJECT.id) == [nobodys, second, tenth]
    later = replace(second, name="films")
    await state.flows.put_project(later)
    assert await state.flows.projects(PROJECT.id) == [nobodys, later, tenth]
