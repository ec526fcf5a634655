"""
Servers for tests. `server` is shared by all that only use it; `own_server` is for those that do something to it. After
both nothing may be left behind: that is part of every test here.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pupload.client import Client
from tests.system.server import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need the engine and are told apart from the quick ones."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one that runs all the time."""
    shared = Server(tmp_path_factory.mktemp("server"), PUPLOAD_GRACE_SECONDS="2")
    shared.start()
    yield shared
    _end(shared)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """A client of the shared server."""
    async with server.client() as found:
        yield found


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers, by their settings, that are the test's own; started."""
    made: list[Server] = []

    def make(**environment: str) -> Server:
        found = Server(tmp_path / f"server{len(made)}", **{"PUPLOAD_GRACE_SECONDS": "2", **environment})
        made.append(found)
        found.start()
        return found

    yield make
    for each in made:
        _end(each)


@contextmanager
def only_here(folder: Path, **environment: str) -> Iterator[Server]:
    """A server with these settings, for the tests of one module; ended like the others."""
    found = Server(folder, **{"PUPLOAD_GRACE_SECONDS": "2", **environment})
    found.start()
    yield found
    _end(found)


def _end(server: Server) -> None:
    """Stops it, and looks whether it left anything or logged what it should not have."""
    try:
        code = server.stop() if server.process is not None else 0
        left = server.left()
        log = server.stderr()
    finally:
        server.remove_containers()
    assert code == 0, log[-2000:]
    assert not left, left
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
    for secret in (server.credentials["secret_key"], "X-Amz-Signature", "token="):
        assert secret not in log
