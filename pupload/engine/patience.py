"""Asking again while the other side does not answer: that is nobody's fault here and may pass."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, wait_exponential

from pupload import errors
from pupload.engine.timers import sleep
from pupload.ports import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 3600.0
"""How long a store, engine or database may be away before that counts as an answer."""

AWAY = (
    errors.StoreUnavailable,
    errors.ExecutorUnavailable,
    errors.DatabaseUnavailable,
    errors.InspectorUnavailable,
)
"""What passes of itself, and is not the node's fault."""


async def patiently(clock: Clock, ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` comes to, asked again while it raises one of `AWAY`; for `PATIENCE_SECONDS`, then that comes out."""
    return await again(clock, ask, AWAY, pauses=(0.2, 10.0), seconds=PATIENCE_SECONDS, log=log)


async def again(
    clock: Clock,
    ask: Callable[[], Awaitable[T]],
    passing: tuple[type[Exception], ...],
    *,
    pauses: tuple[float, float],
    seconds: float = float("inf"),
    log: logging.Logger,
) -> T:
    """
    What `ask` comes to, asked again while it raises what is `passing`.

    `pauses` are the first, in seconds, from which they double, and the longest. `seconds` after the first failure what
    it raises comes out.
    """
    try:
        return await ask()  # what goes well at once, as nearly all does, never pays for the machinery
    except passing as error:
        first = [error]
    until, (multiplier, longest) = clock.monotonic() + seconds, pauses

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(passing),
        wait=wait_exponential(multiplier=multiplier, max=longest),
        stop=lambda _: clock.monotonic() >= until,
        before_sleep=before_sleep_log(log, logging.WARNING),
        sleep=partial(sleep, clock),
        reraise=True,
    ):
        with attempt:
            if first:
                raise first.pop()
            return await ask()
    raise AssertionError("unreachable: the last attempt is raised again")
