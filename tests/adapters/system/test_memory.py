"""Folders in memory: found where there are some, and told from those on a disk."""

from pathlib import Path

import pytest

from pupload.adapters.system import memory

MOUNTS = [
    "/dev/sda1 / ext4 rw 0 0",
    "tmpfs /run tmpfs rw,nosuid 0 0",
    "tmpfs /dev/shm tmpfs rw 0 0",
    "/dev/sdb1 /run/disk xfs rw 0 0",
    "tmpfs /with\\040blank tmpfs rw 0 0",
    "/dev/sdc1 /over ext4 rw 0 0",
    "tmpfs /over tmpfs rw 0 0",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/tmp", "ext4"),
        ("/run", "tmpfs"),
        ("/run/user/1000", "tmpfs"),
        ("/runner", "ext4"),
        ("/run/disk/x", "xfs"),
        ("/dev/shm/a", "tmpfs"),
        ("/with blank/a", "tmpfs"),
        ("/over/a", "tmpfs"),
    ],
)
def test_the_kind_is_that_of_the_nearest_mount_and_there_of_the_last(path: str, kind: str) -> None:
    assert memory._kind_at(path, MOUNTS) == kind


def test_a_place_that_is_found_is_in_memory_and_can_be_written_to(tmp_path: Path) -> None:
    place = memory.place()
    if place is None:
        pytest.skip("this machine has no folder in memory")
    assert memory.in_memory(place / "not" / "there")
    scratch = place / tmp_path.name
    scratch.mkdir()
    scratch.rmdir()
    line = memory.check(None)
    assert (line.ok, line.warning) == (True, False)


def test_a_folder_on_a_disk_is_warned_of(tmp_path: Path) -> None:
    if memory.in_memory(tmp_path):
        pytest.skip("the tests' own folder is in memory here")
    line = memory.check(tmp_path / "secrets")
    assert (line.ok, line.warning) == (True, True)
    assert "on a disk" in line.detail


def test_without_a_folder_in_memory_it_is_said_what_that_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "place", lambda: None)
    line = memory.check(None)
    assert (line.ok, line.warning) == (True, True)
    assert "secrets_folder" in line.detail
