from pathlib import Path

import pytest

from pupload.adapters.docker import cgroup

ID = "ab" * 32


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def joined(machine: Path, lines: str) -> None:
    (machine / "proc/7/cgroup").write_text(lines)


def has(machine: Path, path: str, text: str) -> None:
    file = machine / "cgroup" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def groups(machine: Path) -> cgroup.Groups:
    return cgroup.Groups(proc=machine / "proc", root=machine / "cgroup")


def found(machine: Path) -> cgroup.Memory:
    memory = cgroup.Memory(group=groups(machine).of(ID, 7))
    memory.sample()
    return memory


def runs(machine: Path, pid: int, numbers: str, group: str) -> None:
    """A process, with its numbers from our namespace inwards, in that group."""
    (machine / f"proc/{pid}").mkdir(exist_ok=True)
    (machine / f"proc/{pid}/status").write_text(f"Name:\tsh\nNSpid:\t{numbers}\nThreads:\t1\n")
    procs = machine / "cgroup" / group / "cgroup.procs"
    procs.parent.mkdir(parents=True, exist_ok=True)
    procs.write_text((procs.read_text() if procs.exists() else "") + f"{pid}\n")


def test_version_1_has_a_hierarchy_of_its_own_for_memory(machine: Path) -> None:
    joined(machine, f"9:memory:/docker/{ID}\n8:pids:/docker/{ID}\n0::/system.slice/docker.service\n")
    has(machine, f"memory/docker/{ID}/memory.max_usage_in_bytes", "4096\n")
    has(machine, f"memory/docker/{ID}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    memory = found(machine)
    assert (memory.peak_bytes, memory.oom_kills) == (4096, 2)


def test_version_2_has_one_for_everything(machine: Path) -> None:
    joined(machine, f"0::/system.slice/docker-{ID}.scope\n")
    has(machine, f"system.slice/docker-{ID}.scope/memory.peak", "8192\n")
    has(machine, f"system.slice/docker-{ID}.scope/memory.events", "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")
    memory = found(machine)
    assert (memory.peak_bytes, memory.oom_kills) == (8192, 1)


def test_a_kernel_without_the_peak_still_tells_of_kills(machine: Path) -> None:
    joined(machine, f"0::/docker/{ID}\n")
    has(machine, f"docker/{ID}/memory.events", "oom_kill 1\n")
    memory = found(machine)
    assert (memory.peak_bytes, memory.oom_kills) == (None, 1)


def test_a_process_that_is_not_the_containers_says_nothing(machine: Path) -> None:
    joined(machine, f"9:memory:/docker/{'cd' * 32}\n0::/user.slice\n")
    has(machine, f"memory/docker/{'cd' * 32}/memory.max_usage_in_bytes", "4096\n")
    assert found(machine).peak_bytes is None


def test_the_highest_stays_when_the_group_is_gone(machine: Path) -> None:
    joined(machine, f"9:memory:/docker/{ID}\n")
    has(machine, f"memory/docker/{ID}/memory.max_usage_in_bytes", "4096")
    memory = found(machine)
    (machine / f"cgroup/memory/docker/{ID}/memory.max_usage_in_bytes").unlink()
    memory.sample()
    assert memory.peak_bytes == 4096


def test_without_a_process_nothing_is_known(machine: Path) -> None:
    assert found(machine).peak_bytes is None


OTHER = "cd" * 32


def test_where_one_container_has_its_group_the_others_have_theirs(machine: Path) -> None:
    joined(machine, f"9:memory:/own/place/{ID}\n")
    has(machine, f"memory/own/place/{ID}/memory.max_usage_in_bytes", "4096")
    has(machine, f"memory/own/place/{OTHER}/memory.max_usage_in_bytes", "8192")
    there = groups(machine)
    assert there.of(OTHER) is None
    assert there.of(ID, 7) is not None
    memory = cgroup.Memory(group=there.of(OTHER))
    memory.sample()
    assert memory.peak_bytes == 8192
    assert there.of("ef" * 32) is None


@pytest.mark.parametrize(
    ("place", "version"),
    [
        (f"memory/docker/{ID}", 1),
        (f"memory/system.slice/docker-{ID}.scope", 1),
        (f"docker/{ID}", 2),
        (f"system.slice/docker-{ID}.scope", 2),
    ],
)
def test_the_usual_places_need_no_learning(machine: Path, place: str, version: int) -> None:
    there = groups(machine)
    assert there.of(ID) is None
    has(machine, f"{place}/cgroup.procs", "")
    assert there.of(ID) == cgroup.Group(version, str(machine / "cgroup" / place))


def test_the_first_process_is_number_one_of_the_containers_own_namespace(machine: Path) -> None:
    """Besides it are another process, one of ours in the group, and number 1 of a namespace that the node made."""
    joined(machine, f"9:memory:/docker/{ID}\n")
    there = groups(machine)
    for pid, numbers in ((40, "40\t9\t1"), (41, "41\t8"), (42, "42"), (43, "43\t1")):
        runs(machine, pid, numbers, f"memory/docker/{ID}")
    group = there.of(ID, 7)
    assert group is not None
    assert there.first_process(group) == 43


@pytest.mark.parametrize("numbers", ["43", "43\t7", "43\t7\t1", ""])
def test_without_one_there_is_none(machine: Path, numbers: str) -> None:
    joined(machine, f"9:memory:/docker/{ID}\n")
    runs(machine, 43, numbers, f"memory/docker/{ID}")
    there = groups(machine)
    group = there.of(ID, 7)
    assert group is not None
    assert there.first_process(group) == 0
