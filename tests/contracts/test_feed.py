"""What `ports.Feed` promises."""

import asyncio
from collections.abc import Sequence

import pytest

from pupload import errors, ports
from pupload.domain import events, run
from pupload.domain.places import Place, read
from tests.contracts.states import NOON, Bench, a_line, a_run, created, ended, moved, state

__all__ = ["state"]


async def told(state: Bench, after: Place, *, logs: bool = True, limit: int = 1000) -> Sequence[ports.News]:
    """All that comes behind the place."""
    found: list[ports.News] = []
    while True:
        page = await state.feed.read(after, logs=logs, limit=limit)
        assert [news.place for news in page.news] == sorted({news.place for news in page.news})
        assert all(after < news.place <= page.place for news in page.news)
        if page.place == after:
            assert not page.held
            return found
        after = page.place
        found += page.news


def named(found: Sequence[ports.News]) -> list[tuple[str, int | str]]:
    return [(n.what.run, n.what.seq if isinstance(n.what, ports.Entry) else n.what.line.message) for n in found]


async def some_runs(state: Bench, count: int = 3) -> list[run.Run]:
    found = []
    for number in range(count):
        last = await state.runs.create(created(a_run(f"run_{number}")))
        found.append(await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version))
        await state.journal.write_logs(f"run_{number}", "resize", 1, [a_line(f"a{number}"), a_line(f"b{number}")])
    return found


async def test_all_runs_events_and_lines_come_in_the_order_in_which_they_were_written(state: Bench) -> None:
    await some_runs(state)
    await state.again()
    found = await told(state, Place())
    every = [("run_", 1), ("run_", 2), ("run_", 3), ("run_", "a"), ("run_", "b")]
    wanted = [(f"{name}{n}", f"{what}{n}" if isinstance(what, str) else what) for n in range(3) for name, what in every]
    assert named(found) == wanted
    assert {news.flow for news in found} == {"shrink"}
    journal = [entry for n in range(3) for entry in await state.journal.read(f"run_{n}")]
    assert [news.what for news in found if isinstance(news.what, ports.Entry)] == journal
    lines = [record for n in range(3) for record in await state.journal.read_logs(f"run_{n}")]
    assert [news.what for news in found if isinstance(news.what, ports.LogRecord)] == lines


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("logs", [True, False])
async def test_from_every_place_the_rest_comes_and_nothing_twice(state: Bench, limit: int, *, logs: bool) -> None:
    await some_runs(state)
    found = await told(state, Place(), logs=logs, limit=limit)
    assert named(found) == named(await told(state, Place(), logs=logs))
    for position, news in enumerate(found):
        place = read(str(news.place))
        assert place is not None
        assert await told(state, place, logs=logs, limit=limit) == found[position + 1 :]


async def test_the_end_is_behind_what_was_and_before_what_comes(state: Bench) -> None:
    assert await state.feed.end() == Place()
    last = (await some_runs(state))[-1]
    end = await state.feed.end()
    assert await told(state, end) == []
    await state.again()
    await state.runs.save(moved(last, "label", run.NodeStatus.READY), if_version=last.version)
    assert named(await told(state, end)) == [("run_2", 4)]


async def test_one_commit_of_very_many_events_comes_whole(state: Bench) -> None:
    first = created(a_run())
    many = tuple(events.NodeReady(node=f"n{number}", attempt=1) for number in range(1200))
    await state.runs.create(run.Decision(run=first.run, events=many, at=NOON, changed_nodes=first.changed_nodes))
    assert named(await told(state, Place(), limit=100)) == [("run_a", seq) for seq in range(1, 1201)]
    page = await state.feed.read(Place(), logs=True, limit=100)
    assert len(page.news) < 1200


async def test_lines_of_many_batches_come_whole(state: Bench) -> None:
    await state.runs.create(created(a_run()))
    end = await state.feed.end()
    await state.journal.write_logs("run_a", "resize", 1, [a_line(f"{number}") for number in range(1300)])
    assert named(await told(state, end)) == [("run_a", f"{number}") for number in range(1300)]


async def test_of_a_run_that_is_purged_nothing_comes_any_more_and_the_places_hold(state: Bench) -> None:
    runs = await some_runs(state)
    middle = await state.runs.save(ended(runs[1]), if_version=runs[1].version)
    found = await told(state, Place())
    inside = next(news.place for news in found if news.what.run == middle.id)
    await state.runs.doom(middle.id, NOON)
    for _ in range(2):
        rest = await told(state, inside)
        assert {news.what.run for news in rest} == {"run_2"}
        assert rest == [news for news in found if news.place > inside and news.what.run != middle.id]
        while not await state.runs.erase(middle.id):
            pass


async def test_what_is_forgotten_is_not_passed_over_in_silence(state: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pupload.adapters.db.feed.TRIMMED", 2)
    await some_runs(state, 5)
    found = await told(state, Place())
    await state.feed.trim(keep=4)
    with pytest.raises(errors.CursorExpired):
        await state.feed.read(found[0].place, logs=True)
    rest = await told(state, found[-3].place)
    assert rest == found[-2:]
    assert await told(state, Place()) == found[-len(await told(state, Place())) :]
    await state.feed.trim(keep=0)
    assert await told(state, await state.feed.end()) == []
    await some_runs_more(state)
    assert len(await told(state, found[-1].place)) == 2


async def some_runs_more(state: Bench) -> None:
    await state.runs.create(created(a_run("run_more")))


@pytest.mark.parametrize("place", [Place(0, 99, 1), Place(10**17, 10**17, 10**8), Place(0, 10**18 - 1, 0)])
async def test_a_place_that_never_was_is_told_from_the_end(state: Bench, place: Place) -> None:
    await some_runs(state, 1)
    with pytest.raises(errors.CursorExpired):
        await state.feed.read(place, logs=True)


async def test_whoever_waits_is_woken_by_every_run(state: Bench) -> None:
    with state.feed.subscribe() as subscription:
        waiting = asyncio.create_task(subscription.wait())
        last = await state.runs.create(created(a_run()))
        async with asyncio.timeout(10):
            await waiting
        waiting = asyncio.create_task(subscription.wait())
        await state.journal.write_logs(last.id, "resize", 1, [a_line("a")])
        async with asyncio.timeout(10):
            await waiting


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "-1.2.3", "a.b.c", "1.2.3 ", "1" * 19 + ".1.1", "\u0661.2.3"]
)
def test_only_a_place_is_read_as_one(text: str) -> None:
    assert read(text) is None


async def test_many_writers_at_once_lose_nothing(state: Bench) -> None:
    async def live(run_id: str) -> None:
        last = await state.runs.create(created(a_run(run_id)))
        for _ in range(5):
            last = await state.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
            await state.journal.write_logs(run_id, "resize", 1, [a_line("x")])

    found: list[ports.News] = []

    async def follow() -> None:
        place = Place()
        with state.feed.subscribe() as subscription:
            while len(found) < 20 * 12:
                page = await state.feed.read(place, logs=True)
                found.extend(page.news)
                if page.place == place:
                    await subscription.wait()
                place = page.place

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(20):
            group.create_task(live(f"run_{number:02}"))
    for number in range(20):
        of_run = [news.what for news in found if news.what.run == f"run_{number:02}"]
        seqs = [what.seq for what in of_run if isinstance(what, ports.Entry)]
        assert seqs == list(range(1, 8))
        assert len(of_run) == 12
