from typing import Any

import pytest

from pupload import errors, ports
from pupload.adapters.docker import probe
from pupload.domain.policy import Policy

VERSION = {
    "Version": "28.5.2",
    "ApiVersion": "1.51",
    "Components": [{"Name": "Engine", "Version": "28.5.2"}, {"Name": "runc", "Version": "1.3.3"}],
}
INFO = {
    "Architecture": "x86_64",
    "NCPU": 8,
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Driver": "overlay2",
    "LiveRestoreEnabled": True,
}


def line(what: str, version: dict[str, Any] | None = None, **info: Any) -> ports.ProbeLine:
    told = probe.lines({**VERSION, **(version or {})}, {**INFO, **info})
    (found,) = [line for line in told if line.what == what]
    return found


def test_a_good_engine_has_nothing_to_mend() -> None:
    assert all(line.ok for line in probe.lines(VERSION, INFO))


@pytest.mark.parametrize(
    ("runc", "safe"),
    [
        ("1.1.5+ds1", False),
        ("1.2.7", False),
        ("1.2.8", True),
        ("1.3.2", False),
        ("1.3.3", True),
        ("1.4.0", True),
        ("2.0.0", True),
    ],
)
def test_an_old_runc_lets_nodes_escape(runc: str, safe: bool) -> None:
    found = line("runtime", {"Components": [{"Name": "runc", "Version": runc}]})
    # Nodes run all the same: a warning, not a fault.
    assert (found.ok, found.warning) == (True, not safe)
    assert runc in found.detail


def test_another_runtime_is_named() -> None:
    assert line("runtime", DefaultRuntime="runsc").detail == "runsc"


def test_an_old_interface_is_told() -> None:
    assert not line("engine API", {"ApiVersion": "1.40"}).ok


def test_limits_that_cannot_be_held_are_named() -> None:
    found = line("limits", MemoryLimit=False, PidsLimit=False)
    assert not found.ok
    assert "memory, processes" in found.detail


def test_swap_that_is_not_limited_is_told_and_no_fault() -> None:
    found = line("limits", SwapLimit=False)
    assert found.ok
    assert "swap" in found.detail


@pytest.mark.parametrize("options", [[], ["name=seccomp,profile=unconfined"]])
def test_missing_seccomp_is_a_fault(options: list[str]) -> None:
    assert not line("seccomp", SecurityOptions=options).ok


@pytest.mark.parametrize(("version", "closed"), [("20.10.24+dfsg1", False), ("23.0.0", True), ("28.5.2", True)])
def test_sockets_of_the_machine_are_closed_by_newer_engines(version: str, closed: bool) -> None:
    found = line("machine sockets", {"Version": version})
    assert (found.ok, found.warning) == (True, not closed)


def test_what_the_policy_names_must_be_there() -> None:
    named = Policy(networks=("none", "bridge", "egress"), runtimes={"c-*": "runsc", "m-*": "runc"})
    told = {
        (each.what, each.detail.split(";")[0]): each for each in probe.of_policy(named, {"Runtimes": {"runc": {}}}, ())
    }
    assert told["runtime of the policy", "runc"].ok
    assert not told["runtime of the policy", "runsc"].ok
    assert "docker network create egress" in told["network of the policy", "egress"].detail
    assert all(each.ok for each in probe.of_policy(named, {"Runtimes": {"runc": {}, "runsc": {}}}, ("egress",)))
    assert probe.of_policy(Policy(), {}, ()) == []


@pytest.mark.parametrize(("reached", "warns"), [(True, True), (False, False), (None, True)])
def test_a_metadata_service_that_nodes_reach_is_told(reached: bool | None, warns: bool) -> None:
    found = probe.of_metadata("bridge", reached)
    assert (found.ok, found.warning) == (True, warns)
    assert ("iptables -I DOCKER-USER" in found.detail) is warns


def test_guards_are_listed() -> None:
    assert line("seccomp").detail == "builtin, apparmor"


@pytest.mark.parametrize("option", ["rootless", "userns"])
def test_separate_users_are_told(option: str) -> None:
    assert "better protection" not in line("users", SecurityOptions=[f"name={option}"]).detail
    assert "better protection" in line("users").detail


def test_a_copying_storage_driver_is_told() -> None:
    found = line("storage driver", Driver="vfs")
    assert (found.ok, found.warning) == (True, True)


def test_no_cgroups_is_told() -> None:
    assert not line("control groups", CgroupDriver="none").ok


def test_an_engine_that_does_not_answer_is_one_line_with_what_to_do() -> None:
    error = errors.ExecutorUnavailable(host="unix:///x", reason="No such file or directory")
    (found,) = probe.unreachable(error, "unix:///x")
    assert not found.ok
    assert "systemctl start docker" in found.detail
