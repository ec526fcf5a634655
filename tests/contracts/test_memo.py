"""What `ports.Memo` promises."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from pupload.domain import memo, run
from tests.contracts import states
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def an_entry(key: str = "k1", *, run_id: str = "run_a", at: float = 0, **fields: Any) -> memo.Entry:
    """Remembered so many seconds after noon."""
    return replace(
        memo.Entry(
            key=key,
            uses="pupload/resize",
            run=run_id,
            source=memo.Source(run=run_id, node="resize", at=NOON),
            components=(memo.component("flag width", "640"), memo.component("image", "sha256:1")),
            made=(memo.Made(port="resized", artifact=states.an_artifact("small")),),
            at=NOON + timedelta(seconds=at),
        ),
        **fields,
    )


async def with_runs(state: Bench, *names: str) -> None:
    for name in names or ("run_a",):
        await state.runs.create(states.created(states.a_run(name)))


async def test_what_was_done_reads_back_after_a_restart(state: Bench) -> None:
    await with_runs(state)
    await state.memo.keep("", [an_entry()])
    await state.again()
    assert await state.memo.find("", "k1") == an_entry()


async def test_what_nobody_did_has_kin_latest_first(state: Bench) -> None:
    await with_runs(state)
    for number in range(5):
        await state.memo.keep("", [an_entry(f"k{number}", at=number)])
    await state.memo.keep("", [an_entry("other", uses="pupload/crop", at=9)])
    assert await state.memo.find("", "nothing") is None
    found = await state.memo.kin("", "pupload/resize", limit=3)
    assert [one.key for one in found] == ["k4", "k3", "k2"]


async def test_what_one_scope_did_is_not_known_in_another(state: Bench) -> None:
    await with_runs(state)
    await state.memo.keep("anna", [an_entry()])
    assert await state.memo.find("bert", "k1") is None
    assert list(await state.memo.kin("bert", "pupload/resize")) == []


async def test_the_latest_takes_the_place_of_an_earlier_one(state: Bench) -> None:
    await with_runs(state, "run_a", "run_b")
    await state.memo.keep("", [an_entry()])
    later = an_entry(run_id="run_b", at=5)
    await state.memo.keep("", [later])
    assert await state.memo.find("", "k1") == later


async def test_it_goes_with_its_run(state: Bench) -> None:
    await with_runs(state, "run_a", "run_b")
    await state.memo.keep("", [an_entry()])
    await state.memo.keep("", [an_entry("k2", run_id="run_b")])
    await state.runs.delete("run_a")
    assert await state.memo.find("", "k1") is None
    found = await state.memo.kin("", "pupload/resize")
    assert [one.key for one in found] == ["k2"]


async def test_nothing_is_remembered_of_a_run_that_is_gone(state: Bench) -> None:
    await state.memo.keep("", [an_entry(run_id="run_nobody")])
    assert await state.memo.find("", "k1") is None


async def test_it_is_forgotten_unless_another_came_in_its_place(state: Bench) -> None:
    await with_runs(state, "run_a", "run_b")
    later = an_entry(run_id="run_b")
    await state.memo.keep("", [later])
    await state.memo.forget("", an_entry())
    assert await state.memo.find("", "k1") == later
    await state.memo.forget("", later)
    assert await state.memo.find("", "k1") is None


async def test_the_old_and_the_many_are_forgotten(state: Bench) -> None:
    await with_runs(state)
    for number in range(6):
        await state.memo.keep("", [an_entry(f"k{number}", at=number)])
    await state.memo.tidy(NOON + timedelta(seconds=2), most=10)
    found = await state.memo.kin("", "pupload/resize")
    assert [one.key for one in found] == ["k5", "k4", "k3", "k2"]
    await state.memo.tidy(NOON, most=3)
    found = await state.memo.kin("", "pupload/resize")
    assert [one.key for one in found] == ["k5", "k4", "k3"]


async def test_a_node_that_missed_reads_back(state: Bench) -> None:
    """What came nearest, saved with its attempt."""
    new = states.a_run()
    nearest = memo.Source(run="run_z", node="resize", at=NOON)
    difference = memo.Difference(component="flag width", now="800", was="640")
    attempt = run.Attempt(number=1, ready_at=NOON, missed=memo.Missed(nearest=nearest, differences=(difference,)))
    node = run.NodeRun(id="resize", status=run.NodeStatus.RUNNING, attempts=(attempt,), source=nearest)
    await state.runs.create(states.created(replace(new, nodes={**new.nodes, "resize": node})))
    await state.again()
    assert (await state.runs.load("run_a")).nodes["resize"] == node
