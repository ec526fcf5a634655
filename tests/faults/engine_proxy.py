"""
Stands between a server and its container engine, and spoils what they say to each other.

    with engine_proxy.opened(folder) as proxy:
        server = own_server(PUPLOAD_DOCKER_HOST=proxy.host)
        proxy.now("hangs")   # accepts and never answers, also on connections that are there
        proxy.now("works")   # whoever was kept waiting is hung up on, as by an engine that was started again

`events` is what becomes of each event of the engine's stream: none, itself twice, itself later.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Mood = Literal["works", "hangs", "fails", "hangs up"]

Spoil = Callable[[bytes], Iterable[bytes]]
"""From an event, as it came, to those that are passed on instead."""

_FAILURE = b'{"message": "something is wrong in here"}'
_ANSWER = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_FAILURE), _FAILURE)
)


class Proxy:
    """One socket before the engine's."""

    def __init__(self, path: Path, engine: str) -> None:
        self.host = f"unix://{path}"
        self.events: Spoil = lambda event: (event,)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._engine = engine
        self._mood: Mood = "works"
        self._works = asyncio.Event()
        self._works.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = 0
        """Connections that were taken."""

    def now(self, mood: Mood) -> None:
        """From now on, also on connections that are there; none of these outlives a change but one to hanging."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._change, mood)

    def _change(self, mood: Mood) -> None:
        self._mood = mood
        if mood == "hangs":
            self._works.clear()
            return
        self._works.set()
        for each in self._open:
            each.transport.abort()

    async def serve(self, down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(back)
        self.asked += 1
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(down, back)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either of them hung up, or the test is over
        finally:
            self._open.discard(back)
            back.close()

    async def close(self) -> None:
        """Hangs up on everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        head = await down.readuntil(b"\r\n\r\n")
        await self._works.wait()
        if self._mood == "fails":
            back.write(_ANSWER)
            await back.drain()
            return
        if self._mood == "hangs up":
            return
        answer, up = await asyncio.open_unix_connection(self._engine)
        self._open.add(up)
        try:
            up.write(head)
            asking = asyncio.ensure_future(self._pass(down, up))
            try:
                await (self._pass_events(answer, back) if b"/events?" in head else self._pass(answer, back))
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        finally:
            self._open.discard(up)
            up.close()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._works.wait()
            target.write(data)
            await target.drain()

    async def _pass_events(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """The engine sends each event as a chunk of its own."""
        target.write(await source.readuntil(b"\r\n\r\n"))
        while size := int(await source.readuntil(b"\r\n"), 16):
            event = (await source.readexactly(size + 2))[:-2]
            await self._works.wait()
            for each in self.events(event):
                target.write(b"%x\r\n%s\r\n" % (len(each), each))
                await target.drain()
        target.write(b"0\r\n\r\n")
        await target.drain()


@contextmanager
def opened(folder: Path) -> Iterator[Proxy]:
    """A proxy before the engine of the environment, in a thread of its own; `folder` has a short name."""
    engine = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path
    proxy = Proxy(folder / "proxy.sock", engine)
    ready, over = threading.Event(), asyncio.Event()

    async def run() -> None:
        proxy.loop = asyncio.get_running_loop()
        server = await asyncio.start_unix_server(proxy.serve, folder / "proxy.sock")
        ready.set()
        await over.wait()
        server.close()
        await proxy.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="engine proxy")
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        assert proxy.loop is not None
        proxy.loop.call_soon_threadsafe(over.set)
        thread.join()
