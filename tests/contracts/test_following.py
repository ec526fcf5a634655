"""What `ports.Following` promises."""

from dataclasses import replace
from typing import Any

from pupload.domain import run
from pupload.domain.plan import Parent
from tests.contracts.states import NOON, Bench, a_plan, a_run, created, ended, state

__all__ = ["state"]


async def begun(state: Bench, run_id: str, **fields: Any) -> run.Run:
    return await state.runs.create(created(a_run(run_id, of=replace(a_plan(), **fields))))


async def test_a_followed_run_is_found_when_it_is_over_until_it_is_settled(state: Bench) -> None:
    first = await begun(state, "run_a", followed=True)
    await state.runs.settle("run_a")
    await begun(state, "run_b")
    assert await state.runs.unsettled() == [], "none is over"
    for known in (first, await state.runs.load("run_b")):
        await state.runs.save(ended(known), if_version=1)
    await state.again()
    assert await state.runs.unsettled() == ["run_a"]
    await state.runs.follow("run_b")
    await state.runs.follow("run_none")
    await state.again()
    assert await state.runs.unsettled() == ["run_a", "run_b"]
    assert await state.runs.unsettled(limit=1) == ["run_a"]
    assert await state.runs.unsettled(after="run_a") == ["run_b"]
    await state.runs.settle("run_a")
    await state.runs.settle("run_none")
    assert await state.runs.unsettled() == ["run_b"]
    await state.runs.close("run_b")
    await state.runs.doom("run_b", NOON)
    await state.runs.follow("run_b")
    assert await state.runs.unsettled() == []


async def test_children_are_found_by_the_edges_that_wait_for_them(state: Bench) -> None:
    await begun(state, "run_a")
    for name, edge in [("run_b", "one"), ("run_c", "two"), ("run_d", "")]:
        await begun(state, name, followed=True, parent=Parent(run="run_a", edge=edge, depth=2))
    await begun(state, "run_e", followed=True, parent=Parent(run="run_b", edge="one", depth=3))
    await state.again()
    assert await state.runs.children("run_a") == {"one": "run_b", "two": "run_c"}
    assert await state.runs.children("run_c") == {}
    assert (await state.runs.load("run_d")).plan.parent == Parent(run="run_a", edge="", depth=2)
    await state.runs.save(ended(await state.runs.load("run_c")), if_version=1)
    await state.runs.close("run_c")
    await state.runs.doom("run_c", NOON)
    assert await state.runs.children("run_a") == {"one": "run_b"}
