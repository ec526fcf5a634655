"""
What `pup doctor` says about the engine: what there is, what it costs when it is lacking, how to mend it. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pupload import errors, ports
from pupload.adapters.docker import metadata
from pupload.domain.policy import Policy

_OLDEST_API = (1, 41)
_CLOSES_VSOCK = (23,)
"""The first engine whose seccomp profile does."""

_SAFE_RUNC = ((1, 2, 8), (1, 3, 3), (1, 4, 0))
"""By line of development: where CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 are mended."""


def unreachable(error: errors.ExecutorUnavailable, host: str) -> Sequence[ports.ProbeLine]:
    """For an engine that does not answer."""
    mend = "is it running (`systemctl start docker`), and may this user talk to it (group `docker`)?"
    return [ports.ProbeLine(what="container engine", ok=False, detail=f"{host}: {error.facts['reason']}; {mend}")]


def lines(version: Mapping[str, Any], info: Mapping[str, Any]) -> Sequence[ports.ProbeLine]:
    """From what the engine tells of itself."""
    return [
        _engine(version, info),
        _api(version),
        _cgroups(info),
        _limits(info),
        _runtime(version, info),
        _users(info),
        _seccomp(info),
        _machine_sockets(version),
        _storage(info),
        _live_restore(info),
    ]


def of_policy(policy: Policy, info: Mapping[str, Any], networks: Iterable[str]) -> Sequence[ports.ProbeLine]:
    """Whether the engine has what the operator's policy names."""
    found = []
    there = set(info.get("Runtimes") or ())
    for runtime in sorted(set(policy.runtimes.values())):
        mend = "" if runtime in there else f"the policy names it and the engine has {', '.join(sorted(there))}"
        found.append(_line("runtime of the policy", runtime, mend=mend))
    known = set(networks)
    for network in policy.networks:
        if network not in ("none", "bridge"):
            mend = "" if network in known else f"the policy allows it; make it with `docker network create {network}`"
            found.append(_line("network of the policy", network, mend=mend))
    return found


def of_metadata(network: str, reached: bool | None) -> ports.ProbeLine:
    """Whether nodes on a network reach the machine's metadata service."""
    what = "metadata service"
    if reached is None:
        said = f"not tried from network {network}: that needs the image pupload/base; make sure that you have run"
        return ports.ProbeLine(what=what, ok=True, warning=True, detail=f"{said} `{metadata.RULE}`")
    if reached:
        mend = f"every node there can have the machine's keys; run `{metadata.RULE}`"
        return _better(what, f"{metadata.ADDRESS} answers on network {network}", mend=mend)
    return _line(what, f"{metadata.ADDRESS} does not answer on network {network}")


def _line(what: str, detail: str, *, mend: str = "") -> ports.ProbeLine:
    """Fine, or to be mended so."""
    return ports.ProbeLine(what=what, ok=not mend, detail=f"{detail}; {mend}" if mend else detail)


def _better(what: str, detail: str, *, mend: str) -> ports.ProbeLine:
    """Works, and would be better so."""
    return ports.ProbeLine(what=what, ok=True, warning=bool(mend), detail=f"{detail}; {mend}" if mend else detail)


def _engine(version: Mapping[str, Any], info: Mapping[str, Any]) -> ports.ProbeLine:
    return _line("container engine", f"{version.get('Version')} on {info.get('Architecture')}, {info.get('NCPU')} CPUs")


def _api(version: Mapping[str, Any]) -> ports.ProbeLine:
    told = str(version.get("ApiVersion", ""))
    new_enough = _numbers(told) >= _OLDEST_API
    return _line("engine API", told, mend="" if new_enough else "1.41 is needed: Docker 20.10 or newer")


def _cgroups(info: Mapping[str, Any]) -> ports.ProbeLine:
    told = f"version {info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver')}"
    lacking = info.get("CgroupDriver") == "none"
    return _line(
        "control groups", told, mend="limits cannot be held: delegate cgroups to the engine" if lacking else ""
    )


