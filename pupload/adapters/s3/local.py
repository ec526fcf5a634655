"""
The embedded store as the engine sees it: an S3 store that also speaks over a local socket.

Over the socket it tells of arrivals, gives a file by a hard link and takes one by moving it; where the socket does
not answer, bytes go over HTTP as with any store.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from pupload import errors, ports
from pupload.adapters.http import local
from pupload.adapters.s3 import calls, checksums, client, keys, places, signing

HEARTBEAT_SECONDS = 15.0
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_ANSWER_SECONDS = 900.0
_LAST_WAIT_SECONDS = 10.0
"""For a store that is taking over a file nobody wants any more."""

_CORS = (
    b'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule><ID>pupload</ID>'
    b"<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>"
    b"<AllowedOrigin>*</AllowedOrigin><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
    b"<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"
)


class EmbeddedStore(client.S3Store):
    """One bucket of the embedded store on this machine."""

    def __init__(
        self,
        *,
        name: str,
        endpoint: places.Endpoint,
        bucket: str,
        credentials: signing.Credentials | keys.Keys,
        control: Path,
        clock: ports.Clock,
        region: str = "us-east-1",
        public_endpoint: places.Endpoint | None = None,
        node_endpoint: places.Endpoint | None = None,
        single_put_limit: int = client.SINGLE_PUT_BYTES,
        part_bytes: int = client.PART_BYTES,
        attempts: int = calls.ATTEMPTS,
    ) -> None:
        """`control` is the socket's path; it need not be there yet."""
        super().__init__(
            name=name,
            endpoint=endpoint,
            bucket=bucket,
            credentials=credentials,
            clock=clock,
            region=region,
            public_endpoint=public_endpoint,
            node_endpoint=node_endpoint,
            listener=self._listen,
            single_put_limit=single_put_limit,
            part_bytes=part_bytes,
            attempts=attempts,
        )
        self._control = Control(control)

    async def ensure_ready(self) -> None:
        try:
            await self._calls.ask(calls.Call(method="HEAD"))
        except errors.ObjectAbsent:
            await self._calls.ask(calls.Call(method="PUT"))
        headers = {"Content-MD5": checksums.content_md5(_CORS), "Content-Type": "application/xml"}
        await self._calls.ask(calls.Call(method="PUT", query=(("cors", ""),), headers=headers, body=_CORS))

    async def fetch(self, key: str, path: Path, *, if_etag: str | None = None, size: int | None = None) -> str | None:
        self._calls.path_of(key)
        order = {"bucket": self.bucket.name, "key": key, "path": _absolute(path)}
        if if_etag is not None:
            order["if_etag"] = if_etag
        try:
            await self._link(order, path)
        except ControlSilent:
            return await super().fetch(key, path, if_etag=if_etag, size=size)
        except ControlRefused as refused:
            raise self._turn(refused, key, path) from refused
        return None

    async def fetch_files(self, wanted: Sequence[ports.Wanted]) -> Sequence[str | None]:
        """See `ports.GivesMany`."""
        for one in wanted:
            self._calls.path_of(one.key)
        files = [{"key": one.key, "path": _absolute(one.path), "if_etag": one.if_etag} for one in wanted]
        try:
            await self._control.ask("/link-all", {"bucket": self.bucket.name, "files": files})
        except (ControlSilent, ControlRefused):
            # One by one: each tells what it is that cannot be.
            return [await self.fetch(one.key, one.path, if_etag=one.if_etag, size=one.size) for one in wanted]
        return [None for _ in wanted]

    async def _link(self, order: Mapping[str, str], path: Path) -> None:
        try:
            await self._control.ask("/link", order)
        except ControlRefused as refused:
            if refused.code != "InvalidArgument" or not await asyncio.to_thread(path.exists):
                raise
            # A file that an earlier attempt left there: links, unlike renames, do not take a file's place.
            await asyncio.to_thread(path.unlink)
            await self._control.ask("/link", order)

    async def lend(self, key: str, path: Path) -> bool:
        """See `ports.Lends`."""
        self._calls.path_of(key)
        try:
            await self._link({"bucket": self.bucket.name, "key": key, "path": _absolute(path)}, path)
        except ControlSilent:
            return False
        except ControlRefused as refused:
            raise self._turn(refused, key, path) from refused
        return True

    async def seal(self, source: str, target: str, *, head_bytes: int, most_bytes: int) -> ports.Sealed | None:
        """See `ports.SealsAtOnce`."""
        for key in (source, target):
            self._calls.path_of(key)
        order = {
            "bucket": self.bucket.name,
            "key": source,
            "target": target,
            "head_bytes": str(head_bytes),
            "most_bytes": str(most_bytes),
        }
        try:
            found, head = await self._control.ask_for_bytes("/seal", order)
        except ControlSilent:
            return None
        except ControlRefused as refused:
            if refused.code == "EntityTooLarge":
                raise errors.TooLarge(what="the object", limit=most_bytes) from refused
            raise self._turn(refused, source, self._control.path) from refused
        return ports.Sealed(stat=_stat(target, found), head=head)

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ports.ObjectStat:
        self._calls.path_of(key)
        order = {
            "bucket": self.bucket.name,
            "key": key,
            "path": _absolute(path),
            "content_type": content_type,
        }
        try:
            found = await self._adopt(order)
        except ControlSilent as silent:
            if await asyncio.to_thread(path.exists):
                return await super().put_file(key, path, content_type=content_type)
            return await self._adopted_before(key, silent)
        except ControlRefused as refused:
            if refused.code == "InvalidArgument" and await asyncio.to_thread(path.is_file):
                # A file with a second name cannot be taken over: whoever has that name could write to it.
                return await super().put_file(key, path, content_type=content_type)
            raise self._turn(refused, key, path) from refused
        return _stat(key, found)

    async def put_files(self, files: Sequence[ports.Given]) -> Sequence[ports.ObjectStat]:
        """See `ports.TakesMany`."""
        for file in files:
            self._calls.path_of(file.key)
        given = [{"key": file.key, "path": _absolute(file.path), "content_type": file.content_type} for file in files]
        try:
            told = await self._adopt({"bucket": self.bucket.name, "files": given}, "/adopt-all")
        except (ControlSilent, ControlRefused) as problem:
            # One by one: each tells what it is that cannot be.
            return [await self._put_again(file, problem) for file in files]
        return [_stat(file.key, found) for file, found in zip(files, told["files"], strict=True)]

    async def _put_again(self, file: ports.Given, problem: "ControlSilent | ControlRefused") -> ports.ObjectStat:
        if await asyncio.to_thread(os.path.lexists, file.path):
            return await self.put_file(file.key, file.path, content_type=file.content_type)
        try:
            return await self._adopted_before(file.key, problem)
        except errors.StoreUnavailable:
            if isinstance(problem, ControlRefused):
                raise self._turn(problem, file.key, file.path) from problem
            raise

    async def _adopt(self, order: Mapping[str, Any], what: str = "/adopt") -> dict[str, Any]:
        """The store's answer. Whoever is cancelled waits for it all the same: the store has the file then, or not."""
        asking = asyncio.ensure_future(self._control.ask(what, order))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait({asking}, timeout=_LAST_WAIT_SECONDS)
            asking.cancel()
            raise

    async def _adopted_before(self, key: str, silent: Exception) -> ports.ObjectStat:
        """The store fell silent with the file in its hands: whether it kept it, it tells itself."""
        try:
            stat = await self.stat(key)
        except errors.ObjectAbsent:
            raise self._calls.unavailable("it went away while it took over a file") from silent
        if stat.sha256 is None:
            raise self._calls.unavailable("it does not tell the SHA-256 of a file it took over") from silent
        return stat

    def _turn(self, refused: "ControlRefused", key: str, path: Path) -> errors.PuploadError:
        if refused.status == 404:
            return errors.ObjectAbsent(key=key, store=self.name)
        if refused.status == 412:
            return errors.PreconditionFailed(key=key, store=self.name)
        if refused.status == 507:
            return errors.DiskFull(path=str(path))
        if refused.status >= 500:
            return self._calls.unavailable(refused.message)
        return errors.StoreRefused(store=self.name, code=refused.code, reason=refused.message)

    async def _listen(self) -> AsyncGenerator[str, None]:
        after: int | None = None
        pause = _SHORTEST_PAUSE
        while True:
            try:
                async with aclosing(self._control.arrivals(after)) as lines:
                    async for line in lines:
                        pause = _SHORTEST_PAUSE
                        # The first line ever says from where it tells; after a reset its memory begins anew.
                        has_gap = after is None or line.get("reset", False)
                        after = line.get("seq", after)
                        if has_gap:
                            yield ""
                        elif line.get("bucket") == self.bucket.name:
                            yield line["key"]
            except ControlSilent:
                pass  # it is asked again, from where it fell silent
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        await self._control.close()
        await super().close()


