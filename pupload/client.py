"""
A client of the native HTTP surface.

    async with Client("http://127.0.0.1:1234") as client:
        run = await client.start({"Flow": ..., "NodeDefs": [...]})
        await client.upload(run["ID"], "input-image", Path("photo.jpg"))
        run = await client.wait(run["ID"])
        await client.download(run["Artifacts"]["output-image"], Path("small.jpg"))

Answers are the JSON objects of docs/reference/api.md as they came. What the server refuses is raised as the error of
`pupload.errors` that it is there, with the server's sentence. Files pass through in pieces, whatever their size; an
upload or a stream that breaks off goes on where it was.
"""

import asyncio
import hashlib
import hmac
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import IO, Any, BinaryIO, Self
from urllib.parse import quote, urlsplit

import aiohttp

from pupload import errors, refusals
from pupload.domain import mime

Answer = dict[str, Any]
Progress = Callable[[int], None]
"""Told how many more bytes have passed; less than nothing where some must pass again."""

TRIES = 4
"""How often a piece of work that breaks off is begun, the first time included."""

PARTS_AT_ONCE = 2

_PIECE_BYTES = 256 * 1024
_SILENCE_SECONDS = 60.0
"""A stream says that it lives every 15 s."""
_PAUSE_SECONDS = 0.5
_NAME_LENGTH = 120

