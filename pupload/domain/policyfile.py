"""
The policy as a document: its fields, what each may hold, and what it means.

`FIELDS` is the whole format; `read` and `write` follow it, and so does docs/reference/policy.md. A document is read
strictly: a field that is not known is a mistake in a rule that somebody relies on.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pupload.domain import duration, tiers
from pupload.domain.policy import LARGEST_ID, Ids, Policy, capability_name

MOST_ENTRIES = 1000
"""In one list."""

LONGEST_ENTRY = 512

NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What an engine's network may be called."""

FORBIDDEN_NETWORKS = frozenset({"host", "default", "container", "ingress", "slirp4netns", "pasta", "private", "ns"})
"""Words that engines take for something else than a network, the machine's own above all."""

_CAPABILITY = re.compile(r"[A-Z][A-Z_]{1,40}")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9_][A-Za-z0-9_/.-]{0,120}")
_RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_IDS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
_TOO_MUCH = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "SYS_BOOT", "MAC_ADMIN", "BPF"})
_MEMORY_DEVICES = ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/sd", "/dev/vd", "/dev/nvme", "/dev/xvd", "/dev/loop")


class Wrong(ValueError):
    """A place in a policy that cannot be; the message is the sentence."""

    def __init__(self, pointer: str, sentence: str) -> None:
        super().__init__(sentence)
        self.pointer = pointer
        """A JSON pointer into the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing that a policy says."""

    path: str
    """Its name in the document, such as `Images.Allow`."""
    name: str
    """Its name in `policy.Policy`."""
    kind: str
    """What it may hold, for the reference."""
    read: Callable[[Any], Any]
    """Raises ValueError with a sentence part."""
    write: Callable[[Any], Any]
    about: str


def read(document: Any, base: Policy | None = None) -> Policy:
    """
    The policy in plain values; what the document does not say is as in `base`. An empty document says nothing.

    A node type that `Types.Allow` names in full is not denied by the `base` any more.

    Raises `Wrong` at the first place that cannot be.
    """
    base = base or Policy()
    if document is None:
        return base
    found: dict[str, Any] = {}
    for path, value in _entries(document):
        field = _BY_PATH[path]
        try:
            found[field.name] = field.read(value)
        except ValueError as error:
            raise Wrong(_pointer(path), f"{path} {error}") from error
    if "types" in found and "denied_types" not in found:
        found["denied_types"] = tuple(each for each in base.denied_types if each not in found["types"])
    return replace(base, **found)


def write(policy: Policy) -> dict[str, Any]:
    """The document that says all of the policy, in the order of `FIELDS`."""
    document: dict[str, Any] = {}
    for field in FIELDS:
        group, _, last = field.path.rpartition(".")
        into = document.setdefault(group, {}) if group else document
        into[last] = field.write(getattr(policy, field.name))
    return document


def _entries(document: Any) -> list[tuple[str, Any]]:
    if not isinstance(document, dict):
        raise Wrong("", "a policy is an object with fields such as Images and Networks")
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        if name in _BY_PATH:
            found.append((name, value))
        elif name in _GROUPS:
            if not isinstance(value, dict):
                raise Wrong(f"/{name}", f"{name} is an object with {', '.join(_GROUPS[name])}")
            for each, inner in value.items():
                if each not in _GROUPS[name]:
                    raise Wrong(f"/{name}/{each}", _unknown(each, _GROUPS[name], f"{name}."))
                found.append((f"{name}.{each}", inner))
        else:
            raise Wrong(f"/{name}", _unknown(name, [*_GROUPS, *(path for path in _BY_PATH if "." not in path)], ""))
    return found


def _unknown(name: str, known: list[str], prefix: str) -> str:
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    hint = f"did you mean {prefix}{lower[near[0]]}?" if near else f"there are {', '.join(known)}"
    return f"{prefix}{name[:LONGEST_ENTRY]} is not known; {hint}"


