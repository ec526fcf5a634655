"""The machine's disks, looked at."""

import os
from pathlib import Path

from pupload.adapters.system.disks import SystemDisks


async def test_a_folders_file_system_is_told_as_it_is(tmp_path: Path) -> None:
    (space,) = await SystemDisks({"the data folder": tmp_path}).look()
    found = os.statvfs(tmp_path)
    assert (space.what, space.path) == ("the data folder", str(tmp_path))
    assert space.total_bytes == found.f_blocks * found.f_frsize
    assert 0 <= space.free_bytes <= space.total_bytes


async def test_folders_on_one_file_system_are_told_once_and_what_is_not_there_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    folders = {"first": tmp_path, "second": tmp_path / "other", "third": tmp_path / "missing", "memory": Path("/proc")}
    assert [space.what for space in await SystemDisks(folders).look()] == ["first", "memory"]
