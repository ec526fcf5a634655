"""
Long reckonings, beside the event loop.

Reading and judging a flow of ten thousand nodes takes a second, and so does deciding what becomes of them when they
are cancelled: everybody else's requests would wait for it. One thread does such work, one piece after another: several
would only take the interpreter from each other, and each holds a large flow in memory. The collector of cycles rests
meanwhile: it would stop everything, the event loop as well, to look for cycles among a million new values that have
none, and takes most of the time if it may.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_SELDOM = 1_000_000
"""Whoever has the oldest values looked through so seldom takes them for granted."""

_MANY = 100_000
"""New values that it would take milliseconds to look through; with fewer there may be as many that are to go."""

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pupload-aside")


async def aside(work: Callable[[], T], *, large: bool) -> T:
    """What `work` returns or raises; done at once, here, unless it is `large`. The work must be a pure function."""
    if not large:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, _without_collector, work)


def _without_collector(work: Callable[[], T]) -> T:
    collects = gc.isenabled()
    gc.disable()
    try:
        return work()
    finally:
        if gc.get_threshold()[2] > _SELDOM and gc.get_count()[0] > _MANY:
            # A process that takes what is old for granted does so with these, and need not look even once. By its
            # thresholds one knows it: counting what is frozen takes as long as looking through it.
            gc.freeze()
        if collects:
            gc.enable()
