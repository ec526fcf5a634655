"""Node types in folders."""

import asyncio
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.folder.catalogue import FolderCatalogue
from pupload.domain.nodedef import NodeDef
from tests.builders import a_definition


class Reader:
    """Reads a definition whose file holds nothing but its image; `bad` is no definition."""

    def __init__(self) -> None:
        self.read: list[Path] = []

    def __call__(self, path: Path) -> NodeDef:
        self.read.append(path)
        if path.read_text() == "bad":
            raise errors.Malformed(reason="it is bad")
        return a_definition(f"{path.parts[-3]}/{path.parts[-2]}", image=path.read_text())


def put(folder: Path, uses: str, text: str = "image:1") -> None:
    (folder / uses).mkdir(parents=True)
    (folder / uses / "node.yaml").write_text(text)


async def test_every_type_is_found_by_its_name(tmp_path: Path) -> None:
    for uses in ("b/two", "a/one", "b/one"):
        put(tmp_path, uses)
    catalogue = FolderCatalogue([tmp_path], Reader())
    assert [found.uses for found in await catalogue.all()] == ["a/one", "b/one", "b/two"]
    found = await catalogue.find("b/two")
    assert found is not None
    assert found.uses == "b/two"
    assert await catalogue.find("b/three") is None


async def test_the_first_folder_wins(tmp_path: Path) -> None:
    put(tmp_path / "own", "a/one", "own:1")
    put(tmp_path / "shipped", "a/one", "shipped:1")
    put(tmp_path / "shipped", "a/two", "shipped:2")
    catalogue = FolderCatalogue([tmp_path / "own", tmp_path / "shipped", tmp_path / "nowhere"], Reader())
    assert [found.image for found in await catalogue.all()] == ["own:1", "shipped:2"]


async def test_a_bad_file_is_seen_and_spoils_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "a/bad", "bad")
    put(tmp_path, "a/good")
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "loose.yaml").write_text("bad")
    catalogue = FolderCatalogue([tmp_path], Reader())
    assert [found.uses for found in await catalogue.all()] == ["a/good"]
    assert "a/bad/node.yaml cannot be read: it is bad" in caplog.text


async def test_the_folders_are_read_once_however_many_ask(tmp_path: Path) -> None:
    put(tmp_path, "a/one")
    reader = Reader()
    catalogue = FolderCatalogue([tmp_path], reader)
    assert not reader.read
    await asyncio.gather(*(catalogue.find("a/one") for _ in range(20)), catalogue.all())
    assert len(reader.read) == 1
