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


def found(machine: Path, container: str = ID) -> cgroup.Memory:
    memory = cgroup.Memory()
    memory.find(container, 7, proc=machine / "proc", root=machine / "cgroup")
    memory.sample()
    return memory


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
