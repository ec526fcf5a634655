"""The collector of cycles."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from pupload.adapters.system import collector


class Circle:
    """Kept alive by itself alone."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def kept() -> Iterator[collector.Collector]:
    before = gc.get_threshold()
    hours = iter([0.0, *[1.0] * 3, 1e6, *[1e6] * 3])
    yield collector.Collector(monotonic=lambda: next(hours))
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_old_is_not_looked_through_again_until_much_later(kept: collector.Collector) -> None:
    circle = Circle()
    alive = weakref.ref(circle)
    gc.collect()
    gc.freeze()
    frozen = gc.get_freeze_count()
    del circle
    assert not kept.look(), "nothing has grown old since"
    for _ in range(collector.OLD):
        gc.collect(1)
    assert kept.look()
    assert gc.get_freeze_count() > frozen / 2, "taken for granted, all of it"
    assert alive() is not None
    kept.look()
    assert kept.look(), "hours have passed"
    assert alive() is None, "nothing is kept for ever"


async def test_it_looks_as_soon_as_there_is_enough_and_not_before() -> None:
    task = asyncio.create_task(collector.Collector().keep())
    await asyncio.sleep(0)
    frozen, circles = gc.get_freeze_count(), [Circle() for _ in range(1000)]
    for looked, _ in enumerate(range(collector.OLD), 1):
        gc.collect(1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (gc.get_freeze_count() >= frozen + len(circles)) == (looked == collector.OLD)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not [one for one in gc.callbacks if one.__module__ == collector.__name__]


async def test_ending_it_leaves_the_process_as_it_was() -> None:
    before = gc.get_threshold()
    task = asyncio.create_task(collector.Collector().keep())
    await asyncio.sleep(0)
    assert gc.get_threshold() == collector.THRESHOLDS
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
