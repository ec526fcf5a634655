"""What `ports.RunStore` and its kin promise of dry runs: who drives one finds it, nobody else; then it is erased."""

from dataclasses import replace

import pytest

from pupload import errors, ports
from pupload.domain import run
from pupload.domain.places import Place
from tests.contracts.states import NOON, Bench, a_line, a_run, created, ended, moved, state

__all__ = ["state"]


def a_dry_run(run_id: str = "run_dry") -> run.Run:
    plain = a_run(run_id)
    return replace(plain, plan=replace(plain.plan, ephemeral=True))


async def begun(state: Bench, run_id: str = "run_dry") -> run.Run:
    """One that has moved and written something."""
    last = await state.runs.create(created(a_dry_run(run_id)))
    last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
    await state.journal.write_logs(run_id, "resize", 1, [a_line("a")])
    return last


async def test_who_drives_it_finds_it_after_a_crash_as_well(state: Bench) -> None:
    last = await begun(state)
    assert await state.runs.load("run_dry") == last
    await state.again()
    assert await state.runs.load("run_dry") == last
    assert last.plan.ephemeral


async def test_nobody_is_shown_it(state: Bench) -> None:
    await state.runs.create(created(a_run("run_real")))
    last = await begun(state)
    for _ in range(2):
        page = await state.runs.list()
        assert ([one.id for one in page.runs], page.total) == (["run_real"], 1)
        assert (await state.runs.list(flow="shrink")).total == 1
        assert (await state.runs.list(status=last.status)).total <= 1
        news = (await state.feed.read(Place(), logs=True)).news
        assert {one.what.run for one in news} == {"run_real"}
        if not last.status.terminal:
            last = await state.runs.save(ended(last), if_version=last.version)


async def test_it_is_not_due_before_it_was_closed(state: Bench) -> None:
    last = await begun(state)
    await state.runs.close("run_dry")
    assert await state.runs.doomed(NOON) == [], "it is not over"
    last = await state.runs.save(ended(last), if_version=last.version)
    assert await state.runs.doomed(NOON) == []
    assert await state.runs.untidied() == []
    with pytest.raises(errors.UnknownRun):
        await state.runs.doom("run_dry", NOON)
    with pytest.raises(errors.UnknownRun):
        await state.runs.load_doomed("run_dry")
    assert not await state.runs.erase("run_dry")
    await state.runs.plan_tidying({"run_dry": NOON})
    await state.runs.agree_on_terms("others")
    assert await state.runs.doomed(NOON) == []
    assert await state.runs.load("run_dry") == last


async def test_it_is_erased_when_it_was_closed(state: Bench) -> None:
    last = await begun(state)
    await state.runs.save(ended(last), if_version=last.version)
    await state.runs.close("run_dry")
    await state.again()
    with pytest.raises(errors.UnknownRun):
        await state.runs.load("run_dry")
    assert await state.runs.doomed(NOON) == ["run_dry"]
    assert await state.runs.next_tidying() is not None
    assert (await state.runs.load_doomed("run_dry")).plan.ephemeral
    assert await state.runs.erase("run_dry")
    with pytest.raises(errors.UnknownRun):
        await state.runs.load_doomed("run_dry")
    assert await state.journal.read("run_dry") == []
    assert await state.journal.read_logs("run_dry") == []
    assert await state.runs.unfinished() == []


async def test_one_that_cannot_be_read_is_due_when_it_is_condemned(state: Bench) -> None:
    await begun(state)
    await state.runs.condemn("run_dry", "it cannot be read", NOON)
    assert await state.runs.doomed(NOON) == ["run_dry"]
    assert await state.runs.erase("run_dry")


async def test_it_is_taken_over_as_long_as_it_is_not_closed(state: Bench) -> None:
    await begun(state)
    heir = ports.Controller(id="heir", name="heir", engine="e", store="s")
    await state.ownership.sign_in(heir, lease_seconds=100)
    assert await state.ownership.take_over() == ["run_dry"]
    assert await state.ownership.owned() == ["run_dry"]
    last = await state.runs.load("run_dry")
    assert last.owner == "heir"
    await state.runs.save(ended(last), if_version=last.version)
    assert await state.ownership.owned() == ["run_dry"], "what it held is still to be given up"
    await state.runs.close("run_dry")
    assert await state.ownership.owned() == []
