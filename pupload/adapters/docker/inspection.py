"""
The last look at a container before it is made.

`objections` reads the complete settings, as they are about to be sent to the engine, and knows nothing of the code that
put them together: a mistake there, or a field that slipped through from a definition, is found here. Whatever is not
known to be harmless is refused, so a setting that somebody adds must be added here as well, with its own bound.
`additions` does the same for what the engine made of them. Pure.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pupload.domain.policy import OPEN, Policy

Settings = Mapping[str, Any]
"""As the engine's API spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What this server lets any container have, whatever asked for it."""

    policy: Policy = OPEN
    attempts: Path | None = None
    """The folder of the attempts' directories; None: they may be anywhere, as in tests."""
    secrets: Path | None = None
    """The folder of the attempts' secrets; None: there is none."""


_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
_USER = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")
_VARIABLE = re.compile(r"(?:PUPLOAD|INPUT|OUTPUT|FLAG|SECRET)_[A-Za-z0-9_]*=.*|DRY_RUN=1", re.DOTALL)
_URL_VARIABLE = re.compile(r"(?:INPUT|OUTPUT)_[A-Za-z0-9_]*_URL=")
_TMPFS = re.compile(r"rw,noexec,nosuid,nodev,size=([1-9][0-9]*),nr_inodes=([1-9][0-9]*),mode=1777")
_ATTEMPT = ("pupload.run", "pupload.node", "pupload.attempt")

_INPUTS, _OUTPUTS, _SECRETS = "/pupload/in", "/pupload/out", "/run/secrets"
_SYSTEM = ("/proc", "/sys", "/dev", "/pupload", "/run/secrets", "/run/docker.sock", "/var/run/docker.sock", "/etc")

_MOST_SHM = 64 << 20
_MOST_PIDS = 1 << 22
_MOST_VOLUMES = 8
_MOST_FILES = 1 << 20
_PRIVATE_BIND = {"Propagation": "rprivate", "NonRecursive": True}


def objections(asked: Settings, *, reference: str, uses: str, bounds: Bounds) -> list[str]:
    """
    Why the container may not be made; none: it may.

    `reference` is the name of the image that was given, `uses` that of the node type. Sentence parts such as
    `NetworkMode host: the operator's policy does not allow it (it allows none)`.
    """
    host = asked.get("HostConfig")
    if not isinstance(host, Mapping):
        return ["HostConfig is missing: nothing would confine it"]
    found = [
        *_judged(asked, _CONTAINER, bounds, required=_NEEDED),
        *_judged(host, _HOST, bounds, required=frozenset(_HOST) - _MAY_BE_ABSENT),
        *_denied("image", reference, bounds.policy.image_objection(reference)),
        *_denied("node type", uses, bounds.policy.type_objection(uses)),
    ]
    found += [*_mounts(asked, host, bounds), *_devices(host, bounds), *_size(host, bounds), *_network(asked, host)]
    found += _urls(asked, bounds)
    return found


def additions(made: Settings) -> list[str]:
    """What the engine gave to a container that nobody asked for and that loosens it; none: nothing."""
    host, config = made.get("HostConfig") or {}, made.get("Config") or {}
    found = [f"{key} is {host[key]!r}" for key in sorted(_NEVER_ADDED) if host.get(key)]
    found += [f"{key} are off" for key in ("MaskedPaths", "ReadonlyPaths") if key in host and not host[key]]
    if made.get("AppArmorProfile") == "unconfined":
        found.append("AppArmor is off")
    places = {str(mount.get("Destination")) for mount in made.get("Mounts") or ()}
    known = {str(mount.get("Target")) for mount in host.get("Mounts") or ()}
    found += [f"{place} is mounted" for place in sorted(places - known)]
    if config.get("ExposedPorts") and host.get("PortBindings"):
        found.append("ports are published")
    return found


# ── One setting at a time ────────────────────────────────────────────────────────────────────────────────────────

_Rule = Callable[[Any, Bounds], str]
"""Why the value may not be, with what may; empty when it may."""