_BROKEN_OFF = (aiohttp.ClientError, TimeoutError, ConnectionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A server-sent event."""

    kind: str
    data: Answer
    cursor: int | None = None
    id: str = ""
    """Where to go on, be it the cursor or not."""


class Client:
    """Talks to one server. Use it as an async context manager."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        pause_seconds: float = _PAUSE_SECONDS,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        """
        `token` is shown to the server, and to no store that it leads to.

        Raises `errors.Malformed` when `url` is no http address. A silence of `silence_seconds` is an error.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.Malformed(reason=f"{url} is not the address of a server: it looks like http://host:1234")
        self.url = url.rstrip("/")
        self._shown = {"Authorization": f"Bearer {token}"} if token else {}
        self._pause_seconds, self._silence_seconds = pause_seconds, silence_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No deadline for the whole of a request: a file may take hours. Silence is what is not waited out.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._silence_seconds)
        # Whoever waits for a run holds a connection: a bound would leave none to begin or end one with.
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, order: Mapping[str, Any], *, idempotency_key: str | None = None) -> Answer:
        """The new run of `{"Flow", "NodeDefs"}`. Raises `errors.Invalid` with the findings."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._call("POST", "/api/v1/flow/test", order, headers=headers)

    async def validate(self, order: Mapping[str, Any]) -> Answer:
        """`{"Valid", "Findings", "Warnings"}`; nothing runs."""
        return await self._call("POST", "/api/v1/flow/validate", order)

    async def status(self, run_id: str) -> Answer:
        """The run as it stands. Raises `errors.UnknownRun`."""
        return await self._call("GET", f"/api/v1/flow/status/{_step(run_id)}")

    async def items(self, run_id: str, edge: str, *, offset: int = 0, limit: int = 100) -> Answer:
        """The run with a page of the collection on this edge: its `Artifacts` are the items, by their own edges."""
        query = {"edge": edge, "offset": str(offset), "limit": str(limit)}
        return await self._call("GET", f"/api/v1/flow/status/{_step(run_id)}", query=query)

    async def list(
        self, *, status: str = "", flow: str = "", saved: str = "", limit: int = 100, offset: int = 0
    ) -> Answer:
        """A page of runs, newest first, and how many there are in all; `saved` is a saved flow's name or id."""
        query = {"status": status, "flow": flow, "saved": saved, "limit": str(limit), "offset": str(offset)}
        return await self._call("GET", "/api/v1/flow/list", query={name: text for name, text in query.items() if text})

    async def cancel(self, run_id: str, *, mode: str = "kill") -> Answer:
        """The run, being stopped; one that has ended is as it was."""
        return await self._call("POST", f"/api/v1/flow/cancel/{_step(run_id)}", {"Mode": mode})

    async def approve(self, run_id: str, edge: str, *, approve: bool, comment: str = "") -> Answer:
        """The run, told yes or no. Raises `errors.Conflict` where it asks nobody on this edge."""
        said = {"Approve": approve, "Comment": comment}
        return await self._call("POST", f"/api/v1/flow/approve/{_step(run_id)}/{_step(edge)}", said)

    async def question(self, flow: str, value: Any, *, keep: bool = False, wait_seconds: int = 60) -> Answer:
        """What came of a run of the saved flow on the value, or how that stands when the time is over."""
        query, said = {"wait": f"{wait_seconds}s"}, {"Input": value, "Thread": keep}
        return await self._call("POST", f"/api/v1/flow/saved/{_step(flow)}/ask", said, query=query)

    async def why(self, run_id: str, node: str) -> Answer:
        """Why the node ran, or did not: whether its work was done before."""
        return await self._call("GET", f"/api/v1/flow/why/{_step(run_id)}/{_step(node)}")

    async def told(self, what: str, run_id: str, **which: str | int) -> Answer:
        """The `preview` or the `profile` of a file, by `node` or `edge`; of a preview so many `rows`."""
        query = {name: str(value) for name, value in which.items() if value}
        return await self._call("GET", f"/api/v1/flow/{what}/{_step(run_id)}", query=query)

    async def resume(self, run_id: str, *, from_node: str | None = None, idempotency_key: str | None = None) -> Answer:
        """A new run that goes on where this one ended. Raises `errors.Conflict`."""
        asked = {} if from_node is None else {"FromNode": from_node}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._call("POST", f"/api/v1/flow/resume/{_step(run_id)}", asked, headers=headers)

    async def replay(
        self, run_id: str, edits: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Answer:
        """
        A new run of the flow of this one, with `{"From", "Flags", "Set"}` changed; only what that concerns runs.

        Raises `errors.Invalid` with the findings, `errors.Conflict`.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._call("POST", f"/api/v1/flow/replay/{_step(run_id)}", edits or {}, headers=headers)

    async def secrets(self) -> Answer:
        """`{"Secrets"}`: names, and when each was set; no values."""
        return await self._call("GET", "/api/v1/secret/list")

    async def put_secret(self, name: str, value: str) -> Answer:
        """Sets it. Raises `errors.Malformed`."""
        return await self._call("PUT", f"/api/v1/secret/{_step(name)}", {"Value": value})

    async def remove_secret(self, name: str) -> None:
        """Raises `errors.Malformed` where there is none."""
        async with self._request("DELETE", f"/api/v1/secret/{_step(name)}") as response:
            if response.status != 204:
                raise await refusals.of_server(response)

    async def rotate_secrets(self, *, new_key: bool) -> Answer:
        """`{"KeyID"}`: everything kept secret is encrypted anew, with this key."""
        return await self._call("POST", "/api/v1/secret/rotate", {"NewKey": new_key})

    async def callbacks(self, run_id: str) -> Answer:
        """`{"Deliveries"}`: who was told that the run is over, and who could not be."""
        return await self._call("GET", f"/api/v1/flow/callbacks/{_step(run_id)}")

    async def send_callback_again(self, run_id: str, delivery_id: str) -> Answer:
        """The delivery, which is sent again at once. Raises `errors.Malformed` where there is none."""
        return await self._call("POST", f"/api/v1/flow/callbacks/{_step(run_id)}/{_step(delivery_id)}/resend")

    async def purge(self, run_id: str) -> None:
        """The run is gone, with what it made. Raises `errors.UnknownRun`, `errors.Conflict` while it goes on."""
        async with self._request("POST", f"/api/v1/flow/purge/{_step(run_id)}") as response:
            if response.status != 204:
                raise await refusals.of_server(response)

    async def wait(self, run_id: str, *, on_event: Callable[[Event], None] | None = None) -> Answer:
        """
        The run when it has ended. `on_event` is told what happens on the way.

        Listens, rather than asking again and again. Raises `errors.ServerUnreachable` when the server is gone for
        longer than it takes to try `TRIES` times.
        """
        async for event in self.events(run_id):
            if on_event is not None:
                on_event(event)
        return await self.status(run_id)

    def events(self, run_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """What happened in the run and happens, in order, without gaps, until it has ended."""
        return self._follow(f"/api/v1/flow/events/{_step(run_id)}", {"after": str(after)})

    def all_events(self, **which: str) -> AsyncIterator[Event]:
        """What happens in all runs from now on (or `after` a cursor): of a `flow`, of a `run`, with `logs`."""
        return self._follow("/api/v1/flow/events", {name: value for name, value in which.items() if value})

    def follow_logs(self, run_id: str, *, node: str = "", attempt: int = 0, since: int = 0) -> AsyncIterator[Event]:
        """The run's log records (in `data`), those to come as well, until it has ended."""
        query = {"follow": "true", "since": str(since), **_wanted(node, attempt)}
        return self._follow(f"/api/v1/flow/logs/{_step(run_id)}", query)

    async def logs(self, run_id: str, *, node: str = "", attempt: int = 0, since: int = 0) -> Answer:
        """`{"Logs", "Next"}`: all lines so far."""
        query = {"since": str(since), **_wanted(node, attempt)}
        return await self._call("GET", f"/api/v1/flow/logs/{_step(run_id)}", query=query)

    # ── Projects, nodes, health ──────────────────────────────────────────────────────────────────────────────────

    async def push(self, project_id: str, project: Mapping[str, Any]) -> Answer:
        """Stores the project, in place of an earlier one."""
        return await self._call("POST", f"/api/v1/project/{_step(project_id)}", project)

    async def nodes(self) -> Answer:
        """`{"NodeDefs"}`: those the server knows."""
        return await self._call("GET", "/api/v1/node/list")

    async def health(self) -> Answer:
        """`{"status", "version", "lines"}`, also when the server is unwell."""
        async with self._request("GET", "/healthz") as response:
            if response.status in (200, 503):
                return await _json(response)
            raise await refusals.of_server(response)

    # ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def upload(self, run_id: str, edge: str, path: Path, *, on_progress: Progress | None = None) -> Answer:
        """
        Puts the file where the run waits for it, and returns the run, which has looked at it by then.

        One PUT, or parts where the server says so; what is there already of an earlier try is not sent again. Raises
        `errors.NotAwaited`, `errors.Conflict`, `errors.StoreRefused` and what opening the file raises.
        """
        size = await asyncio.to_thread(os.path.getsize, path)
        sent = _Sent(on_progress)
        place = f"/api/v1/upload/{_step(run_id)}/{_step(edge)}"
        for trial in range(TRIES):
            ticket = await self._call("POST", place, {"Size": size})
            try:
                if ticket["UploadID"]:
                    await self._put_parts(ticket, path, sent)
                else:
                    await self._put(ticket["PutURL"], path, 0, size, sent)
                break
            except (*_BROKEN_OFF, errors.TryLater) as error:
                if trial == TRIES - 1:
                    raise refusals.unreachable(ticket["PutURL"] or self.url, error) from error
                await asyncio.sleep(self._pause_seconds * 2**trial)
        asked = {"UploadID": ticket["UploadID"]} if ticket["UploadID"] else {}
        return await self._call("POST", f"{place}/complete", asked)

    async def _put_parts(self, ticket: Answer, path: Path, sent: "_Sent") -> None:
        there = {part["Number"]: part["Size"] for part in ticket["Received"]}
        gate = asyncio.Semaphore(PARTS_AT_ONCE)

        async def put(part: Answer) -> None:
            if there.get(part["Number"]) == part["Size"]:
                sent.have(part["Offset"], part["Size"])
                return
            async with gate:
                await self._put(part["PutURL"], path, part["Offset"], part["Size"], sent)

        tasks = [asyncio.ensure_future(put(part)) for part in ticket["Parts"]]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _put(self, url: str, path: Path, offset: int, size: int, sent: "_Sent") -> None:
        sent.again(offset)
        body = _pieces(path, offset, size, sent) if size else b""
        async with self._open().put(url, data=body, headers={"Content-Length": str(size)}) as response:
            if response.status >= 300:
                raise await refusals.of_store(response)
        sent.have(offset, size)

    async def deliver(self, url: str, path: Path, *, secret: str = "", on_progress: Progress | None = None) -> Answer:
        """
        POSTs the file to a webhook's URL, of an entry of `WaitingURLs` with the method POST; returns the run.

        Signed with `secret` where there is one. Raises `errors.NotAwaited`, `errors.Forbidden`, `errors.TooLarge`.
        """
        size = await asyncio.to_thread(os.path.getsize, path)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if secret:
            headers["X-Pupload-Signature"] = f"sha256={await asyncio.to_thread(_signature, secret, path)}"
        body = _pieces(path, 0, size, _Sent(on_progress)) if size else b""
        try:
            async with self._open().post(url, data=body, headers=headers) as response:
                if response.status != 200:
                    raise await refusals.of_server(response)
                return await _json(response)
        except _BROKEN_OFF as error:
            raise refusals.unreachable(url, error) from error

    # ── Downloads ────────────────────────────────────────────────────────────────────────────────────────────────

    async def download(self, artifact: Answer, path: Path, *, on_progress: Progress | None = None) -> Path:
        """
        Makes the artifact the file `path`, whole or not at all, and returns it.

        Its bytes are held against the size and hash of the artifact. Raises `errors.StoreIntegrity` when they are
        others, `errors.StoreRefused`, and what writing the file raises.
        """
        await asyncio.to_thread(os.makedirs, path.parent, exist_ok=True)
        for trial in range(TRIES):
            received = _Sent(on_progress)
            try:
                with _partial_file(path) as file:
                    async for piece in self._get(artifact):
                        await asyncio.to_thread(file.write, piece)
                        received.more(0, len(piece))
                return path
            except _BROKEN_OFF as error:
                if trial == TRIES - 1:
                    raise refusals.unreachable(artifact["GetURL"], error) from error
                received.again(0)
                await asyncio.sleep(self._pause_seconds * 2**trial)
        raise AssertionError  # the last try returned or raised

    async def _get(self, artifact: Answer) -> AsyncIterator[bytes]:
        digest, size = hashlib.sha256(), 0
        headers = {"Accept-Encoding": "identity"}
        async with self._open().get(artifact["GetURL"], headers=headers) as response:
            if response.status != 200:
                raise await refusals.of_store(response)
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                yield piece
        if size != artifact["Size"] or digest.hexdigest() != artifact["SHA256"]:
            said = f"{size} bytes with SHA-256 {digest.hexdigest()} came"
            raise errors.StoreIntegrity(edge=artifact["EdgeName"], store=artifact["StoreName"], reason=said)

    # ── The wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "a Client is used with `async with`"
        return self._session

    def _request(self, method: str, path: str, **more: Any) -> "_Request":
        shown = {**self._shown, **(more.pop("headers", None) or {})}
        return _Request(self._open(), self.url, method, path, {**more, "headers": shown})

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Mapping[str, str]
    ) -> Answer:
        """What a path answers, with `query` and `headers`; nothing where there is no content. Raises as others do."""
        async with self._request(
            method, path, json=body, params=more.get("query"), headers=more.get("headers")
        ) as response:
            if response.status == 204:
                return {}
            if response.status != 200:
                raise await refusals.of_server(response)
            return await _json(response)

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        async with self._request(method, path, json=body, params=query, headers=headers) as response:
            if response.status != 200:
                raise await refusals.of_server(response)
            return await _json(response)

    async def _follow(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Event]:
        """The events of a stream that is taken up again wherever it breaks off, until its `end`."""
        last = ""
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            try:
                async with self._request("GET", path, params=query, headers=headers) as response:
                    if response.status == 204:
                        return
                    if response.status != 200:
                        raise await refusals.of_server(response)
                    async for event in _events(response):
                        if event.kind == "end":
                            return
                        _check_event(event)
                        failures = 0
                        last = event.id or last
                        yield event
                trouble: Exception = ConnectionError("the stream ended early")
            except (*_BROKEN_OFF, errors.TryLater) as error:
                trouble = error
            failures += 1
            if failures >= TRIES:
                raise refusals.unreachable(self.url, trouble) from trouble
            await asyncio.sleep(self._pause_seconds * 2**failures)


