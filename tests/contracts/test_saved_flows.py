"""What `ports.SavedFlows` promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain import flow, nodedef, plan, run, saved
from tests.contracts.states import NOON, Bench, a_plan, a_run, created, state

__all__ = ["state"]

DAILY = saved.SavedFlow(
    id="flow_01JD0000000000000000000001",
    namespace="backup",
    name="daily",
    description="Every night, 100% of it",
    tags=("Nightly", "ops_team"),
    created_at=NOON,
    updated_at=NOON,
)
CONTENT = saved.Content(
    flow=flow.Flow(
        name="daily",
        nodes=(flow.Node(id="a", uses="p/n", inputs=(flow.Binding(name="in", edge="e"),)),),
        stores=(flow.Store(name="mine", type="s3", params={"SecretKey": "not for everybody", "UsePathStyle": True}),),
        params=(nodedef.FlagDef(name="width", type="integer", minimum=1.0),),
    ),
    definitions=(nodedef.NodeDef(publisher="p", name="n", command=nodedef.Command(exec=("cp", "a", "b"))),),
)
FIRST = saved.FlowVersion(flow=DAILY.id, number=1, label="1.0.0", at=NOON, message="as it was", origin="daily.yaml")


def another(number: int, **facts: Any) -> saved.SavedFlow:
    """A flow like the first."""
    name = facts.pop("name", f"flow-{number}")
    return replace(DAILY, id=f"flow_01JD{number:022}", name=name, **{"description": "", "tags": (), **facts})


async def test_a_flow_reads_back_after_a_restart(state: Bench) -> None:
    await state.saved.put(DAILY, FIRST, CONTENT)
    await state.again()
    assert await state.saved.get(DAILY.id) == DAILY
    assert await state.saved.called("backup", "daily") == [DAILY]
    assert await state.saved.version(DAILY.id, 1) == (FIRST, CONTENT)
    assert await state.saved.versions(DAILY.id) == [FIRST]


async def test_what_is_not_there_is_told(state: Bench) -> None:
    with pytest.raises(errors.UnknownSavedFlow):
        await state.saved.get(DAILY.id)
    assert await state.saved.called("backup", "daily") == []
    with pytest.raises(errors.UnknownSavedFlow):
        await state.saved.remove(DAILY.id)
    with pytest.raises(errors.UnknownSavedFlow):
        await state.saved.put(replace(DAILY, revision=2))
    with pytest.raises(errors.UnknownVersion):
        await state.saved.version(DAILY.id, 1)
    assert await state.saved.versions(DAILY.id) == []


async def test_a_name_is_given_once(state: Bench) -> None:
    await state.saved.put(DAILY, FIRST, CONTENT)
    with pytest.raises(errors.NameTaken):
        await state.saved.put(another(2, name="daily"))
    await state.saved.put(another(2, name="daily", namespace="backup/nightly"))
    assert (await state.saved.list()).total == 2


async def test_a_new_version_comes_to_those_that_are_there(state: Bench) -> None:
    await state.saved.put(DAILY, FIRST, CONTENT)
    later = replace(DAILY, revision=2, version=2, label="1.0.1", description="otherwise")
    second = replace(FIRST, number=2, label="1.0.1", message="")
    otherwise = replace(CONTENT, definitions=())
    await state.saved.put(later, second, otherwise)
    await state.saved.put(replace(later, revision=3, enabled=False))
    assert await state.saved.get(DAILY.id) == replace(later, revision=3, enabled=False)
    assert await state.saved.versions(DAILY.id) == [second, FIRST]
    assert await state.saved.versions(DAILY.id, limit=1, offset=1) == [FIRST]
    assert (await state.saved.version(DAILY.id, 1))[1] == CONTENT
    assert (await state.saved.version(DAILY.id, 2))[1] == otherwise


async def test_of_those_who_change_a_flow_at_once_one_succeeds(state: Bench) -> None:
    await state.saved.put(DAILY, FIRST, CONTENT)
    changes = [
        (replace(DAILY, revision=2, version=2, description=str(one)), replace(FIRST, number=2, message=str(one)))
        for one in range(4)
    ]
    ends = await asyncio.gather(
        *(state.saved.put(this, version, CONTENT) for this, version in changes), return_exceptions=True
    )
    assert [type(end) for end in ends if end is not None] == [errors.FlowChanged] * 3
    (winner,) = (changes[place] for place, end in enumerate(ends) if end is None)
    assert await state.saved.get(DAILY.id) == winner[0]
    assert await state.saved.versions(DAILY.id) == [winner[1], FIRST]


async def test_flows_are_listed_by_name_and_found_by_what_is_said_of_them(state: Bench) -> None:
    flows = [
        DAILY,
        another(2, name="weekly", enabled=False),
        another(3, name="a", namespace="zoo", source="tree"),
        another(4, name="été", namespace="zoo", description="Über 50% daily"),
    ]
    for each in reversed(flows):
        await state.saved.put(each, replace(FIRST, flow=each.id), CONTENT)

    async def listed(**asked: Any) -> list[str]:
        page = await state.saved.list(**asked)
        assert page.total == len(page.flows)
        return [each.full_name for each in page.flows]

    assert await listed() == ["backup/daily", "backup/weekly", "zoo/a", "zoo/été"]
    assert await listed(namespace="zoo") == ["zoo/a", "zoo/été"]
    assert await listed(source="tree") == ["zoo/a"]
    assert await listed(enabled=False) == ["backup/weekly"]
    assert await listed(enabled=True, namespace="backup") == ["backup/daily"]
    assert await listed(text="DAILY") == ["backup/daily", "zoo/été"]
    assert await listed(text="über") == ["zoo/été"]
    assert await listed(text="0% ") == ["backup/daily", "zoo/été"]
    assert await listed(text="ops_team") == ["backup/daily"]
    assert await listed(text="opsXteam") == []
    assert await listed(text="\\") == []
    page = await state.saved.list(limit=2, offset=1)
    assert ([each.name for each in page.flows], page.total) == (["weekly", "a"], 4)


async def test_what_is_removed_is_gone_with_its_versions(state: Bench) -> None:
    await state.saved.put(DAILY, FIRST, CONTENT)
    await state.saved.remove(DAILY.id)
    assert (await state.saved.list()).total == 0
    with pytest.raises(errors.UnknownVersion):
        await state.saved.version(DAILY.id, 1)
    await state.saved.put(another(2, name="daily"))  # the name is free again


async def test_runs_of_a_saved_flow_are_found(state: Bench) -> None:
    for number in range(3):
        provenance = plan.Provenance(flow=DAILY.id, version=number + 1)
        of = replace(a_plan(), provenance=provenance, labels={"tenant": "one"})
        await state.runs.create(created(a_run(f"run_{number}", of=of, created_at=NOON + timedelta(seconds=number))))
    other = replace(a_plan(), provenance=plan.Provenance(flow="flow_other", version=1))
    await state.runs.create(created(a_run("run_other", of=other)))
    await state.runs.create(created(a_run("run_none")))
    await state.again()
    page = await state.runs.list(flow_id=DAILY.id, limit=2)
    assert ([each.id for each in page.runs], page.total) == (["run_2", "run_1"], 3)
    assert {each.flow_id for each in page.runs} == {DAILY.id}
    assert (await state.runs.list(flow_id=DAILY.id, status=run.Status.COMPLETE)).total == 0
    assert (await state.runs.list(flow_id=DAILY.id, flow="shrink", status=run.Status.WAITING)).total == 3
    assert {each.flow_id for each in (await state.runs.list()).runs} == {DAILY.id, "flow_other", ""}
    loaded = await state.runs.load("run_1")
    assert loaded.plan.provenance == plan.Provenance(flow=DAILY.id, version=2)
    assert loaded.plan.labels == {"tenant": "one"}


async def test_all_flows_are_gone_through_with_their_latest_contents(state: Bench) -> None:
    assert (await state.saved.revisions(), await state.saved.latest()) == ({}, [])
    flows = [another(number) for number in range(5)]
    for each in flows:
        await state.saved.put(each, replace(FIRST, flow=each.id), CONTENT)
    newer = replace(CONTENT, definitions=())
    changed = replace(flows[2], revision=2, version=2)
    await state.saved.put(changed, replace(FIRST, flow=changed.id, number=2), newer)
    told = replace(flows[3], revision=2, description="only that")
    await state.saved.put(told)
    await state.saved.remove(flows[4].id)
    await state.again()
    assert await state.saved.revisions() == {each.id: 1 for each in flows[:2]} | {changed.id: 2, told.id: 2}
    found = [(each, CONTENT) for each in flows[:2]] + [(changed, newer), (told, CONTENT)]
    assert await state.saved.latest() == [(each.id, each, content) for each, content in found]
    assert [flow_id for flow_id, _, _ in await state.saved.latest(limit=2)] == [each.id for each in flows[:2]]
    assert [flow_id for flow_id, _, _ in await state.saved.latest(after=changed.id)] == [told.id]


# ── Whose they are ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_account_has_names_of_its_own(state: Bench) -> None:
    nobodys, second, tenth = (another(number, name="same", account=account) for number, account in THREE.items())
    for flow_ in (tenth, nobodys, second):
        await state.saved.put(flow_)
    await state.again()
    assert await state.saved.called("backup", "same") == [nobodys, second, tenth]
    for number, account in enumerate(THREE.values(), start=7):
        with pytest.raises(errors.NameTaken):
            await state.saved.put(another(number, name="same", account=account))
    await state.saved.put(replace(second, revision=2, public=True))
    assert [each.public for each in await state.saved.called("backup", "same")] == [False, True, False]


async def test_an_account_is_listed_its_own_and_public_ones(state: Bench) -> None:
    for number, account in THREE.items():
        await state.saved.put(another(number, name="same", account=account))
        await state.saved.put(another(number + 3, name="open", account=account, public=True))
    every = await state.saved.list()
    assert [(each.name, each.account) for each in every.flows] == [
        *(("open", account) for account in THREE.values()),
        *(("same", account) for account in THREE.values()),
    ]
    seconds = await state.saved.list(account=2, limit=2, offset=2)
    assert ([(each.name, each.account) for each in seconds.flows], seconds.total) == (
        [("open", 10), ("same", 2)],
        4,
    )
    found = await state.saved.list(account=99, text="open", namespace="backup")
    assert (len(found.flows), found.total) == (3, 3)


THREE = {1: None, 2: 2, 3: 10}
"""Accounts, by the numbers of flows of theirs."""