def _pointer(path: str) -> str:
    return "/" + path.replace(".", "/")


# ── What a field may hold ────────────────────────────────────────────────────────────────────────────────────────


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("must be a list of texts")
    if len(value) > MOST_ENTRIES:
        raise ValueError(f"has more than {MOST_ENTRIES} entries")
    for each in value:
        if not each or len(each) > LONGEST_ENTRY or not each.isprintable():
            raise ValueError(f"has an entry that is empty, longer than {LONGEST_ENTRY}, or not printable")
    return tuple(value)


def _endpoints(value: Any) -> tuple[str, ...]:
    for each in _texts(value):
        if "/" in each:
            raise ValueError(f"names hosts, with a port or without, not URLs such as {each}")
    return tuple(each.lower() for each in value)


def _networks(value: Any) -> tuple[str, ...]:
    for each in _texts(value):
        if each.lower() in FORBIDDEN_NETWORKS or not NETWORK.fullmatch(each):
            raise ValueError(f"cannot allow {each}: name none, bridge, or a network of the engine's own")
    return _with("none", value)


def _transfers(value: Any) -> tuple[str, ...]:
    for each in _texts(value):
        if each not in ("files", "urls"):
            raise ValueError(f"cannot allow {each}: there are files and urls")
    return _with("files", value)


def _with(least: str, value: list[str]) -> tuple[str, ...]:
    """In the given order and without doubles; what needs nobody's leave comes first."""
    return tuple(dict.fromkeys([least, *value]))


def _capabilities(value: Any) -> tuple[str, ...]:
    names = [capability_name(each) for each in _texts(value)]
    for each in names:
        if each in _TOO_MUCH:
            raise ValueError(f"cannot allow {each}: a node that has it owns the machine")
        if not _CAPABILITY.fullmatch(each):
            raise ValueError(f"has {each}, which is no capability; write names such as NET_BIND_SERVICE")
    return tuple(dict.fromkeys(names))


def _devices(value: Any) -> tuple[str, ...]:
    for each in _texts(value):
        if not _DEVICE.fullmatch(each) or ".." in each or "//" in each:
            raise ValueError(f"has {each}, which is no device; write paths such as /dev/dri/renderD128")
        if each.startswith(_MEMORY_DEVICES):
            raise ValueError(f"cannot allow {each}: a node that has it owns the machine")
    return tuple(dict.fromkeys(value))


def _users(value: Any) -> tuple[Ids, ...]:
    found = []
    for each in value if isinstance(value, list) else [value]:
        match = _IDS.fullmatch(str(each)) if isinstance(each, str | int) and not isinstance(each, bool) else None
        if match is None:
            raise ValueError("must be a list of numbers and ranges, such as 65534 or 1000-2000")
        ids = Ids(int(match[1]), int(match[2] or match[1]))
        if ids.first > ids.last or ids.last > LARGEST_ID:
            raise ValueError(f"has {each}, which is no range below {LARGEST_ID + 1}")
        found.append(ids)
    if not found or len(found) > MOST_ENTRIES:
        raise ValueError("must have at least one entry, and a thousand at most")
    return tuple(found)


