"""Tasks that somebody owns."""

import asyncio
import logging

import pytest

from pupload.engine.tasks import Tasks, all_of, both, ended


async def fails() -> None:
    raise KeyError("oh no")


async def test_what_a_task_dies_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.start(fails(), name="the work")
    await tasks.idle()
    assert "the work ended with KeyError" in caplog.text
    assert not len(tasks)


async def test_what_somebody_asked_for_is_theirs_to_hear(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    with pytest.raises(KeyError):
        await tasks.ask(fails(), name="the work")
    tasks.ask(fails(), name="the work")  # and nobody listens
    await tasks.idle()
    assert not caplog.records


async def test_closing_ends_those_too_that_others_start_while_they_end() -> None:
    tasks = Tasks()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.start(asyncio.Event().wait(), name="the last wish")

    tasks.start(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks.close()
    assert not len(tasks)


async def test_all_of_gives_what_each_came_to_in_order() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await all_of(after(turns) for turns in (5, 0, 3)) == [5, 0, 3]


async def test_when_one_fails_the_others_have_ended_before_it_is_told() -> None:
    over: list[str] = []

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            over.append("long")

    with pytest.raises(KeyError):
        await all_of([long(), fails(), fails()])
    assert over == ["long"]


async def test_both_give_what_they_came_to() -> None:
    async def one() -> str:
        await asyncio.sleep(0)
        return "one"

    assert await both(asyncio.ensure_future(one()), asyncio.sleep(0, 2)) == ("one", 2)


async def test_when_either_fails_the_other_has_ended_before_it_is_told() -> None:
    over: list[str] = []

    async def long(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            over.append(name)

    with pytest.raises(KeyError):
        await both(asyncio.ensure_future(long("the task")), fails())
    with pytest.raises(KeyError):
        await both(asyncio.ensure_future(fails()), long("the work"))
    assert over == ["the task", "the work"]


async def test_ended_swallows_what_it_came_to(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    for work in (fails(), asyncio.sleep(0), asyncio.Event().wait()):
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        await ended(task)
        assert task.done()
    assert not caplog.records
