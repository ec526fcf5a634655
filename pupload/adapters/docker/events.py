"""
The engine's event stream, which wakes whoever waits for a container.

One thread reads it. An event carries no truth: it says "look again", and who waits inspects. So events that come twice
or late do no harm; after every reconnect everybody looks; and who waits looks now and then anyway, for events that were
lost.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import docker
import docker.errors
import requests.exceptions

from pupload import errors, ports
from pupload.adapters.docker import ends

_log = logging.getLogger(__name__)

_ACTIONS = ["start", "die", "oom", "kill", "destroy"]
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_LOOK_BACK_SECONDS = 5
_PATIENCE_SECONDS = 1
"""For the thread when closing: one that a silent engine holds is left behind, and ends with the process."""


class Watch:
    """One waiter's view of one container."""

    def __init__(self) -> None:
        self.oom = False
        """Whether the kernel was seen to kill something in it for memory."""
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something may have happened."""
        self._changed.set()

    async def changed(self, *, within_seconds: float) -> bool:
        """Whether something may have happened since the last True; False after that time."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class Events:
    """Wakes watches by container name."""

    def __init__(self, *, label: str, connect: Callable[[], docker.APIClient], clock: ports.Clock) -> None:
        self._label = label
        self._connect = connect
        self._clock = clock
        self._watches: dict[str, set[Watch]] = {}
        self._signals: dict[str, int] = {}
        """The last signal that the engine was asked to send, by container; until that starts again or is gone."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._stream: Any = None
        self._last: int | None = None

    @contextmanager
    def watch(self, name: str) -> Iterator[Watch]:
        """While inside, events of that container wake the watch. Inspect after entering and nothing is missed."""
        self._ensure_running()
        watch = Watch()
        self._watches.setdefault(name, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[name]
            watches.discard(watch)
            if not watches:
                del self._watches[name]

    def signal(self, name: str) -> int | None:
        """The last signal that was seen to be sent to that container through the engine since its start."""
        return self._signals.get(name)

    async def close(self) -> None:
        """The thread ends."""
        self._stopping.set()
        self._break_stream()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _PATIENCE_SECONDS)

    # ── in the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def _ensure_running(self) -> None:
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._read_on, name="engine-events", daemon=True)
            self._thread.start()

    def _wake(self, name: str, action: str, signal: int | None) -> None:
        if signal is not None:
            self._signals[name] = signal
        elif action in ("start", "destroy"):
            self._signals.pop(name, None)
        for watch in self._watches.get(name, ()):
            watch.oom = watch.oom or action == "oom"
            watch.wake()

    def _wake_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _read_on(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                self._read()
                pause = _FIRST_PAUSE
            except (errors.PuploadError, docker.errors.DockerException, requests.exceptions.RequestException) as error:
                _log.warning("the engine's event stream broke: %s", error)
            except Exception:  # noqa: BLE001 - whatever broke it, waiters need the next stream
                # Half a line of JSON when the engine dies, a socket closed under the reader: connect again.
                if not self._stopping.is_set():
                    _log.warning("the engine's event stream broke", exc_info=True)
            self._tell(self._wake_all)
            self._stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _read(self) -> None:
        """Reads until the stream ends. It begins a little in the past, so that no event falls into the gap."""
        since = self._last or int(self._clock.now().timestamp()) - _LOOK_BACK_SECONDS
        filters = {"type": ["container"], "event": _ACTIONS, "label": [self._label]}
        self._stream = self._connect().events(since=since, filters=filters, decode=True)
        try:
            self._tell(self._wake_all)
            for event in self._stream:
                if self._stopping.is_set():
                    return
                self._take(event)
        finally:
            self._break_stream()

    def _take(self, event: dict[str, Any]) -> None:
        self._last = int(event.get("time") or 0) or self._last
        name = event.get("Actor", {}).get("Attributes", {}).get("name", "")
        action = str(event.get("Action", ""))
        signal = ends.signal_of(event)
        self._tell(lambda: self._wake(name, action, signal))

    def _tell(self, what: Callable[[], None]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(what)

    def _break_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(Exception):
                stream.close()
