"""What `ports.Retention` promises."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from pupload import errors
from pupload.domain import run
from tests.contracts.states import NOON, Bench, a_line, a_run, an_artifact, arrived, created, ended, state

__all__ = ["state"]

HOUR = timedelta(hours=1)


async def _an_ended_run(state: Bench, run_id: str = "run_a", *, key: str | None = None) -> run.Run:
    new = await state.runs.create(created(a_run(run_id)), idempotency_key=key)
    there = await state.runs.save(arrived(new), if_version=1)
    return await state.runs.save(ended(there), if_version=2)


async def _resumed(state: Bench, old: run.Run, run_id: str) -> run.Run:
    new = replace(a_run(run_id), resumed_from=old.id, artifacts=dict(old.artifacts))
    return await state.runs.create(created(new))


async def test_a_run_is_untidied_from_its_end_until_its_moment_is_said(state: Bench) -> None:
    await state.runs.create(created(a_run("run_b")))
    await _an_ended_run(state)
    assert await state.runs.untidied() == ["run_a"]
    await state.runs.plan_tidying({"run_a": NOON, "run_unknown": NOON})
    assert await state.runs.untidied() == []


async def test_a_run_is_due_when_its_moment_has_come_the_longest_overdue_first(state: Bench) -> None:
    for run_id in ("run_a", "run_b", "run_c", "run_d"):
        await _an_ended_run(state, run_id)
    await state.runs.plan_tidying({"run_a": NOON + HOUR, "run_b": NOON, "run_c": None, "run_d": NOON + 2 * HOUR})
    assert await state.runs.next_tidying() == NOON
    assert await state.runs.due_for_tidying(NOON - HOUR) == []
    assert await state.runs.due_for_tidying(NOON + HOUR) == ["run_b", "run_a"]
    assert await state.runs.due_for_tidying(NOON + HOUR, limit=1) == ["run_b"]
    await state.runs.plan_tidying({"run_b": None})
    assert await state.runs.next_tidying() == NOON + HOUR
    assert await state.runs.due_for_tidying(NOON + 9 * HOUR) == ["run_a", "run_d"]


async def test_where_nothing_is_planned_there_is_no_next_moment(state: Bench) -> None:
    assert await state.runs.next_tidying() is None
    await _an_ended_run(state)
    await state.runs.plan_tidying({"run_a": None})
    assert await state.runs.next_tidying() is None


async def test_what_is_gone_is_told_with_the_first_moment_it_was_said(state: Bench) -> None:
    await _an_ended_run(state)
    await state.runs.tidied("run_a", gone=["photo", "no such edge"], at=NOON)
    await state.runs.tidied("run_a", gone=["photo"], at=NOON + HOUR)
    await state.runs.tidied("run_unknown", gone=["photo"], at=NOON)
    await state.again()
    found = await state.runs.load("run_a")
    assert found.gone == {"photo": NOON}
    assert found.artifacts == {"photo": an_artifact()}


async def test_a_doomed_run_does_not_exist_for_anybody(state: Bench) -> None:
    await _an_ended_run(state, key="k")
    await _an_ended_run(state, "run_b")
    await state.runs.doom("run_a", NOON)
    await state.again()
    with pytest.raises(errors.UnknownRun):
        await state.runs.load("run_a")
    page = await state.runs.list()
    assert ([each.id for each in page.runs], page.total) == (["run_b"], 1)
    page = await state.runs.list(status=run.Status.COMPLETE, flow="shrink")
    assert ([each.id for each in page.runs], page.total) == (["run_b"], 1)
    assert (await state.runs.create(created(a_run("run_c")), idempotency_key="k")).id == "run_c"
    with pytest.raises(errors.UnknownRun):
        await state.runs.doom("run_a", NOON)


async def test_a_doomed_run_is_due_until_it_is_erased(state: Bench) -> None:
    before = await _an_ended_run(state)
    await state.runs.plan_tidying({"run_a": NOON + 9 * HOUR})
    await state.runs.doom("run_a", NOON)
    assert await state.runs.doomed(NOON) == ["run_a"]
    assert await state.runs.next_tidying() == NOON
    assert await state.runs.due_for_tidying(NOON) == []
    assert await state.runs.untidied() == []
    assert await state.runs.load_doomed("run_a") == before
    await state.runs.plan_tidying({"run_a": NOON + 9 * HOUR})
    assert await state.runs.doomed(NOON) == ["run_a"], "whoever plans knows nothing of its doom"
    await state.runs.plan_tidying({"run_a": NOON + HOUR}, doomed=True)
    assert await state.runs.doomed(NOON) == []
    assert await state.runs.doomed(NOON + HOUR) == ["run_a"]


async def test_a_run_that_goes_on_is_not_doomed(state: Bench) -> None:
    await state.runs.create(created(a_run()))
    with pytest.raises(errors.NotOver, match="WAITING"):
        await state.runs.doom("run_a", NOON)
    with pytest.raises(errors.UnknownRun):
        await state.runs.doom("run_b", NOON)
    assert (await state.runs.load("run_a")).status is run.Status.WAITING


async def test_a_run_that_is_not_doomed_is_neither_loaded_as_one_nor_erased(state: Bench) -> None:
    await _an_ended_run(state)
    with pytest.raises(errors.UnknownRun):
        await state.runs.load_doomed("run_a")
    assert not await state.runs.erase("run_a")
    assert (await state.runs.load("run_a")).artifacts
    assert await state.runs.erase("run_unknown")


async def test_erasing_goes_on_where_it_stopped_and_leaves_nothing(state: Bench) -> None:
    await _an_ended_run(state)
    for number in range(20):
        await state.journal.write_logs("run_a", "resize", 1, [a_line(f"line {number}")])
    await state.runs.doom("run_a", NOON)
    steps = 0
    while not await state.runs.erase("run_a", rows=3):
        steps += 1
        await state.again()
    assert steps >= 6
    assert await state.journal.read("run_a") == []
    assert await state.journal.read_logs("run_a") == []
    assert await state.runs.doomed(NOON + HOUR) == []
    assert await state.runs.next_tidying() is None
    assert (await state.runs.create(created(a_run()))).version == 1


async def test_kin_is_whoever_goes_back_to_the_same_run(state: Bench) -> None:
    first = await _an_ended_run(state)
    await _resumed(state, first, "run_b")
    second = await state.runs.load("run_b")
    third = await _resumed(state, await state.runs.save(ended(second), if_version=1), "run_c")
    await _an_ended_run(state, "run_x")
    shared = frozenset({("default", an_artifact().key)})
    assert await state.runs.kept_by_kin("run_a") == shared
    await state.runs.tidied("run_b", gone=["photo"], at=NOON)
    assert await state.runs.kept_by_kin("run_c") == shared, "the first still has it"
    await state.runs.doom("run_a", NOON)
    assert await state.runs.kept_by_kin("run_c") == frozenset()
    assert await state.runs.kept_by_kin("run_a") == shared, "the third still needs what the first made"
    assert await state.runs.kept_by_kin("run_b") == shared
    assert await state.runs.kept_by_kin("run_x") == frozenset()
    assert third.artifacts["photo"] == first.artifacts["photo"]


async def test_nobody_builds_on_what_is_gone(state: Bench) -> None:
    old = await _an_ended_run(state)
    await state.runs.tidied("run_a", gone=["photo"], at=NOON)
    with pytest.raises(errors.NotResumable, match="photo"):
        await _resumed(state, old, "run_b")
    await state.runs.create(created(replace(a_run("run_c"), resumed_from="run_a")))  # takes nothing over
    await state.runs.doom("run_a", NOON)
    with pytest.raises(errors.NotResumable, match="purged"):
        await state.runs.create(created(replace(a_run("run_d"), resumed_from="run_a")))
    assert [each.id for each in (await state.runs.list()).runs] == ["run_c"]


async def test_other_terms_open_all_moments_again(state: Bench) -> None:
    async def untidied() -> Sequence[str]:
        return sorted(await state.runs.untidied())

    for run_id in ("run_a", "run_b", "run_c"):
        await _an_ended_run(state, run_id)
    await state.runs.plan_tidying({"run_a": NOON, "run_b": None})
    await state.runs.doom("run_c", NOON)
    assert not await state.runs.agree_on_terms("a week")
    assert await untidied() == ["run_a", "run_b"]
    assert await state.runs.doomed(NOON) == ["run_c"]
    await state.runs.plan_tidying({"run_a": NOON, "run_b": None})
    await state.again()
    assert await state.runs.agree_on_terms("a week")
    assert await untidied() == []
    assert not await state.runs.agree_on_terms("a month")
    assert await untidied() == ["run_a", "run_b"]
