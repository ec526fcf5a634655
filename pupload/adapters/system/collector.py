"""
The collector of cycles, kept from stopping the event loop for long.

Python looks through all that lives, now and then, for values that only keep each other alive. With thousands of runs in
memory that takes most of a second, and everything waits. Almost nothing here is such a value: runs, plans and events
are trees. So only what is young is looked through as ever. What is older is looked through once, a little at a time,
and then taken for granted; every few hours all of it is looked through, for connections and the like that lived long.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress

THRESHOLDS = (25_000, 2, 1 << 30)
"""New values before the youngest are looked through, how often that is done before the next, and: never by itself."""

OLD = 2
"""So many times the young have grown old: some hundred thousand values, which take some ten milliseconds."""

ALL_SECONDS = 6 * 3600.0
"""How often everything is looked through."""


class Collector:
    """Collects for the process, while it is kept."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """What lives now lives on: modules, classes, settings."""
        self._monotonic = monotonic
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        self._all_at = monotonic() + ALL_SECONDS

    async def keep(self) -> None:
        """Collects until cancelled."""
        loop, grown = asyncio.get_running_loop(), asyncio.Event()

        def told(phase: str, about: dict[str, int]) -> None:
            # Asked every second one would find a million values after a large flow, and nothing after most others.
            if phase == "stop" and about["generation"] == 1 and gc.get_count()[2] >= OLD:
                loop.call_soon_threadsafe(grown.set)

        gc.callbacks.append(told)
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(grown.wait(), ALL_SECONDS)
                grown.clear()
                self.look()
        finally:
            gc.callbacks.remove(told)
            gc.unfreeze()
            gc.set_threshold(*self._before)

    def look(self) -> bool:
        """Collects if it is time to. Returns whether."""
        whole = self._monotonic() >= self._all_at
        if not whole and gc.get_count()[2] < OLD:
            return False
        if whole:
            self._all_at = self._monotonic() + ALL_SECONDS
            gc.unfreeze()
        gc.collect()
        gc.freeze()
        return True
