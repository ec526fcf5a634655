"""Whatever a node leaves, it goes."""

import os
from pathlib import Path

import pytest

from pupload.engine.clearing import FEW, clear, clear_small, empty


def nest(folder: Path, depth: int) -> None:
    """By handles, for the name of what comes out is longer than any name may be."""
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=inner)
        below = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(inner)
        inner = below
    os.close(inner)


@pytest.mark.parametrize("depth", [1, 100, 5000])
def test_directories_within_each_other_go(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    nest(folder, depth)
    clear(folder)
    assert not folder.exists()


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    folder = tmp_path / "out"
    (folder / "in").mkdir(parents=True)
    for place in (folder, folder / "in"):
        (place / "link").symlink_to(kept)
        (place / "file").hardlink_to(kept / "file")
        os.mkfifo(place / "pipe")
        (place / "-rf").touch()
        (place / "new\nline").touch()
    clear(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "kept"


def test_closed_directories_go(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    for place in (folder / "a" / "b", folder / "a", folder):
        place.chmod(0)
    clear(folder)
    assert not folder.exists()


def test_what_is_not_there_or_no_directory_is_no_fault(tmp_path: Path) -> None:
    clear(tmp_path / "nothing")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    clear(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def an_attempt(folder: Path, *, files: int = 2) -> Path:
    """What is left of one."""
    for place in ("in", "out"):
        (folder / place).mkdir(parents=True)
        for number in range(files):
            (folder / place / f"file {number}").touch(mode=0o444)
    return folder


def test_what_nodes_usually_leave_goes_at_once(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    folder = an_attempt(tmp_path / "attempt")
    (folder / "out" / "link").symlink_to(tmp_path / "kept")
    os.mkfifo(folder / "out" / "pipe")
    (folder / "opened").write_text("!")
    (folder / "link").symlink_to(tmp_path / "kept")
    assert clear_small(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert clear_small(folder), "there is nothing"


def test_what_takes_longer_is_left_to_others(tmp_path: Path) -> None:
    many = an_attempt(tmp_path / "many", files=FEW + 1)
    deep = an_attempt(tmp_path / "deep")
    (deep / "out" / "folder").mkdir()
    beside = an_attempt(tmp_path / "beside")
    for number in range(FEW):
        (beside / f"file {number}").touch()
    (tmp_path / "link").symlink_to(deep)
    for folder in (many, deep, beside, tmp_path / "link"):
        assert not clear_small(folder)
        assert os.path.lexists(folder)
        clear(folder)
        assert not os.path.lexists(folder)


def test_a_directory_that_is_emptied_stays(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "file").write_bytes(b"x")
    (folder / "file").write_bytes(b"x")
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"x")
    (folder / "link").symlink_to(elsewhere)
    empty(folder)
    assert list(folder.iterdir()) == []
    assert (elsewhere / "kept").exists()
    empty(tmp_path / "absent")
