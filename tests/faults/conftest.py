"""
What is done to a pupload in these tests is real, and so is the pupload. Each names the fault of
docs/explanation/reliability.md that it injects. Servers are those of `tests/system`, and the same is looked for after
them.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import engines
from tests.system.conftest import client, own_server, server

__all__ = ["client", "own_server", "server"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a server of `tests/system` needs the engine."""
    here = Path(__file__).parent
    servers = {"server", "own_server", "own_engine"}
    for item in items:
        if here in item.path.parents and servers & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.engine)


@pytest.fixture
def own_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.OwnEngine]:
    """An engine that the test may do anything to; its options are given by `indirect` parameters."""
    if reason := engines.lacking():
        pytest.skip(reason)
    # Not under `tmp_path`: the name of a socket may have a hundred letters.
    folder = Path(tempfile.mkdtemp(prefix="pupload-engine-"))
    for engine in engines.made(folder, *getattr(request, "param", ())):
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        yield engine
        monkeypatch.delenv("DOCKER_HOST")
