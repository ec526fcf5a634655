"""
The stores that the contract suite is run against.

Each is a `Subject`: the store, and what a user with a URL and an HTTP client would do to it. A further server joins by
one more entry in `SUBJECTS`: a context manager that gives a maker of fresh subjects while the server runs.
"""

import asyncio
import io
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp
from yarl import URL

from pupload import errors, ports
from pupload.adapters.memory import objects
from pupload.adapters.s3 import local, signing, supervisor
from pupload.adapters.system import clock

T = TypeVar("T")


class Use(Protocol):
    async def __call__(self, method: str, url: str, data: bytes = b"", *, content_type: str = "") -> "Used": ...


@dataclass(frozen=True, slots=True)
class Used:
    """What came of using a URL."""

    allowed: bool
    body: bytes = b""
    etag: str = ""
    headers: Mapping[str, str] | None = None
    """None where there is no HTTP."""


@dataclass(frozen=True, slots=True)
class Subject:
    store: ports.ObjectStore
    use: Use
    stranger: Callable[[], ports.ObjectStore] | None
    """The same bucket asked with keys that the server does not know; None where nobody is a stranger."""
    smallest_part: int
    """Bytes: what a part that is not the last must have."""


# ── In memory ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def memory(_: Path) -> Iterator[Callable[[], Subject]]:
    yield _memory_subject


def _memory_subject() -> Subject:
    store = objects.Objects(clock=clock.SystemClock())

    async def use(method: str, url: str, data: bytes = b"", *, content_type: str = "") -> Used:
        try:
            answer = await store.use(method, url, data, content_type=content_type)
        except errors.ObjectForbidden:
            return Used(False)
        return Used(True, answer) if method == "GET" else Used(True, etag=answer.decode())

    return Subject(store, use, None, 1)


# ── The embedded store ───────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def embedded(folder: Path) -> Iterator[Callable[[], Subject]]:
    """The real process, watched from a loop of its own so that tests may have theirs."""
    with a_loop() as run:
        process = supervisor.EmbeddedProcess(data=folder / "store", clock=clock.SystemClock())
        run(process.start())
        try:
            yield lambda: embedded_subject(process)
        finally:
            run(process.stop())


def embedded_subject(process: supervisor.EmbeddedProcess) -> Subject:
    bucket = f"b{uuid.uuid4().hex}"

    def store(credentials: signing.Credentials) -> local.EmbeddedStore:
        return local.EmbeddedStore(
            name="default",
            endpoint=process.endpoint,
            bucket=bucket,
            credentials=credentials,
            control=process.control,
            clock=clock.SystemClock(),
        )

    wrong = signing.Credentials(process.credentials.access_key, "not-the-secret")
    return Subject(store(process.credentials), use_over_http, lambda: store(wrong), 5 << 20)


# ── For all of them ──────────────────────────────────────────────────────────────────────────────────────────────

SUBJECTS: Mapping[str, Callable[[Path], AbstractContextManager[Callable[[], Subject]]]] = {
    "memory": memory,
    "embedded": embedded,
}


async def use_over_http(method: str, url: str, data: bytes = b"", *, content_type: str = "") -> Used:
    headers = {"Content-Type": content_type} if content_type else {}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
        session.request(method, URL(url, encoded=True), data=io.BytesIO(data), headers=headers) as response,
    ):
        body = await response.read()
        if response.status == 403:
            return Used(False, body)
        response.raise_for_status()
        return Used(True, body, response.headers.get("ETag", "").strip('"'), dict(response.headers))


@contextmanager
def a_loop() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Runs coroutines in a loop of another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-loop")
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@asynccontextmanager
async def ready(make: Callable[[], Subject]) -> AsyncIterator[Subject]:
    """A subject whose bucket is there, closed at the end."""
    subject = make()
    await subject.store.ensure_ready()
    try:
        yield subject
    finally:
        await subject.store.close()