def _is(*allowed: Any) -> _Rule:
    def judge(value: Any, bounds: Bounds) -> str:  # noqa: ARG001 (what is asked of every rule)
        same = any(type(value) is type(each) and value == each for each in allowed)
        return "" if same else f"must be {' or '.join(map(repr, allowed))}"

    return judge


def _matches(pattern: "re.Pattern[str]", says: str) -> _Rule:
    def judge(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
        return "" if isinstance(value, str) and pattern.fullmatch(value) else f"must be {says}"

    return judge


def _within(least: int, most: int) -> _Rule:
    def judge(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
        fine = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if fine else f"must be a number from {least} to {most}"

    return judge


def _anything(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    return ""


def _arguments(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    fine = isinstance(value, list) and all(isinstance(each, str) and "\0" not in each for each in value)
    return "" if fine else "must be a list of arguments"


def _environment(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    if isinstance(value, list) and all(isinstance(each, str) and _VARIABLE.fullmatch(each) for each in value):
        return ""
    return "must hold pupload's own variables alone"


def _labels(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    if not isinstance(value, dict) or not set(_ATTEMPT) <= value.keys():
        return "must name the attempt"
    if not all(isinstance(each, str) for pair in value.items() for each in pair):
        return "must be texts"
    return ""


def _user(value: Any, bounds: Bounds) -> str:
    if not isinstance(value, str) or not _USER.fullmatch(value):
        return "must be uid:gid in numbers"
    return _allowed(bounds.policy.user_objection(value))


def _network_mode(value: Any, bounds: Bounds) -> str:
    if not isinstance(value, str) or value.lower() in ("", "host", "default") or ":" in value:
        return "would share somebody else's network"
    return _allowed(bounds.policy.network_objection(value))


def _capabilities(value: Any, bounds: Bounds) -> str:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return "must be a list of names"
    return next(filter(None, (_allowed(bounds.policy.capability_objection(each)) for each in value)), "")


def _runtime(value: Any, bounds: Bounds) -> str:
    named = set(bounds.policy.runtimes.values())
    return "" if value in named else f"must be one that the operator's policy names ({', '.join(sorted(named))})"


def _tmpfs(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    if not isinstance(value, dict) or set(value) != {"/tmp"}:  # noqa: S108
        return "must be /tmp alone"
    fine = isinstance(value["/tmp"], str) and _TMPFS.fullmatch(value["/tmp"])  # noqa: S108
    return "" if fine else "must have a size, and neither programs nor devices"


def _ulimits(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    try:
        found = {each["Name"]: (each["Soft"], each["Hard"]) for each in value}
        fine = len(value) == len(found) and set(found) == {"nofile", "fsize", "core"} and found["core"] == (0, 0)
        fine = fine and all(soft == hard and isinstance(hard, int) for soft, hard in found.values())
        fine = fine and 0 < found["nofile"][1] <= _MOST_FILES and found["fsize"][1] > 0
    except (KeyError, TypeError):
        fine = False
    return "" if fine else "must bound open files and the size of files, and forbid core dumps"


def _log(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    try:
        options = value["Config"]
        fine = value["Type"] == "json-file" and set(options) == {"max-size", "max-file"}
        fine = fine and int(options["max-size"]) > 0 and 0 < int(options["max-file"]) <= 10
    except (KeyError, TypeError, ValueError):
        fine = False
    return "" if fine else "must be bounded files that can be read again"


def _list(value: Any, bounds: Bounds) -> str:  # noqa: ARG001
    return "" if isinstance(value, list) else "must be a list"


_CONTAINER: Mapping[str, _Rule] = {
    "Image": _matches(_IMAGE, "an immutable id"),
    "Hostname": _is("node"),
    "User": _user,
    "Env": _environment,
    "Labels": _labels,
    "Healthcheck": _is({"Test": ["NONE"]}),
    "StopSignal": _is("SIGTERM"),
    "Tty": _is(False),
    "OpenStdin": _is(False),
    "NetworkDisabled": _is(False, True),
    "Cmd": _arguments,
    "Entrypoint": _arguments,
    "HostConfig": _anything,
}
_NEEDED = frozenset(_CONTAINER) - {"Cmd", "Entrypoint"}

_HOST: Mapping[str, _Rule] = {
    "NetworkMode": _network_mode,
    "Mounts": _list,
    "ReadonlyRootfs": _is(True),
    "Tmpfs": _tmpfs,
    "DeviceRequests": _list,
    "Devices": _list,
    "CapDrop": _is(["ALL"]),
    "CapAdd": _capabilities,
    "SecurityOpt": _is(["no-new-privileges"]),
    "Privileged": _is(False),
    "IpcMode": _is("private"),
    "PidMode": _is(""),
    "UTSMode": _is(""),
    "UsernsMode": _is(""),
    "CgroupnsMode": _is("private"),
    "Binds": _is(None),
    "VolumesFrom": _is(None),
    "PublishAllPorts": _is(False),
    "Init": _is(False),
    "Memory": _within(1, 1 << 50),
    "MemorySwap": _within(1, 1 << 50),
    "NanoCpus": _within(1, 1 << 50),
    "PidsLimit": _within(1, _MOST_PIDS),
    "ShmSize": _within(1, _MOST_SHM),
    "OomScoreAdj": _within(1, 1000),
    "Ulimits": _ulimits,
    "LogConfig": _log,
    "AutoRemove": _is(False),
    "RestartPolicy": _is({"Name": "no", "MaximumRetryCount": 0}),
    "Runtime": _runtime,
}
_MAY_BE_ABSENT = frozenset({"Runtime"})

_NEVER_ADDED = frozenset(
    {
        *(
            "Sysctls",
            "CgroupParent",
            "Cgroup",
            "GroupAdd",
            "OomKillDisable",
            "Links",
            "ExtraHosts",
            "Dns",
            "DnsOptions",
        ),
        *("DnsSearch", "DeviceCgroupRules", "PortBindings", "StorageOpt", "VolumeDriver", "ContainerIDFile"),
        *("KernelMemory", "KernelMemoryTCP", "CpuRealtimePeriod", "CpuRealtimeRuntime"),
    }
)


def _judged(
    settings: Settings, rules: Mapping[str, _Rule], bounds: Bounds, *, required: frozenset[str]
) -> Iterator[str]:
    for key in sorted(required - settings.keys()):
        yield f"{key} is missing"
    for key, value in settings.items():
        if key not in rules:
            yield f"{key} is no setting of a node's container"
        elif reason := rules[key](value, bounds):
            yield f"{key} {_shown(value)}: {reason}"


def _denied(what: str, name: str, objection: str) -> Iterator[str]:
    if reason := _allowed(objection):
        yield f"{what} {_shown(name)}: {reason}"


def _allowed(objection: str) -> str:
    return f"the operator's policy does not allow it ({objection})" if objection else ""


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


# ── Settings that go together ────────────────────────────────────────────────────────────────────────────────────


def _network(asked: Settings, host: Settings) -> Iterator[str]:
    if asked.get("NetworkDisabled") is not (host.get("NetworkMode") == "none"):
        yield "NetworkDisabled does not go with NetworkMode"


def _urls(asked: Settings, bounds: Bounds) -> Iterator[str]:
    variables = asked.get("Env")
    if not isinstance(variables, list):
        return
    given = any(isinstance(each, str) and _URL_VARIABLE.match(each) and "X-Amz-" in each for each in variables)
    if given and (objection := bounds.policy.transfer_objection("urls")):
        yield f"Env has presigned URLs: {_allowed(objection)}"


def _size(host: Settings, bounds: Bounds) -> Iterator[str]:
    memory, cpus = host.get("Memory"), host.get("NanoCpus")
    if host.get("MemorySwap") != memory:
        yield "MemorySwap is not Memory: it could swap"
    if isinstance(memory, int) and isinstance(cpus, int):
        reason = bounds.policy.size_objection(memory_bytes=memory, cpus=cpus / 1_000_000_000)
        yield from _denied("size", f"{memory} bytes, {cpus / 1_000_000_000:g} CPUs", reason)


def _devices(host: Settings, bounds: Bounds) -> Iterator[str]:
    for device in _dicts(host.get("Devices")):
        path = device.get("PathOnHost")
        if device != {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}:
            yield f"Devices {_shown(device)}: must be a device under its own name, to read and write"
        yield from _denied("Devices", str(path), bounds.policy.device_objection(str(path)))
    requests = _dicts(host.get("DeviceRequests"))
    for request in requests:
        vendor, count = request.get("Driver"), request.get("Count")
        if request != {"Driver": vendor, "Count": count, "Capabilities": [["gpu"]]}:
            yield f"DeviceRequests {_shown(request)}: must be a number of GPUs"
        elif not isinstance(count, int) or isinstance(count, bool) or count < 1:
            yield f"DeviceRequests {_shown(request)}: would give all GPUs"
        else:
            yield from _denied("DeviceRequests", str(vendor), bounds.policy.gpu_objection(str(vendor), count))
    if len(requests) > 1:
        yield "DeviceRequests has more than one entry"


def _dicts(value: Any) -> Sequence[Mapping[str, Any]]:
    """The entries of a list; what is none is one that no rule lets pass."""
    if not isinstance(value, list):
        return ()
    return [each if isinstance(each, dict) else {"?": each} for each in value]


# ── Mounts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _mounts(asked: Settings, host: Settings, bounds: Bounds) -> Iterator[str]:
    mounts = _dicts(host.get("Mounts"))
    targets = [str(mount.get("Target")) for mount in mounts]
    if len(set(targets)) != len(targets):
        yield "Mounts has two at one place"
    for missing in sorted({_INPUTS, _OUTPUTS} - set(targets)):
        yield f"Mounts lacks {missing}"
    volumes = 0
    for mount in mounts:
        if mount.get("Type") == "tmpfs":
            volumes += 1
            reason = _volume_fault(mount)
        else:
            reason = _bind_fault(mount, _attempt(asked), bounds)
        if reason:
            yield f"Mounts {_shown(mount.get('Source') or mount.get('Target') or mount)}: {reason}"
    if volumes > _MOST_VOLUMES:
        yield f"Mounts has more than {_MOST_VOLUMES} volumes of the image"


def _attempt(asked: Settings) -> str:
    labels = asked.get("Labels")
    return ".".join(str(labels.get(name)) for name in _ATTEMPT) if isinstance(labels, dict) else ""


def _volume_fault(mount: Mapping[str, Any]) -> str:
    options, target = mount.get("TmpfsOptions"), mount.get("Target")
    if set(mount) != {"Type", "Target", "TmpfsOptions"} or not isinstance(options, dict):
        return "must be memory of a size, and nothing else"
    if set(options) != {"SizeBytes", "Mode"} or any(type(each) is not int or each < 1 for each in options.values()):
        return "must have a size"
    if not isinstance(target, str) or not _is_plain(target) or _is_below(target, _SYSTEM):
        return "lies over what belongs to the system"
    return ""


def _bind_fault(mount: Mapping[str, Any], attempt: str, bounds: Bounds) -> str:
    source, target = mount.get("Source"), mount.get("Target")
    if set(mount) != {"Type", "Source", "Target", "ReadOnly", "BindOptions"} or mount.get("Type") != "bind":
        return "must be a directory of the attempt's own"
    if mount["BindOptions"] != _PRIVATE_BIND:
        return "must be private and not recursive"
    if not isinstance(source, str) or not _is_plain(source):
        return "must be an absolute path without detours"
    if mount["ReadOnly"] is not (target != _OUTPUTS):
        return "must be read-only, and outputs writable"
    path = PurePosixPath(source)
    if target == _SECRETS:
        inside = bounds.secrets is not None and PurePosixPath(bounds.secrets) in path.parents
        return "" if inside and attempt in path.parts else "is not in the folder of the attempt's secrets"
    if target not in (_INPUTS, _OUTPUTS) or path.name != PurePosixPath(target).name:
        return "is nothing that a node sees"
    if bounds.attempts is not None and path.parent != PurePosixPath(bounds.attempts) / attempt:
        return "is not in the attempt's own directory"
    return ""


def _is_plain(path: str) -> bool:
    return path.startswith("/") and path == str(PurePosixPath(path)) and ".." not in path.split("/")


def _is_below(path: str, roots: Sequence[str]) -> bool:
    return path == "/" or any(path == root or path.startswith(f"{root}/") for root in roots)
