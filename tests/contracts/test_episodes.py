"""What `ports.Episodes` promises."""

from dataclasses import replace
from datetime import timedelta

from pupload.domain import plan, run
from tests.contracts.states import NOON, Bench, a_plan, a_run, created, ended, state

__all__ = ["state"]


async def over(state: Bench, number: int, *, account: int | None = None, flow: str = "") -> run.Run:
    of = a_plan()
    of = replace(of, account=account, provenance=plan.Provenance(flow=flow, version=1) if flow else None)
    made = await state.runs.create(created(a_run(f"run_{number}", of=of, created_at=NOON + timedelta(minutes=number))))
    return await state.runs.save(ended(made), if_version=made.version)


async def ids(state: Bench, **asked: object) -> list[str]:
    return [each.id for each in (await state.episodes.list(**asked)).runs]  # type: ignore[arg-type]


async def test_runs_that_are_over_are_episodes_until_they_are_forgotten(state: Bench) -> None:
    await over(state, 1, account=1)
    await over(state, 2, account=2, flow="flow_a")
    await over(state, 3, account=1, flow="flow_a")
    await state.runs.create(created(a_run("run_4")))
    assert await ids(state) == ["run_3", "run_2", "run_1"]
    assert await ids(state, account=1) == ["run_3", "run_1"]
    assert await ids(state, account=1, flow_id="flow_a") == ["run_3"]
    assert await ids(state, limit=1, offset=1) == ["run_2"]
    await state.episodes.forget(["run_2", "run_3", "run_9"], account=1)
    await state.episodes.forget(["run_3"])
    await state.again()
    assert await ids(state) == ["run_2", "run_1"]
    assert (await state.episodes.list()).total == 2
    assert (await state.runs.load("run_3")).id == "run_3"
    await state.runs.doom("run_2", NOON)
    assert await ids(state) == ["run_1"]
