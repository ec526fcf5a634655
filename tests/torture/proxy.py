"""
A socket between a server and its container engine, which can be made to hang, to refuse, and to hang up.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

PIECE = 1 << 16
ENGINE = "unix:///var/run/docker.sock"


def engine_host() -> str:
    """Where the container engine is."""
    return os.environ.get("DOCKER_HOST") or ENGINE


class Proxy:
    """Passes bytes on, as long as it is let."""

    def __init__(self, path: Path, host: str) -> None:
        """`host` is the engine's, as in DOCKER_HOST: `unix://` or `tcp://`."""
        self.path = path
        self._host = urlsplit(host)
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False

    @property
    def url(self) -> str:
        """For PUPLOAD_DOCKER_HOST."""
        return f"unix://{self.path}"

    async def start(self) -> None:
        """It passes everything on from now on."""
        self._server = await asyncio.start_unix_server(self._accept, self.path)

    async def close(self) -> None:
        """Nobody is connected any more."""
        if self._server is not None:
            self._server.close()
        self._passing.set()
        await self.cut()
        self.path.unlink(missing_ok=True)

    def hang(self) -> None:
        """Accepts, and answers nothing; what was under way stops where it is."""
        self._passing.clear()

    def refuse(self) -> None:
        """Hangs up on everybody who comes."""
        self._refusing = True

    def heal(self) -> None:
        """Passes everything on again."""
        self._refusing = False
        self._passing.set()

    async def cut(self) -> None:
        """Hangs up in the middle of whatever is under way."""
        links = [*self._links]
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            return
        link = asyncio.get_running_loop().create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other: asyncio.StreamWriter | None = None
        try:
            if self._host.scheme == "unix":
                back, other = await asyncio.open_unix_connection(self._host.path)
            else:
                back, other = await asyncio.open_connection(self._host.hostname, self._host.port)
            await asyncio.gather(self._pump(reader, other), self._pump(back, writer))
        except OSError:
            return  # the one or the other is gone
        finally:
            for each in (writer, other):
                if each is not None:
                    each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            await self._passing.wait()
            writer.write(piece)
            await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()
