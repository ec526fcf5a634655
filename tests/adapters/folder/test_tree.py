"""Folders as sources: what is read of them, and what leads out of them."""

import os
import socket
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.folder.tree import FolderSource
from pupload.domain import sources
from pupload.domain.sources import Kind, Source, Tree


def put(root: Path, **files: str) -> None:
    """Files by their paths, `__` for a slash."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def read(root: Path, **more: str) -> Tree:
    """All of the folder."""
    tree = await FolderSource().read(Source(name="local", type=Kind.FS, path=str(root), **more))  # type: ignore[arg-type]
    assert tree is not None
    return tree


def told(tree: Tree) -> dict[str, str]:
    return {each.path: each.text for each in tree.problems}


async def test_files_are_read_in_order_with_all_their_bytes(tmp_path: Path) -> None:
    put(tmp_path, b="two", a__c="one", a__b__d="three")
    (tmp_path / "README.md").write_text("words")
    tree = await read(tmp_path)
    assert [(file.path, file.data) for file in tree.files] == [
        ("a/b/d.yaml", b"three"),
        ("a/c.yaml", b"one"),
        ("b.yaml", b"two"),
    ]
    assert not tree.problems
    assert [file.path for file in (await read(tmp_path, folder="a")).files] == ["b/d.yaml", "c.yaml"]


async def test_the_same_files_are_told_by_their_revision(tmp_path: Path) -> None:
    put(tmp_path, a="one", b="two")
    reader, source = FolderSource(), Source(name="local", type=Kind.FS, path=str(tmp_path))
    tree = await read(tmp_path)
    assert await reader.read(source, known=tree.revision) is None
    revisions = {tree.revision}
    for change in ({"a": "onetwo", "b": ""}, {"a": "One", "b": "two"}, {"ab": ""}):
        put(tmp_path, **change)
        revisions.add((await read(tmp_path)).revision)
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    revisions.add((await read(tmp_path)).revision)
    assert len(revisions) == 5


async def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside, secret="not yours")
    root = tmp_path / "root"
    put(root, mine="mine")
    (root / "link.yaml").symlink_to(outside / "secret.yaml")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(".")
    (root / "notes.txt").symlink_to(outside)
    tree = await read(root)
    assert [file.path for file in tree.files] == ["mine.yaml"]
    assert told(tree) == dict.fromkeys(["folder", "link.yaml", "loop"], "it is a link, which is not followed")
    for folder in ("folder", "loop", "missing", "mine.yaml"):
        with pytest.raises(errors.SourceUnavailable, match="cannot be opened"):
            await read(root, folder=folder)
    (tmp_path / "way").symlink_to(root)  # the operator's own
    assert [file.path for file in (await read(tmp_path / "way")).files] == ["mine.yaml"]


async def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    put(outside, flow="not yours")
    put(root, inner__flow="mine")
    pick = sources.pick

    def swapped(paths: list[str]) -> list[str]:
        """Between looking and reading somebody else is quick."""
        (root / "inner").rename(tmp_path / "gone")
        (root / "inner").symlink_to(outside)
        return pick(paths)

    monkeypatch.setattr(sources, "pick", swapped)
    tree = await read(root)
    assert tree.files == ()
    assert "cannot be read" in told(tree)["inner/flow.yaml"]


async def test_what_is_no_plain_file_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, mine="mine")
    os.mkfifo(tmp_path / "pipe.yaml")
    monkeypatch.chdir(tmp_path)  # paths of sockets must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.yaml")
        (tmp_path / "folder.yaml").mkdir()
        tree = await read(tmp_path)
    assert [file.path for file in tree.files] == ["mine.yaml"]
    assert told(tree)["pipe.yaml"] == "it is no plain file"
    assert "cannot be read" in told(tree)["socket.yaml"]
    assert set(told(tree)) == {"pipe.yaml", "socket.yaml"}


async def test_a_device_is_not_read(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "zero.yaml", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    tree = await read(tmp_path)
    assert not tree.files
    assert set(told(tree)) == {"zero.yaml"}


async def test_what_is_too_large_is_told_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, mine="mine")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "just.yaml").write_bytes(b"x" * sources.MOST_FILE_BYTES)
    deep = tmp_path.joinpath(*["d"] * (sources.MOST_DEPTH + 1))
    deep.mkdir(parents=True)
    tree = await read(tmp_path)
    assert [file.path for file in tree.files] == ["just.yaml", "mine.yaml"]
    assert told(tree)["huge.yaml"] == f"it is larger than {sources.MOST_FILE_BYTES} bytes"
    assert (
        told(tree)["/".join(["d"] * (sources.MOST_DEPTH + 1))] == f"it is more than {sources.MOST_DEPTH} folders deep"
    )
    for name in ("MOST_FILES", "MOST_BYTES", "MOST_ENTRIES"):
        with monkeypatch.context() as patched:
            patched.setattr(sources, name, 1)
            with pytest.raises(errors.SourceUnavailable, match="name a folder in it"):
                await read(tmp_path)


async def test_a_folder_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    put(tmp_path, mine="mine", closed__flow="closed")
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("no name")
    (tmp_path / "closed").chmod(0)
    try:
        tree = await read(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert told(tree)[""] == "a name in it is not UTF-8"
    assert "mine.yaml" in [file.path for file in tree.files]
    if os.geteuid():  # root reads all
        assert "cannot be opened" in told(tree)["closed"]


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(errors.SourceUnavailable) as caught:
            await read(path)
        assert str(path) in str(caught.value)