class ControlSilent(Exception):
    """The control socket does not answer, or stopped in the middle."""


class ControlRefused(Exception):
    """The store answered no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Control:
    """The embedded store's control socket: JSON over HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = local.Connections(path)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, what: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """What it answers. Raises `ControlSilent`, `ControlRefused`."""
        return _read_object(await self._ask(what, order))

    async def ask_for_bytes(self, what: str, order: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The same where bytes follow the answer's first line."""
        line, _, rest = (await self._ask(what, order)).partition(b"\n")
        return _read_object(line), rest

    async def _ask(self, what: str, order: Mapping[str, Any]) -> bytes:
        # Hashing a file it takes over takes the store as long as the file is large.
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._local.ask("POST", what, body=json.dumps(order).encode())
        except OSError as error:  # and so is the time that is over
            raise ControlSilent(str(error)) from error
        if answer.status >= 300:
            told = _read_object(answer.body)
            code, message = str(told.get("code", "")), str(told.get("message", ""))
            raise ControlRefused(answer.status, code or f"HTTP {answer.status}", message)
        return answer.body

    async def arrivals(self, after: int | None) -> AsyncGenerator[dict[str, Any], None]:
        """Lines as they come, for as long as the connection lasts. Raises `ControlSilent` when it ends in trouble."""
        patience = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=HEARTBEAT_SECONDS * 3)
        query = {} if after is None else {"after": str(after)}
        try:
            async with self._connected().get("http://store/arrivals", params=query, timeout=patience) as response:
                if response.status != 200:
                    raise ControlSilent(f"HTTP status {response.status}")
                async for line in response.content:
                    if line.strip():
                        yield _read_object(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ControlSilent(str(error)) from error

    async def close(self) -> None:
        """Gives up the connections."""
        self._local.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=os.fspath(self.path), limit=64))
        return self._session


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _stat(key: str, found: Mapping[str, Any]) -> ports.ObjectStat:
    return ports.ObjectStat(
        key=key,
        size=found["size"],
        etag=found["etag"].strip('"'),
        content_type=found["content_type"],
        modified_at=datetime.fromtimestamp(found["modified_ms"] // 1000, UTC),
        sha256=found["sha256"],
    )


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ControlSilent("the control socket's answer cannot be read")
    return found
