"""What every inspector promises: the one in memory, and the one with processes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pupload import ports
from pupload.adapters.content.pool import ContentInspector
from pupload.adapters.memory.inspector import MemoryInspector
from pupload.domain import mime
from pupload.domain.facts import Facts
from tests.adapters.content import files


@pytest.fixture(params=["memory", "processes"], scope="module")
def inspector(request: pytest.FixtureRequest) -> Iterator[ports.Inspector]:
    if request.param == "memory":
        yield MemoryInspector()
        return
    made = ContentInspector(processes=1, seconds=30.0)
    yield made
    asyncio.run(made.close())


async def test_pieces_tell_what_is_in_them(inspector: ports.Inspector) -> None:
    data = files.png(40_000, 30_000)
    assert inspector.looks_into("image/png")
    found = await inspector.look([(0, data[:200])], content_type="image/png", size=len(data))
    assert found.facts == Facts(width=40_000, height=30_000)


async def test_so_does_a_file(inspector: ports.Inspector, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(files.png(7, 9))
    found = await inspector.look(path, content_type="image/png", size=path.stat().st_size)
    assert found.facts == Facts(width=7, height=9)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", files.png(2, 2)[:20], b"\xff" * 100])
async def test_what_cannot_be_read_is_no_error_and_has_a_reason(inspector: ports.Inspector, data: bytes) -> None:
    found = await inspector.look([(0, data)], content_type="image/png", size=len(data))
    assert not found.facts.known
    assert found.reason


@pytest.mark.parametrize("kind", ["text/plain", "text/csv", "application/json", mime.UNKNOWN, mime.EMPTY])
async def test_there_is_nothing_to_look_for_in_text_and_plain_bytes(inspector: ports.Inspector, kind: str) -> None:
    assert not inspector.looks_into(kind)


async def test_many_are_looked_into_at_once(inspector: ports.Inspector) -> None:
    pictures = [files.png(width, 5) for width in range(1, 20)]
    found = await asyncio.gather(
        *(inspector.look([(0, data)], content_type="image/png", size=len(data)) for data in pictures)
    )
    assert [one.facts.width for one in found] == list(range(1, 20))
