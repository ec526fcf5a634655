"""What follows from runs: however often it is asked, whoever asks, and after whatever went wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain import flow as flows
from pupload.domain.run import Run, Status
from pupload.engine.consequences import LOOK_SECONDS, Consequences
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node
from tests.engine.worlds import Faulty, raises

IMAGE = "pupload/resize:latest"


class Seen:
    """Follows from every run, and remembers how each stood."""

    def __init__(self, *, wrong: int = 0, error: Exception | None = None) -> None:
        self.runs: list[tuple[str, Status, int]] = []
        self.wrong = wrong
        """So often something goes wrong first."""
        self.error = error or RuntimeError("it went wrong")

    def concerns(self, run: Run) -> bool:
        return True

    async def see_to(self, run: Run) -> None:
        self.runs.append((run.id, run.status, len(run.artifacts)))
        if self.wrong:
            self.wrong -= 1
            raise self.error

    def times(self, run: Run, status: Status) -> int:
        return sum(seen[:2] == (run.id, status) for seen in self.runs)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


def followed() -> flows.Flow:
    return a_flow(a_node("a", inputs={"image": "photo"}), on_error="somebody")


async def done(bench: Bench, run: Run) -> Run:
    await bench.upload(run, "photo", b"x")
    return await bench.ended(run)


async def settled(bench: Bench) -> None:
    await bench.until(lambda: not any(book.followed for book in bench.kept.shelf.books.values()), step=0.5)


async def test_a_run_is_seen_when_it_begins_when_something_came_to_be_and_when_it_is_over(bench: Bench) -> None:
    seen = Seen()
    bench.engine.consequences.start([seen])
    run = await done(bench, await bench.start(followed()))
    await settled(bench)
    assert [each[1:] for each in seen.runs] == [(Status.WAITING, 0), (Status.RUNNING, 1), (Status.COMPLETE, 2)]
    before = len(seen.runs)
    await bench.clock.run_for(10 * LOOK_SECONDS)
    assert len(seen.runs) == before, "nothing more follows from it"
    assert seen.times(run, Status.COMPLETE) == 1


async def test_a_run_that_nobody_follows_is_not_looked_at(bench: Bench) -> None:
    seen = Seen()
    bench.engine.consequences.start([seen])
    run = await done(bench, await bench.start(a_flow(a_node("a", inputs={"image": "photo"}))))
    await bench.clock.run_for(10 * LOOK_SECONDS)
    assert seen.runs == []
    await bench.engine.consequences.follow(run.id)
    await settled(bench)
    assert seen.times(run, Status.COMPLETE) == 1


async def test_a_run_that_is_followed_later_on_is_seen_at_its_end(bench: Bench) -> None:
    seen = Seen()
    bench.engine.consequences.start([seen])
    run = await bench.start(a_flow(a_node("a", inputs={"image": "photo"})))
    await bench.engine.consequences.follow(run.id)
    await done(bench, run)
    await bench.until(lambda: seen.times(run, Status.COMPLETE) == 1, step=0.01)
    assert await bench.world.runs.unsettled() == []


@pytest.mark.parametrize("error", [RuntimeError("a bug"), errors.StoreUnavailable(store="default", reason="away")])
async def test_one_that_goes_wrong_is_tried_again_and_keeps_no_other_waiting(bench: Bench, error: Exception) -> None:
    bad, good = Seen(wrong=5, error=error), Seen()
    bench.engine.consequences.start([bad, good])
    run = await done(bench, await bench.start(followed()))
    await settled(bench)
    assert bad.wrong == 0
    assert bad.times(run, Status.COMPLETE) >= 2
    assert good.times(run, Status.COMPLETE) >= 2, "all of it is asked again"


async def test_what_goes_wrong_for_ever_keeps_no_other_run_waiting(bench: Bench) -> None:
    bad = Seen(wrong=1 << 30)
    bench.engine.consequences.start([bad])
    runs = [await done(bench, await bench.start(followed())) for _ in range(40)]
    await bench.clock.run_for(100)
    assert all(bad.times(run, Status.COMPLETE) >= 2 for run in runs)
    most = max(bad.times(run, Status.COMPLETE) for run in runs)
    await bench.clock.run_for(3600)
    assert max(bad.times(run, Status.COMPLETE) for run in runs) - most < 20, "ever more seldom"


async def test_what_was_left_undone_is_found_after_a_restart(bench: Bench) -> None:
    run = await done(bench, await bench.start(followed()))
    other = await bench.start(followed())
    assert await bench.world.runs.unsettled() == [run.id]
    bench = await bench.restarted()
    seen = Seen()
    bench.engine.consequences.start([seen])
    await bench.until(lambda: len(seen.runs) == 2, step=0.1)
    assert {each[:2] for each in seen.runs} == {(run.id, Status.COMPLETE), (other.id, Status.WAITING)}
    await bench.engine.close()


async def test_what_another_server_left_undone_is_found_after_a_while(bench: Bench) -> None:
    run = await done(bench, await bench.start(followed()))
    other = Consequences(runs=bench.kept.as_controller("another").runs, driver=bench.engine.driver, clock=bench.clock)
    bench.engine.driver._me = "another"  # the run is somebody else's by now
    seen = Seen()
    other.start([seen])
    await bench.clock.run_for(LOOK_SECONDS / 2)
    assert seen.runs == [], "its owner is likely to be at it"
    await bench.clock.run_for(2 * LOOK_SECONDS)
    assert seen.times(run, Status.COMPLETE) == 1
    await other.close()


async def test_a_database_that_is_away_puts_it_off(bench: Bench) -> None:
    runs = Faulty(bench.world.runs)
    runs.before["settle"] = raises(errors.DatabaseUnavailable(reason="away"), times=3)
    runs.before["unsettled"] = raises(errors.DatabaseUnavailable(reason="away"), times=2)
    other = Consequences(runs=runs, driver=bench.engine.driver, clock=bench.clock)
    seen = Seen()
    other.start([seen])
    await done(bench, await bench.start(followed()))
    await bench.until(lambda: not any(book.followed for book in bench.kept.shelf.books.values()), step=5.0)
    assert runs.calls.count("settle") == 4
    await other.close()


async def test_a_run_that_cannot_be_read_is_given_up(bench: Bench) -> None:
    run = await done(bench, await bench.start(followed()))
    bench = await bench.restarted()
    runs = Faulty(bench.world.runs)
    runs.before["load"] = raises(errors.Damaged(what=run.id, reason="it was"))
    bench.engine.driver._runs = runs
    seen = Seen()
    bench.engine.consequences.start([seen])
    await settled(bench)
    assert seen.runs == []
    await bench.engine.close()
