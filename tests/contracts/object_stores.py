"""
The stores that the contract suite is run against.

Each is a `Subject`: the store, and what a user with a URL and an HTTP client would do to it. A further server joins by
one more entry in `SUBJECTS`: a context manager that gives a maker of fresh subjects while the server runs.
"""

import asyncio
import io
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp
from testcontainers.core import config, container, image, wait_strategies
from yarl import URL

from pupload import errors, ports
from pupload.adapters.memory import objects
from pupload.adapters.s3 import client, local, places, signing, supervisor
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
    lacks: tuple[str, ...] = ()
    """What the probe rightly finds lacking."""


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
    """As the engine on the same machine has it: links, and arrivals over the control socket."""
    with a_process(folder) as process:

        def store(bucket: str, credentials: signing.Credentials) -> ports.ObjectStore:
            return local.EmbeddedStore(
                name="default",
                endpoint=process.endpoint,
                bucket=bucket,
                credentials=credentials,
                control=process.control,
                clock=clock.SystemClock(),
            )

        yield lambda: subject_of(process.credentials, store)


@contextmanager
def distant(folder: Path) -> Iterator[Callable[[], Subject]]:
    """As any S3 store: bytes over HTTP, nothing but S3."""
    with a_process(folder) as process:

        def store(bucket: str, credentials: signing.Credentials) -> ports.ObjectStore:
            return client.S3Store(
                name="default",
                endpoint=process.endpoint,
                bucket=bucket,
                credentials=credentials,
                clock=clock.SystemClock(),
            )

        yield lambda: subject_of(process.credentials, store)


@contextmanager
def a_process(folder: Path) -> Iterator[supervisor.EmbeddedProcess]:
    """The real process, watched from a loop of its own so that tests may have theirs."""
    with a_loop() as run:
        process = supervisor.EmbeddedProcess(data=folder / "store", clock=clock.SystemClock())
        run(process.start())
        try:
            yield process
        finally:
            run(process.stop())


def subject_of(
    credentials: signing.Credentials, make: Callable[[str, signing.Credentials], ports.ObjectStore]
) -> Subject:
    bucket = f"b{uuid.uuid4().hex}"
    wrong = signing.Credentials(credentials.access_key, "not-the-secret")
    return Subject(make(bucket, credentials), use_over_http, lambda: make(bucket, wrong), 5 << 20)


# ── Ceph's gateway ───────────────────────────────────────────────────────────────────────────────────────────────

RADOSGW = "pupload-test/radosgw:1"


@contextmanager
def radosgw(_: Path) -> Iterator[Callable[[], Subject]]:
    """A server that nobody here has written. Its image is built on pupload/base where it is not there yet."""
    credentials = signing.Credentials("testkey", "testsecret")
    config.testcontainers_config.ryuk_disabled = True
    with image.DockerImage(path=Path(__file__).parent / "radosgw", tag=RADOSGW, clean_up=False) as built:
        served = container.DockerContainer(str(built)).with_tmpfs_mount("/var/lib/ceph/osd", "size=4g")
        served = served.with_exposed_ports(8000).with_envs(
            ACCESS_KEY=credentials.access_key, SECRET_KEY=credentials.secret_key
        )
        with served.waiting_for(wait_strategies.HttpWaitStrategy(8000).with_startup_timeout(120)) as running:
            endpoint = places.Endpoint("http", f"{running.get_container_host_ip()}:{running.get_exposed_port(8000)}")

            def store(bucket: str, credentials: signing.Credentials) -> ports.ObjectStore:
                return client.S3Store(
                    name="default",
                    endpoint=endpoint,
                    bucket=bucket,
                    credentials=credentials,
                    clock=clock.SystemClock(),
                )

            lacks = ("checksum of the store's own",)
            yield lambda: replace(subject_of(credentials, store), lacks=lacks)


# ── For all of them ──────────────────────────────────────────────────────────────────────────────────────────────

SUBJECTS: Mapping[str, Callable[[Path], AbstractContextManager[Callable[[], Subject]]]] = {
    "memory": memory,
    "embedded": embedded,
    "distant": distant,
}
if os.environ.get("PUPLOAD_TEST_RADOSGW"):
    # Asked for in so many words: it takes a container engine, 560 MB of image once, and a minute each time.
    SUBJECTS = {**SUBJECTS, "radosgw": radosgw}


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
