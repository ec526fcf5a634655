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

AWAY = (errors.StoreUnavailable, errors.ExecutorUnavailable, errors.DatabaseUnavailable)
"""What passes of itself, and is not the node's fault."""


async def patiently(clock: Clock, ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` comes to, asked again while it raises one of `AWAY`; for `PATIENCE_SECONDS`, then that comes out."""
    try:
        return await ask()
    except AWAY as error:
        first = [error]
    until = clock.monotonic() + PATIENCE_SECONDS

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        wait=wait_exponential(multiplier=0.2, max=10.0),
        stop=lambda _: clock.monotonic() >= until,
        before_sleep=before_sleep_log(log, logging.WARNING),
        sleep=partial(sleep, clock),
        reraise=True,
    ):
        with attempt:
            # What goes well at once, as nearly all does, never pays for the machinery.
            if first:
                raise first.pop()
            return await ask()
    raise AssertionError("unreachable: the last attempt is raised again")
