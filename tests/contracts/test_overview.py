"""What `ports.Overview` promises, and `ports.Retention` of many runs at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pupload import errors
from pupload.domain import plan, run
from tests.contracts.states import NOON, Bench, a_plan, a_run, arrived, created, ended, moved, state

__all__ = ["state"]

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 3, 3, tzinfo=UTC)
TICK = timedelta(microseconds=1)
ALL_ENDS = (run.Status.COMPLETE, run.Status.ERROR, run.Status.STOPPED)


async def begun(
    state: Bench, run_id: str, at: datetime, status: run.Status = run.Status.RUNNING, flow: str = ""
) -> str:
    """A run that started then, and has come to that since."""
    provenance = plan.Provenance(flow=flow, version=1) if flow else None
    new = a_run(run_id, of=replace(a_plan(), provenance=provenance), created_at=at - 3 * DAY)
    now = await state.runs.create(created(new))
    now = await state.runs.save(moved(now, "resize", run.NodeStatus.RUNNING, at=at), if_version=1)
    if status is run.Status.WAITING:
        there = arrived(now, at=at + DAY)
        await state.runs.save(replace(there, run=replace(there.run, status=status)), if_version=2)
    elif status.terminal:
        await state.runs.save(ended(now, status, at=at + 5 * DAY), if_version=2)
    return run_id


async def unstarted(state: Bench, run_id: str, status: run.Status | None = None) -> str:
    now = await state.runs.create(created(a_run(run_id)))
    if status is not None:
        await state.runs.save(ended(now, status), if_version=1)
    return run_id


# ── Counting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_runs_are_counted_by_the_day_they_started_and_what_they_came_to(state: Bench) -> None:
    for number, status in enumerate(run.Status):
        await begun(state, f"run_a{number}", NOON, status)
    await begun(state, "run_b", NOON - DAY, run.Status.ERROR)
    await begun(state, "run_c", NOON - 2 * DAY)
    await unstarted(state, "run_d")
    await unstarted(state, "run_e", run.Status.STOPPED)
    await state.again()
    assert await state.runs.days(NOON - DAY) == {
        date(2026, 3, 3): dict.fromkeys(run.Status, 1),
        date(2026, 3, 2): {run.Status.ERROR: 1},
    }
    assert await state.runs.days(NOON + DAY) == {}
    assert await state.runs.statuses(NOON - DAY) == {**dict.fromkeys(run.Status, 1), run.Status.ERROR: 2}


@pytest.mark.parametrize("status", [run.Status.RUNNING, run.Status.COMPLETE])
async def test_a_day_begins_at_midnight_and_ends_just_before_the_next(state: Bench, status: run.Status) -> None:
    for number, at in enumerate([MIDNIGHT - TICK, MIDNIGHT, MIDNIGHT + DAY - TICK, MIDNIGHT + DAY]):
        await begun(state, f"run_{number}", at, status)
    assert await state.runs.days(MIDNIGHT - DAY) == {
        date(2026, 3, 2): {status: 1},
        date(2026, 3, 3): {status: 2},
        date(2026, 3, 4): {status: 1},
    }
    assert await state.runs.days(MIDNIGHT) == {date(2026, 3, 3): {status: 2}, date(2026, 3, 4): {status: 1}}
    assert await state.runs.statuses(MIDNIGHT + TICK) == {status: 2}


async def test_a_run_that_was_purged_is_counted_nowhere(state: Bench) -> None:
    await begun(state, "run_a", NOON, run.Status.ERROR, flow="flow_a")
    await state.runs.doom("run_a", NOON)
    assert await state.runs.days(NOON - DAY) == {}
    assert await state.runs.statuses(NOON - DAY) == {}
    assert await state.runs.failing(NOON - DAY) == []


async def test_a_dry_run_is_counted_nowhere(state: Bench) -> None:
    new = a_run("run_dry", of=replace(a_plan(), ephemeral=True, provenance=plan.Provenance(flow="flow_a", version=1)))
    now = await state.runs.create(created(new))
    now = await state.runs.save(moved(now, "resize", run.NodeStatus.RUNNING, at=NOON), if_version=1)
    assert (await state.runs.under_way(), await state.runs.active()) == ([], 0)
    assert await state.runs.statuses(NOON - DAY) == {}
    await state.runs.save(ended(now, run.Status.ERROR, at=NOON), if_version=2)
    assert (await state.runs.days(NOON - DAY), await state.runs.failing(NOON - DAY)) == ({}, [])
    assert await state.runs.doom_older(NOON + DAY, NOON) == []


async def test_flows_that_failed_are_told_with_those_that_did_most_first(state: Bench) -> None:
    for number, flow in enumerate(["flow_b", "flow_a", "flow_b", "", "flow_c", ""]):
        await begun(state, f"run_{number}", NOON, run.Status.ERROR, flow)
    await begun(state, "run_early", NOON - TICK, run.Status.ERROR, "flow_a")
    await begun(state, "run_well", NOON, run.Status.COMPLETE, "flow_d")
    await begun(state, "run_on", NOON, run.Status.RUNNING, "flow_d")
    assert await state.runs.failing(NOON) == [("flow_b", 2), ("flow_a", 1), ("flow_c", 1)]
    assert await state.runs.failing(NOON, limit=2) == [("flow_b", 2), ("flow_a", 1)]


async def test_what_is_under_way_has_started_and_is_not_over(state: Bench) -> None:
    assert (await state.runs.under_way(), await state.runs.active()) == ([], 0)
    for number, status in enumerate(run.Status):
        await begun(state, f"run_{status.name}", NOON + number * DAY, status)
    await unstarted(state, "run_new")
    assert await state.runs.under_way() == ["run_RUNNING", "run_WAITING"]
    assert await state.runs.under_way(limit=1) == ["run_RUNNING"]
    assert await state.runs.active() == 1


async def test_a_database_has_a_size_where_it_lasts(state: Bench) -> None:
    await unstarted(state, "run_a")
    size = await state.runs.size()
    assert size > 10_000 if state.lasts else size == 0


async def test_kin_are_all_that_go_back_to_the_same_run(state: Bench) -> None:
    await begun(state, "run_a", NOON, run.Status.ERROR)
    for number, (run_id, old) in enumerate([("run_b", "run_a"), ("run_c", "run_b"), ("run_d", "run_a")], start=1):
        new = replace(a_run(run_id, created_at=NOON + number * DAY), resumed_from=old)
        await state.runs.create(created(new))
    await unstarted(state, "run_other")
    assert await state.runs.kin("run_a") == ["run_b", "run_c", "run_d"]
    assert await state.runs.kin("run_c") == ["run_a", "run_b", "run_d"]
    assert await state.runs.kin("run_c", limit=2) == ["run_a", "run_b"]
    assert await state.runs.kin("run_other") == []
    assert await state.runs.kin("run_unknown") == []
    await state.runs.doom("run_a", NOON)
    assert await state.runs.kin("run_b") == ["run_c", "run_d"]


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_old_runs_are_doomed_that_are_over_the_oldest_first(state: Bench) -> None:
    for number, status in enumerate(ALL_ENDS):
        await begun(state, f"run_{number}", NOON - number * DAY, status)
    for status in (run.Status.RUNNING, run.Status.WAITING):
        await begun(state, f"run_{status.name}", NOON - 9 * DAY, status)
    await unstarted(state, "run_new")
    await unstarted(state, "run_never", run.Status.STOPPED)
    assert set(await state.runs.doom_older(NOON, NOON + DAY)) == {"run_1", "run_2"}
    await state.again()
    assert await state.runs.doom_older(NOON, NOON + DAY) == []
    assert await state.runs.doomed(NOON) == []
    assert sorted(await state.runs.doomed(NOON + DAY)) == ["run_1", "run_2"]
    for run_id in ("run_1", "run_2"):
        with pytest.raises(errors.UnknownRun):
            await state.runs.load(run_id)
    page = await state.runs.list()
    assert sorted(each.id for each in page.runs) == ["run_0", "run_RUNNING", "run_WAITING", "run_never", "run_new"]
    assert await state.runs.doom_older(NOON + TICK, NOON + DAY) == ["run_0"]


async def test_they_are_doomed_so_many_at_a_time(state: Bench) -> None:
    for number in range(5):
        await begun(state, f"run_{number}", NOON + number * DAY, run.Status.COMPLETE)
    found = [sorted(await state.runs.doom_older(NOON + 9 * DAY, NOON, limit=2)) for _ in range(4)]
    assert found == [["run_0", "run_1"], ["run_2", "run_3"], ["run_4"], []]


async def test_the_key_of_a_run_that_was_doomed_so_may_be_used_again(state: Bench) -> None:
    new = await state.runs.create(created(a_run("run_a")), idempotency_key="k")
    now = await state.runs.save(moved(new, "resize", run.NodeStatus.RUNNING), if_version=1)
    await state.runs.save(ended(now), if_version=2)
    assert await state.runs.doom_older(NOON + DAY, NOON) == ["run_a"]
    assert (await state.runs.create(created(a_run("run_b")), idempotency_key="k")).id == "run_b"