def _limits(info: Mapping[str, Any]) -> ports.ProbeLine:
    """Without one of them no container starts: the executor refuses one that would be without its limits."""
    needed = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "processes"}
    lacking = [word for key, word in needed.items() if not info.get(key, True)]
    if lacking:
        mend = "enable the kernel's controllers (rootless: delegate them to the user in systemd)"
        return _line("limits", f"the engine cannot limit {', '.join(lacking)}", mend=mend)
    swap = "" if info.get("SwapLimit", True) else "; swap is not limited (kernel option swapaccount=1)"
    return _line("limits", f"memory, CPU, processes{swap}")


def _runtime(version: Mapping[str, Any], info: Mapping[str, Any]) -> ports.ProbeLine:
    told = str(info.get("DefaultRuntime", ""))
    runc = next((part["Version"] for part in version.get("Components") or () if part.get("Name") == "runc"), "")
    if told != "runc" or not runc:
        return _line("runtime", told or "unknown")
    mend = "" if _safe(_numbers(runc)) else "a node could escape (CVE-2025-31133); update runc to 1.2.8, 1.3.3 or newer"
    return _better("runtime", f"runc {runc}", mend=mend)


def _safe(found: tuple[int, ...]) -> bool:
    """A line without an entry is older than all of them, or newer."""
    for safe in _SAFE_RUNC:
        if found[:2] == safe[:2]:
            return found >= safe
    return found > _SAFE_RUNC[-1]


def _users(info: Mapping[str, Any]) -> ports.ProbeLine:
    options = _options(info)
    if "rootless" in options:
        return _line("users", "rootless: the engine has no root rights")
    if "userns" in options:
        return _line("users", "user namespaces: root in a container is nobody outside")
    mend = "better protection: `userns-remap` in /etc/docker/daemon.json, or a rootless engine"
    return ports.ProbeLine(what="users", ok=True, detail=f"containers share the machine's user ids; {mend}")


def _seccomp(info: Mapping[str, Any]) -> ports.ProbeLine:
    options = _options(info)
    lacking = "seccomp" not in options or options["seccomp"] == "unconfined"
    told = options.get("seccomp") or ("absent" if lacking else "on")
    guards = [told, *(name for name in ("apparmor", "selinux") if name in options)]
    mend = "nodes may use every system call: use a kernel and engine with seccomp" if lacking else ""
    return _line("seccomp", ", ".join(guards), mend=mend)


def _machine_sockets(version: Mapping[str, Any]) -> ports.ProbeLine:
    """
    Whether the engine's profile keeps nodes from the sockets between a virtual machine and its host.

    A network namespace does not.
    """
    told = str(version.get("Version", ""))
    closed = _numbers(told) >= _CLOSES_VSOCK
    mend = "nodes can open AF_VSOCK sockets to whatever listens beside this virtual machine; update to Docker 23"
    return _better("machine sockets", "closed" if closed else f"open in Docker {told}", mend="" if closed else mend)


def _storage(info: Mapping[str, Any]) -> ports.ProbeLine:
    driver = str(info.get("Driver"))
    mend = "every start copies the image: use overlay2" if driver == "vfs" else ""
    return _better("storage driver", driver, mend=mend)


def _live_restore(info: Mapping[str, Any]) -> ports.ProbeLine:
    on = bool(info.get("LiveRestoreEnabled"))
    told = "on: containers survive an engine restart" if on else "off: an engine restart ends the nodes that run"
    return ports.ProbeLine(what="live restore", ok=True, detail=told)


def _options(info: Mapping[str, Any]) -> dict[str, str]:
    """Of the form `name=seccomp,profile=default`: the profile, by name."""
    found = {}
    for option in info.get("SecurityOptions") or ():
        facts = dict(part.partition("=")[::2] for part in option.split(","))
        found[facts.get("name", "")] = facts.get("profile", "")
    return found


def _numbers(told: str) -> tuple[int, ...]:
    """`1.1.5+ds1` is (1, 1, 5)."""
    match = re.match(r"\d+(\.\d+)*", told)
    return tuple(int(number) for number in match[0].split(".")) if match else ()
