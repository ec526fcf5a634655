"""What `ports.ArtifactIndex` promises."""

from pupload.domain import run
from tests.contracts.states import NOON, Bench, a_run, an_artifact, arrived, created, ended, state

__all__ = ["state"]


async def with_artifacts(state: Bench, run_id: str, *edges: str) -> run.Run:
    now = await state.runs.create(created(a_run(run_id)))
    for edge in edges:
        now = await state.runs.save(arrived(now, edge), if_version=now.version)
    return now


async def every(state: Bench, *, limit: int) -> list[tuple[str, str]]:
    """All of them, page by page."""
    found: list[tuple[str, str]] = []
    while page := await state.runs.artifacts(after=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found += [(each.run, each.edge) for each in page]
        if len(page) < limit:
            break
    assert await state.runs.artifacts(after=found[-1] if found else None) == []
    return found


async def test_the_newest_runs_come_first_and_of_each_the_edges_in_order(state: Bench) -> None:
    await with_artifacts(state, "run_a", "photo", "b", "b.10", "b.2")
    await with_artifacts(state, "run_c", "photo")
    await with_artifacts(state, "run_d")
    await with_artifacts(state, "run_b", "x", "A")
    await state.again()
    expected = [
        ("run_c", "photo"),
        ("run_b", "A"),
        ("run_b", "x"),
        ("run_a", "b"),
        ("run_a", "b.10"),
        ("run_a", "b.2"),
        ("run_a", "photo"),
    ]
    for limit in range(1, 9):
        assert await every(state, limit=limit) == expected
    (first,) = await state.runs.artifacts(limit=1)
    assert first.artifact == an_artifact("photo")
    assert first.gone_at is None


async def test_an_object_that_is_gone_is_told_as_that(state: Bench) -> None:
    now = await with_artifacts(state, "run_a", "photo", "small")
    await state.runs.save(ended(now), if_version=now.version)
    await state.runs.tidied("run_a", gone=["small"], at=NOON)
    assert [(each.edge, each.gone_at) for each in await state.runs.artifacts()] == [("photo", None), ("small", NOON)]


async def test_nothing_is_told_of_a_run_that_is_doomed(state: Bench) -> None:
    for run_id in ("run_a", "run_b"):
        now = await with_artifacts(state, run_id, "photo")
        await state.runs.save(ended(now), if_version=now.version)
    await state.runs.doom("run_b", NOON)
    assert [each.run for each in await state.runs.artifacts()] == ["run_a"]
    assert await state.runs.edges("run_a", "run_z") == [("run_a", "photo")]


async def test_the_artifacts_of_some_runs_are_found_by_their_ids(state: Bench) -> None:
    for run_id in ("run_a", "run_b0", "run_b1", "run_c"):
        await with_artifacts(state, run_id, "photo", "small")
    assert sorted(await state.runs.edges("run_b0", "run_bZ")) == [
        (run_id, edge) for run_id in ("run_b0", "run_b1") for edge in ("photo", "small")
    ]
    assert await state.runs.edges("run_d", "run_e") == []