class _Request:
    """A request whose server may not be there."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, method: str, path: str, more: Mapping[str, Any]
    ) -> None:
        self._url = url
        self._answer = session.request(method, url + path, **more)

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            return await self._answer.__aenter__()
        except _BROKEN_OFF as error:
            raise refusals.unreachable(self._url, error) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._answer.__aexit__(kind, error, trace)


def _step(text: str) -> str:
    """A text as one step of a path."""
    return quote(text, safe="")


def _wanted(node: str, attempt: int) -> dict[str, str]:
    return {**({"node": node} if node else {}), **({"attempt": str(attempt)} if attempt else {})}


async def _json(response: aiohttp.ClientResponse) -> Answer:
    try:
        answer = await response.json()
    except (ValueError, *_BROKEN_OFF) as error:
        raise refusals.unreachable(str(response.url.origin()), error) from error
    if not isinstance(answer, dict):
        raise errors.Broken(reason="the server's answer is no object: is it a pupload server?")
    return answer


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """The stream's events; comments are passed over."""
    rest = b""
    async for piece in response.content.iter_any():
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            event = _event(block.decode())
            if event is not None:
                yield event


def _check_event(event: Event) -> None:
    if event.kind == "error":
        raise errors.TryLater(reason=str(event.data.get("error", "the stream ended")))