def _runtimes(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_ENTRIES:
        raise ValueError("must be an object: patterns of tiers, and the runtime of each")
    for pattern, runtime in value.items():
        if not isinstance(runtime, str) or not _RUNTIME.fullmatch(runtime):
            raise ValueError(f"names for {pattern[:LONGEST_ENTRY]} no runtime as engines know them, such as runsc")
    return dict(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 (one kind of error for whatever cannot be read)
    return value


def _size(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str):
        found = tiers.parse_size(value)
    else:
        raise ValueError("must be a size such as 512mb, or a number of bytes")  # noqa: TRY004 (as above)
    if found <= 0:
        raise ValueError("must be above zero; leave it out for no limit")
    return found


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number")
    return value


def _nodes(value: Any) -> int | None:
    if value == 0:
        raise ValueError("must be above zero; leave it out for no limit")
    return _count(value)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        raise ValueError("must be a number above zero")
    return float(value)


def _time(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 30m or 24h")  # noqa: TRY004 (as above)
    try:
        return duration.positive(value)
    except ValueError as error:
        raise ValueError(f"is not a valid duration: {error}") from error


# ── And how it is written ────────────────────────────────────────────────────────────────────────────────────────


def _as_list(value: Any) -> list[str]:
    return [str(each) for each in value]


def _as_is(value: Any) -> Any:
    return value


def _as_time(value: float | None) -> str | None:
    return None if value is None else duration.text(value)


def _as_object(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


# ── The fields ───────────────────────────────────────────────────────────────────────────────────────────────────


def _field(
    path: str, name: str, kind: str, readers: tuple[Callable[..., Any], Callable[..., Any]], about: str
) -> Field:
    return Field(path=path, name=name, kind=kind, read=readers[0], write=readers[1], about=about)


_SIZE_KIND = "size, such as 512mb"
_TIME_KIND = "duration, such as 24h"

FIELDS = (
    _field(
        "Images.Allow",
        "images",
        "list of patterns",
        (_texts, _as_list),
        "Images that definitions may name. A pattern (`*`, `?`, `[…]`; `*` passes over slashes) is held against the "
        "long name (`docker.io/library/busybox`) and the short one (`busybox`), each alone, with its tag and with its "
        "digest: `registry.example.org/*` allows a registry, `acme/*` everything of a publisher, `busybox:1.36` one "
        "tag, `acme/x@sha256:…` one image for good. Where a definition names tag and digest, a pattern with a tag does "
        "not do, because the engine goes by the digest. An image's id is refused unless everything is allowed.",
    ),
    _field(
        "Images.Deny",
        "denied_images",
        "list of patterns",
        (_texts, _as_list),
        "Images that may not be named, whatever `Allow` says; held against the same names.",
    ),
    _field(
        "Images.RequireDigest",
        "digests_only",
        "true or false",
        (_yes_or_no, _as_is),
        "Whether an image must be named by its digest (`acme/x@sha256:…`), so that a name can never come to mean "
        "another image.",
    ),
    _field(
        "Types.Allow",
        "types",
        "list of patterns",
        (_texts, _as_list),
        "Node types that flows may use, by `Publisher/Name`: `acme/*` allows everything of a publisher. A type that is "
        'named here in full is not denied by the default of `Deny`, so `[pupload/run, "*"]` allows every type.',
    ),
    _field(
        "Types.Deny",
        "denied_types",
        "list of patterns",
        (_texts, _as_list),
        "Node types that may not be used, whatever `Allow` says. `[]` denies none. `pupload/run` is denied by default, "
        "because it takes any line and any image; that keeps nobody from sending a definition of their own that does "
        "the same, under another name. What runs at all is for `Images` to say.",
    ),
    _field(
        "Networks",
        "networks",
        "list of names",
        (_networks, _as_list),
        "Networks that definitions may ask for. `none` always is one of them. `bridge` is the engine's own: nodes on "
        "it reach the internet, the server's network and, unless you forbid it in the packet filter, the cloud's "
        "metadata service. Any other name is a network that you made on the engine, such as an internal one with a "
        "proxy in it. The machine's own network (`host`) and that of another container cannot be allowed. Without this "
        "field the setting `networks` counts.",
    ),
    _field(
        "Transfers",
        "transfers",
        "list of `files`, `urls`",
        (_transfers, _as_list),
        "How definitions may ask for their bytes. `files` always is one of them; with `urls` a node gets presigned "
        "URLs, which everybody who may inspect containers can read. Without this field the setting `transfers` counts.",
    ),
    _field(
        "Users",
        "users",
        "list of numbers and ranges",
        (_users, _as_list),
        "User and group ids that a node may run as; held against both. Root (0) is not among them unless you say so: "
        "it has no capabilities in a node, but it is the machine's own root where the engine has no user namespaces.",
    ),
    _field(
        "Capabilities",
        "capabilities",
        "list of names",
        (_capabilities, _as_list),
        "Capabilities that a definition may add back (`Capabilities` in the definition); all are dropped otherwise. "
        "They are of use to root only, so `Users` must allow 0 as well. Those that make a node the machine's owner "
        "cannot be allowed.",
    ),
    _field(
        "Devices",
        "devices",
        "list of paths",
        (_devices, _as_list),
        "Device files that a definition may ask for (`Devices` in the definition). Disks and memory cannot be allowed.",
    ),
    _field(
        "GPUs",
        "gpus",
        "list of patterns",
        (_texts, _as_list),
        "Vendors whose GPUs tiers may give out: `nvidia`, `amd`, `intel`, `apple`, and `any` for tiers that take each.",
    ),
    _field(
        "Tiers.Allow",
        "tiers",
        "list of patterns",
        (_texts, _as_list),
        "Tiers that definitions may name, such as `c-*`. Climbing after running out of memory ends at the last of "
        "them.",
    ),
    _field(
        "Tiers.MaxMemory",
        "max_memory_bytes",
        _SIZE_KIND,
        (_size, _as_is),
        "Memory of one node.",
    ),
    _field("Tiers.MaxCPUs", "max_cpus", "number", (_number, _as_is), "CPUs of one node."),
    _field("Tiers.MaxGPUs", "max_gpus", "whole number", (_count, _as_is), "GPUs of one node; 0 for none."),
    _field(
        "Timeouts.Node",
        "node_seconds",
        _TIME_KIND,
        (_time, _as_time),
        "How long an attempt may take at most. A definition that does not say how long gets the setting "
        "`node_seconds`, or this where it is shorter.",
    ),
    _field(
        "Timeouts.Flow",
        "flow_seconds",
        _TIME_KIND,
        (_time, _as_time),
        "How long a run may take at most; also how long one may whose flow does not say.",
    ),
    _field(
        "Limits.Nodes", "max_nodes", "whole number", (_nodes, _as_is), "Nodes in a flow, where `max_nodes` is not less."
    ),
    _field(
        "Limits.Upload",
        "max_upload_bytes",
        _SIZE_KIND,
        (_size, _as_is),
        "Bytes of an upload, where the setting `max_upload_bytes` is not less.",
    ),
    _field(
        "Limits.Artifact",
        "max_artifact_bytes",
        _SIZE_KIND,
        (_size, _as_is),
        "Bytes of an output. A larger one is not stored, and the attempt has failed.",
    ),
    _field(
        "Limits.Log",
        "max_log_bytes",
        _SIZE_KIND,
        (_size, _as_is),
        "Bytes of an attempt's log that are kept, where the setting `log_bytes` is not less.",
    ),
    _field(
        "Runtimes",
        "runtimes",
        "object of patterns and names",
        (_runtimes, _as_object),
        "The engine's runtime for the tiers that fit a pattern, the first that does, such as `runsc` (gVisor) or Kata "
        'Containers, for code that nobody has read: `{"c-*": runsc}`. `pup doctor` tells which the engine lacks.',
    ),
    _field(
        "Stores",
        "stores",
        "list of patterns",
        (_endpoints, _as_list),
        "Hosts of the object stores that flows may bring along, with a port or without, such as `*.example.org`. The "
        "server's own store is not meant. Which addresses a name may lead to is a matter of `store_private_endpoints`.",
    ),
)
"""All that a policy can say, in the order of the reference."""

_BY_PATH = {field.path: field for field in FIELDS}
_GROUPS: dict[str, list[str]] = {}
for _path in _BY_PATH:
    _group, _, _last = _path.rpartition(".")
    if _group:
        _GROUPS.setdefault(_group, []).append(_last)
