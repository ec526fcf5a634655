"""
The embedded store's process: started, waited for, watched, started again when it dies, and ended with us.

Its standard input is held open and nothing is ever written to it: when we are gone, however that came about, it reads
the end of it and stops. Its port stays the same over restarts, so that URLs given out stay good.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pupload import errors, ports
from pupload.adapters.s3 import places, signing

_log = logging.getLogger(__name__)
_LONGEST_SOCKET_PATH = 100
"""Bytes; the system's limit is 108 with the closing zero."""
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_STEADY_SECONDS = 30.0


class EmbeddedProcess:
    """The one process that serves a data folder."""

    def __init__(
        self,
        *,
        data: Path,
        clock: ports.Clock,
        hosts: Sequence[str] = ("127.0.0.1",),
        port: int = 0,
        bucket: str = "pupload",
        options: Sequence[str] = (),
        ready_seconds: float = 30.0,
        stop_seconds: float = 10.0,
    ) -> None:
        """
        `hosts` are the addresses to listen on, `port` 0 any free one. `options` are passed on as they are.

        `stop_seconds` is what it gets between TERM and KILL.
        """
        self.data = data
        self.bucket = bucket
        self._clock = clock
        self._hosts = tuple(hosts)
        self._port = port
        self._options = tuple(options)
        self._ready_seconds = ready_seconds
        self._stop_seconds = stop_seconds
        self._endpoint: places.Endpoint | None = None
        self._credentials: signing.Credentials | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._last_words: deque[str] = deque(maxlen=20)
        self._watching: asyncio.Task[None] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._private: tempfile.TemporaryDirectory[str] | None = None
        self._serving = asyncio.Event()
        self.control = self._control_path()

    @property
    def endpoint(self) -> places.Endpoint:
        """Where the first host listens; known once it was started."""
        if self._endpoint is None:
            raise errors.Broken(reason="the embedded store was asked for its address before it was started")
        return self._endpoint

    @property
    def credentials(self) -> signing.Credentials:
        """This installation's keys; known once it was started."""
        if self._credentials is None:
            raise errors.Broken(reason="the embedded store was asked for its keys before it was started")
        return self._credentials

    @property
    def pid(self) -> int | None:
        """Of the process as it now is; None while there is none."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def serving(self) -> None:
        """Returns when it serves: at once, or when it was started again."""
        await self._serving.wait()

    async def start(self) -> None:
        """Returns when it serves. Raises `errors.Misconfigured` with its last words when it does not come up."""
        self.data.mkdir(parents=True, exist_ok=True)
        await self._launch()
        self._credentials = await asyncio.to_thread(_read_credentials, self.data / "credentials.json")
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """TERM, then KILL. Returns when it is gone; at once where it was never started."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self._end()
        if self._private is not None:
            self._private.cleanup()
            self._private = None

    def _control_path(self) -> Path:
        path = (self.data / "control.sock").absolute()
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        self._private = tempfile.TemporaryDirectory(prefix="pup-", dir="/tmp")
        return Path(self._private.name) / "control.sock"

    async def _launch(self) -> None:
        hosts = [word for host in self._hosts for word in ("--host", host)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # not from the folder we happen to stand in, which may be a user's
            "-m",
            "pupload.adapters.s3.embedded",
            *("--data", str(self.data), *hosts, "--port", str(self._port)),
            *("--control", str(self.control), "--bucket", self.bucket, *self._options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Control-C in a terminal is for us: we end it after the work that needs it.
            start_new_session=True,
        )
        self._last_words.clear()
        try:
            async with asyncio.timeout(self._ready_seconds):
                await self._until_ready(self._process)
        except TimeoutError:
            await self._end()
            reason = f"the embedded store was not ready within {self._ready_seconds:g} seconds{self._words()}"
            raise errors.Misconfigured(reason=reason) from None
        except BaseException:
            await self._end()
            raise

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [asyncio.create_task(self._read_on(process.stderr))]
        while line := await process.stdout.readline():
            word, _, url = line.decode(errors="replace").strip().partition(" ")
            if word == "ready":
                parts = urlsplit(url)
                self._endpoint = places.Endpoint(parts.scheme, parts.netloc)
                self._port = parts.port or self._port
                self._readers.append(asyncio.create_task(self._read_on(process.stdout)))
                self._serving.set()
                return
        code = await process.wait()
        await asyncio.gather(*self._readers)
        raise errors.Misconfigured(reason=f"the embedded store ended at once with exit code {code}{self._words()}")

    async def _read_on(self, stream: asyncio.StreamReader) -> None:
        """Nobody else reads its output; a full pipe would stop it."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # a line longer than any log line
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text)
            _log.info("embedded store: %s", text)

    def _words(self) -> str:
        return f": {' | '.join(list(self._last_words)[-3:])}" if self._last_words else ""

    async def _watch(self) -> None:
        pause = _SHORTEST_PAUSE
        while self._process is not None:
            began = self._clock.monotonic()
            code = await self._process.wait()
            self._serving.clear()
            if self._clock.monotonic() - began > _STEADY_SECONDS:
                pause = _SHORTEST_PAUSE
            _log.error("the embedded store ended (exit code %s)%s; it is started again", code, self._words())
            pause = await self._launch_again(pause)

    async def _launch_again(self, pause: float) -> float:
        """Starts it until that works; returns the pause for the next time."""
        while True:
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            await self._end()
            try:
                await self._launch()
                return pause
            except (errors.Misconfigured, OSError) as error:
                _log.error("the embedded store could not be started again: %s", error)

    async def _end(self) -> None:
        self._serving.clear()
        process, self._process = self._process, None
        if process is not None:
            await _terminate(process, self._stop_seconds)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers = []


async def _terminate(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace_seconds):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _read_credentials(path: Path) -> signing.Credentials:
    try:
        found = json.loads(path.read_bytes())
        return signing.Credentials(found["access_key"], found["secret_key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.Misconfigured(reason=f"the embedded store's keys in {path} cannot be read: {error}") from error
