"""
The process: one store, its S3 port on one or several addresses, its control socket, and how it ends.
"""

import asyncio
import fcntl
import logging
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import web

from pupload.adapters.s3.embedded import control, keys, rows
from pupload.adapters.s3.embedded.front import Front
from pupload.adapters.s3.embedded.room import Limits
from pupload.adapters.s3.embedded.store import Store

_Runner = web.AppRunner | web.ServerRunner

_SHUTDOWN_SECONDS = 5.0
_MOST_CONNECTIONS = 4096
_LONGEST_HEADER = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    data: Path
    hosts: Sequence[str]
    port: int
    control: Path | None = None
    region: str = "us-east-1"
    buckets: Sequence[str] = ()
    """Made at the start where they are not there."""
    domains: Sequence[str] = ("localhost",)
    """Names below which a bucket may be named in a Host."""
    limits: Limits = field(default_factory=Limits)
    lock_seconds: float = 10.0
    """How long another process on the same data may take to end."""


class Locked(Exception):
    """Another process uses the data directory."""


async def serve(settings: Settings, *, clock: Callable[[], datetime], ready: Callable[[str], None]) -> None:
    """Serves until it is told to stop. Calls `ready` with the URL once it does. Raises `Locked`, `OSError`."""
    stop = asyncio.Event()
    _stop_when_told(stop)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = await _lock(settings.data / "lock", settings.lock_seconds)
    try:
        store = Store(settings.data, region=settings.region, limits=settings.limits, clock=clock)
        try:
            await store.open()
            for bucket in settings.buckets:
                await store.commit(lambda change, name=bucket: rows.add_bucket(change, name, now_ms=store.now_ms()))  # type: ignore[misc]
            await _serve(store, settings, stop, ready)
        finally:
            await store.close()
    finally:
        os.close(lock)


async def _serve(store: Store, settings: Settings, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    runners: list[_Runner] = []
    listening: list[asyncio.Server] = []
    try:
        if settings.control is not None:
            runners.append(await _listen_for_engine(store, settings.control))
        front = Front(store, keys.load_or_make(settings.data), settings.domains)
        server = web.Server(
            front,
            access_log=None,
            logger=_silent(),
            auto_decompress=False,
            keepalive_timeout=75,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        runners.append(runner)
        await runner.setup()
        port = settings.port
        most = _connections_at_once()
        backlog = max(1, min(1024, most // 4))  # so many are taken in one go, before any is turned away
        for host in settings.hosts:
            listening.append(
                await asyncio.get_running_loop().create_server(
                    lambda: server() if len(server.connections) < most else _Crowded(), host, port, backlog=backlog
                )
            )
            # With port 0 the first address finds one, and the others share it.
            port = port or listening[0].sockets[0].getsockname()[1]
        host = settings.hosts[0]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await stop.wait()
    finally:
        for listener in listening:
            listener.close()  # takes no more; those that are there are the runner's
        for one in reversed(runners):
            await one.cleanup()


def _connections_at_once() -> int:
    """Half of the files that we may have open: without one left nothing could be read or written."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(_MOST_CONNECTIONS, files // 2))


class _Crowded(asyncio.Protocol):
    """Answers whatever comes, or nothing, as S3 says that it is asked too much."""

    _HEAD = (
        b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
    )
    _BODY = b"<Error><Code>SlowDown</Code><Message>There are too many connections at once.</Message></Error>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._HEAD % len(self._BODY) + self._BODY)
        transport.close()


def _silent() -> logging.Logger:
    """For aiohttp: it repeats requests it cannot read, signatures and all. Our own faults are logged by `front`."""
    silent = logging.getLogger(f"{__name__}.http")
    silent.disabled = True
    return silent


async def _listen_for_engine(store: Store, path: Path) -> _Runner:
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, before anybody is served
    runner = web.AppRunner(control.make(store), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    # The umask makes the socket ours alone from its first moment.
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return runner


async def _lock(path: Path, wait_seconds: float) -> int:
    """Two processes on one directory would sweep each other's blobs away. One that is ending is waited for."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if asyncio.get_running_loop().time() > end:
                os.close(descriptor)
                raise Locked(f"another process uses {path.parent}") from None
        await asyncio.sleep(0.05)


def _stop_when_told(stop: asyncio.Event) -> None:
    """By a signal, or by the end of a stdin that is a pipe: whoever started us holds its other end, and is gone."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
    if descriptor < 0:
        return
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, look)
