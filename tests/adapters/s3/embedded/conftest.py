"""
One store for most tests, and more of them for tests that end theirs.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.adapters.s3.embedded.process import Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A store that all tests share; every test uses keys of its own."""
    # Not pytest's folder: a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    started = Server(folder / "data", folder / "control")
    yield started
    assert started.stop() == 0
    # Whatever the tests did to it, it never was at a loss.
    assert "Traceback" not in started.log(), started.log()
    shutil.rmtree(folder)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts stores, again and again on the same folder if need be; whatever still runs is ended."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    started: list[Server] = []

    def start_one(*options: str, data: Path | None = None, command: tuple[str, ...] | None = None) -> Server:
        more = {} if command is None else {"start": command}
        started.append(Server(data or folder / "data", folder / f"control{len(started)}", *options, **more))
        return started[-1]

    yield start_one
    for one in started:
        one.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def s3(server: Server) -> Iterator["S3Client"]:
    """boto3 with its defaults."""
    client = server.boto()
    yield client
    client.close()


@pytest.fixture
def key() -> str:
    """One that no other test uses."""
    return f"test-{uuid4().hex}"
