"""
What a container is allowed.

`config` turns an order into what the engine is asked for; `differences` compares that with what the engine made of it,
so that nothing merged in on the way (an engine's defaults, a plugin, a kernel that lacks a controller) loosens it
unseen. Pure.

Choices that are not obvious:

* No init process. The command is PID 1, so that "not found" and "not executable" are the engine's own errors and not an
  exit code. The price: a command that does not handle TERM (a bare shell) ends by KILL after the grace.
* Without a network the engine is told to set up none (`NetworkDisabled`), besides the mode `none`: the container has a
  network namespace of its own with nothing but a loopback either way, and its start takes half the time. The price: the
  engine writes no /etc/hosts, so that `localhost` is known by name only where the image says so.
* The log is kept in two files of twice `log_bytes` each. The engine throws the older one away when both are full, and
  whoever follows a fast writer misses what was in it. With this much room (escapes make a line longer in the file) the
  first `log_bytes` are read before anything is thrown away, and counting lines from the first is sound until then.
* The mounts are private and not recursive: what the host mounts below them later never shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pupload import errors, ports

INPUTS = "/pupload/in"
OUTPUTS = "/pupload/out"
SECRETS = "/run/secrets"

MOST_VOLUMES = 8
"""That an image may declare; each may grow as large as /tmp, and all of them count against the tier's memory."""

_PLACES = frozenset({INPUTS, OUTPUTS, SECRETS, "/tmp"})  # noqa: S108
"""What an image declares there is overlaid, or nothing for nodes to write to."""
_OPEN_FILES = 16_384
_SHM_BYTES = 64 << 20
_MAY_DIFFER = frozenset({"MemorySwap"})
"""A kernel without swap accounting turns it off; the memory limit itself holds."""
_CAPABILITIES = {"nvidia": [["gpu"]]}
"""How a vendor's devices are asked for. Vendors that the engine cannot hand out by request are not here."""

Config = dict[str, Any]
"""As the engine's API spells it."""


def config(order: ports.ContainerOrder, *, labels: Mapping[str, str], volumes: Iterable[str] = ()) -> Config:
    """
    What the engine is asked to create.

    `volumes` are places that the image declares to be writable. Raises `errors.ContainerRefused` for GPUs it has no way
    to hand out, and for an image with more volumes than nodes may have.
    """
    asked: Config = {
        "Image": order.image,
        "Hostname": "node",
        "User": order.user,
        "Env": [f"{name}={value}" for name, value in sorted(order.environment.items())],
        "Labels": {**order.labels, **labels},
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "Tty": False,
        "OpenStdin": False,
        "NetworkDisabled": order.network == "none",
        "HostConfig": _host_config(order, sorted(volumes)),
    }
    if order.argv is not None:
        asked["Cmd"] = list(order.argv)
    return asked


def _host_config(order: ports.ContainerOrder, volumes: Sequence[str]) -> Config:
    if len(volumes) > MOST_VOLUMES:
        raise errors.ContainerRefused(reason=f"its image declares {len(volumes)} volumes; {MOST_VOLUMES} are possible")
    return {
        # What it may reach.
        "NetworkMode": order.network,
        "Mounts": [
            _mount(str(order.inputs), INPUTS, read_only=True),
            _mount(str(order.outputs), OUTPUTS, read_only=False),
            *([_mount(str(order.secrets), SECRETS, read_only=True)] if order.secrets else []),
            *(_volume(place, order.tmp_bytes) for place in volumes if place not in _PLACES),
        ],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={order.tmp_bytes},nr_inodes={_inodes(order)},mode=1777"},  # noqa: S108
        "DeviceRequests": _device_requests(order),
        # What it may do.
        "CapDrop": ["ALL"],
        "CapAdd": [f"CAP_{name}" for name in order.capabilities],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "CgroupnsMode": "private",
        "Devices": [_device(path) for path in order.devices],
        "Binds": None,
        "VolumesFrom": None,
        "PublishAllPorts": False,
        "Init": False,
        # How much it may take.
        "Memory": order.memory_bytes,
        "MemorySwap": order.memory_bytes,
        "NanoCpus": round(order.cpus * 1_000_000_000),
        "PidsLimit": order.pids,
        "ShmSize": min(_SHM_BYTES, order.memory_bytes),
        "OomScoreAdj": 500,
        "Ulimits": [
            _limit("nofile", _OPEN_FILES),
            _limit("fsize", order.file_bytes),
            _limit("core", 0),
        ],
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(max(order.log_bytes * 2, 1)), "max-file": "2"},
        },
        # Its end is ours to see.
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        **({"Runtime": order.runtime} if order.runtime else {}),
    }


def _inodes(order: ports.ContainerOrder) -> int:
    """Files in /tmp: an empty one takes memory too, which no size of a tmpfs counts."""
    return max(order.tmp_bytes // 4096, 1024)


def _volume(place: str, size: int) -> Config:
    """Memory in the place of a volume, which would be room on the engine's disk without any end."""
    return {"Type": "tmpfs", "Target": place, "TmpfsOptions": {"SizeBytes": size, "Mode": 0o1777}}


def _device(path: str) -> Config:
    return {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}


def _mount(source: str, target: str, *, read_only: bool) -> Config:
    return {
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }


def _limit(name: str, value: int) -> Config:
    return {"Name": name, "Soft": value, "Hard": value}


def _device_requests(order: ports.ContainerOrder) -> list[Config]:
    if not order.gpus:
        return []
    capabilities = _CAPABILITIES.get(order.gpu_vendor)
    if capabilities is None:
        vendor = order.gpu_vendor or "an unnamed vendor"
        raise errors.ContainerRefused(reason=f"GPUs of {vendor} cannot be given to containers here, only nvidia's")
    return [{"Driver": order.gpu_vendor, "Count": order.gpus, "Capabilities": capabilities}]


def differences(asked: Config, found: Config) -> list[str]:
    """
    Where a container, as the engine describes it, is not what was asked for.

    Each is a sentence part such as `Memory is 0, not 536870912`; none: it is as ordered.
    """
    told = [
        _difference(key, value, found.get("HostConfig", {}).get(key))
        for key, value in asked["HostConfig"].items()
        if key not in _MAY_DIFFER
    ]
    made = found.get("Config", {})
    told += [_difference(key, asked[key], made.get(key)) for key in ("Image", "User")]
    if "Cmd" in asked:
        told.append(_difference("Cmd", asked["Cmd"], made.get("Cmd")))
    labels = made.get("Labels") or {}
    told += [_difference(f"label {key}", value, labels.get(key)) for key, value in asked["Labels"].items()]
    return [difference for difference in told if difference]


def _difference(key: str, asked: Any, found: Any) -> str:
    if (asked == found and type(asked) is type(found)) or _plain(asked) == _plain(found):
        return ""
    return f"{key} is {found!r}, not {asked!r}"


def _plain(value: Any) -> Any:
    """Nothing, in the several ways the engine says it, is None; the order of limits is no difference."""
    if isinstance(value, dict):
        return {key: plain for key, item in value.items() if (plain := _plain(item)) is not None} or None
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=repr) or None
    return value or None