def _event(block: str) -> Event | None:
    facts = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
    if "data" not in facts:
        return None
    where = facts.get("id", "")
    cursor = int(where) if where.isdecimal() else None
    return Event(kind=facts.get("event", "message"), data=json.loads(facts["data"]), cursor=cursor, id=where)


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Sent:
    """What has been sent of a file, told on as it grows; a part that breaks off is taken back."""

    def __init__(self, tell: Progress | None) -> None:
        self._tell = tell or (lambda _: None)
        self._by_offset: dict[int, int] = {}

    def more(self, offset: int, count: int) -> None:
        self._by_offset[offset] = self._by_offset.get(offset, 0) + count
        self._tell(count)

    def have(self, offset: int, size: int) -> None:
        missing = size - self._by_offset.get(offset, 0)
        if missing:
            self.more(offset, missing)

    def again(self, offset: int) -> None:
        lost = self._by_offset.pop(offset, 0)
        if lost:
            self._tell(-lost)


@contextmanager
def _partial_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes `path` when all went well, and is gone when not."""
    with NamedTemporaryFile(dir=path.parent, prefix=".pupload-", delete=False) as file:
        partial = Path(file.name)
        try:
            yield file.file
            file.close()
            partial.chmod(0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


async def _pieces(path: Path, offset: int, size: int, sent: _Sent) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        left = size
        while left:
            piece = await asyncio.to_thread(_read, file, min(left, _PIECE_BYTES))
            if not piece:
                raise errors.Malformed(reason=f"{path} became shorter while it was read")
            left -= len(piece)
            yield piece
            sent.more(offset, len(piece))


def _signature(secret: str, path: Path) -> str:
    made = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            made.update(piece)
    return made.hexdigest()


def _read(file: BinaryIO, count: int) -> bytes:
    return file.read(count)


def file_name(artifact: Answer) -> str:
    """A name for the artifact's file that is safe in any directory: the edge's, with the extension of its type."""
    name = re.sub(r"[^\w.-]+", "_", artifact["EdgeName"]).strip(".-_")[:_NAME_LENGTH] or "artifact"
    extension = mime.extension(artifact["ContentType"])
    return name if extension and name.lower().endswith(extension) else name + extension
