"""Who waits in this process for news of a run, whoever writes it. Used from the event loop only."""

import asyncio
from typing import Self


class Hub:
    """Wakes subscribers by run; costs one look-up when nobody listens."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._of_all: dict[str, set[asyncio.Event]] = {}

    def wake(self, run_id: str) -> None:
        """Whoever listens to this run looks again."""
        for written in self._listeners.get(run_id, ()):
            written.set()
        self.wake_feed()

    def wake_feed(self) -> None:
        """Whoever listens to all runs looks again."""
        for written in self._of_all.get("", ()):
            written.set()

    def wake_all(self) -> None:
        """Everybody looks again: news may have been missed."""
        self.wake_feed()
        for run_id in self.runs():
            self.wake(run_id)

    def runs(self) -> list[str]:
        """The runs that somebody listens to."""
        return list(self._listeners)

    def subscribe(self, run_id: str) -> "Subscription":
        """Not listening yet: entering it begins that."""
        return Subscription(self._listeners, run_id)

    def subscribe_to_all(self) -> "Subscription":
        """The same for what is written for any run."""
        return Subscription(self._of_all, "")


class Subscription:
    """`ports.Subscription` to what is written for one run."""

    def __init__(self, listeners: dict[str, set[asyncio.Event]], run_id: str) -> None:
        self._listeners = listeners
        self._run_id = run_id
        self._written = asyncio.Event()

    def __enter__(self) -> Self:
        self._listeners.setdefault(self._run_id, set()).add(self._written)
        return self

    def __exit__(self, *exc: object) -> None:
        others = self._listeners.get(self._run_id, set())
        others.discard(self._written)
        if not others:
            self._listeners.pop(self._run_id, None)

    async def wait(self) -> None:
        """See `ports.Subscription.wait`."""
        await self._written.wait()
        self._written.clear()
