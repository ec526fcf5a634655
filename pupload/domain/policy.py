"""
What the operator lets nodes have.

A policy is judged twice: when a flow is submitted (`pupload.domain.validation.policies`), so that its author is told
at once, and on the settings with which a container is really made, whoever put them together. Every method here says
what is wrong in a sentence part that names what is allowed, or nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pupload.domain import duration
from pupload.domain.tiers import Tier, size_text

LARGEST_ID = 2**32 - 2
"""The last is no user: it means "leave as it is"."""

EVERYTHING = ("*",)

OFF = ("pupload/run",)
"""Node types that are for operators to turn on."""

_ID = re.compile(r"[0-9a-f]{64}|sha256:.*")
"""What an engine takes for the id of an image, or for how one begins."""

_TAG = re.compile(r":[^/@]*(?:@|$)|@")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ids:
    """Users and groups by number, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


NOT_ROOT = Ids(1, LARGEST_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What every node, and every flow, must keep to. The defaults are those of a server without a policy file."""

    images: tuple[str, ...] = EVERYTHING
    denied_images: tuple[str, ...] = ()
    digests_only: bool = False
    types: tuple[str, ...] = EVERYTHING
    denied_types: tuple[str, ...] = OFF
    networks: tuple[str, ...] = ("none",)
    transfers: tuple[str, ...] = ("files",)
    users: tuple[Ids, ...] = (NOT_ROOT,)
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    gpus: tuple[str, ...] = EVERYTHING
    tiers: tuple[str, ...] = EVERYTHING
    max_memory_bytes: int | None = None
    max_cpus: float | None = None
    max_gpus: int | None = None
    node_seconds: float | None = None
    flow_seconds: float | None = None
    max_nodes: int | None = None
    max_upload_bytes: int | None = None
    max_artifact_bytes: int | None = None
    max_log_bytes: int | None = None
    runtimes: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[str, ...] = EVERYTHING

    # ── Who and where ────────────────────────────────────────────────────────────────────────────────────────────

    def image_objection(self, reference: str) -> str:
        """Why the image of this reference may not be used; empty when it may."""
        if self.digests_only and "@sha256:" not in reference:
            return "it allows images by digest only (name@sha256:…)"
        if self.images == EVERYTHING and not self.denied_images:
            return ""
        if _ID.fullmatch(reference):
            return "it judges images by name, and this is an id"
        forms = _forms(reference)
        if any(_matches(self.denied_images, form) for form in forms):
            return "it denies this image"
        # A tag says nothing beside a digest: only who allows the digest, or every tag, allows both.
        patterns = [pattern for pattern in self.images if "@" in pattern] if "@" in reference else self.images
        plain = [form for form in forms if not _TAG.search(form)]
        if any(_matches(patterns, form) for form in forms) or any(_matches(self.images, form) for form in plain):
            return ""
        return f"it allows {listed(self.images)}"

    def type_objection(self, uses: str) -> str:
        """The same for a node type, `Publisher/Name`."""
        if _matches(self.denied_types, uses):
            return "it denies this type"
        return "" if _matches(self.types, uses) else f"it allows {listed(self.types)}"

    def user_objection(self, user: str) -> str:
        """The same for `uid` or `uid:gid`."""
        allowed = listed(map(str, self.users))
        for number in user.split(":"):
            if not number.isdecimal() or not any(ids.first <= int(number) <= ids.last for ids in self.users):
                return f"it allows the users and groups {allowed}"
        return ""

    def network_objection(self, network: str) -> str:
        """The same for a network's name."""
        return "" if network in self.networks else f"it allows {listed(self.networks)}"

    def transfer_objection(self, transfer: str) -> str:
        """The same for a way of transfer."""
        return "" if transfer in self.transfers else f"it allows {listed(self.transfers)}"

    def store_objection(self, endpoint: str) -> str:
        """The same for the endpoint of a store that a flow brings along, such as `https://s3.example.org:9000`."""
        host = endpoint.partition("://")[2] or endpoint
        host = host.partition("/")[0].rpartition("@")[2].lower()
        forms = (host, re.sub(r":[0-9]*$", "", host))
        return "" if any(_matches(self.stores, form) for form in forms) else f"it allows {listed(self.stores)}"

    # ── What for ─────────────────────────────────────────────────────────────────────────────────────────────────

    def capability_objection(self, capability: str) -> str:
        """The same for a capability, with `CAP_` before it or without."""
        if capability_name(capability) in self.capabilities:
            return ""
        return f"it allows {listed(self.capabilities)}"

    def device_objection(self, device: str) -> str:
        """The same for the path of a device."""
        return "" if device in self.devices else f"it allows {listed(self.devices)}"

    def gpu_objection(self, vendor: str, count: int) -> str:
        """The same for so many GPUs of a vendor."""
        if count and not _matches(self.gpus, vendor):
            return f"it allows GPUs of {listed(self.gpus)}"
        if self.max_gpus is not None and count > self.max_gpus:
            return f"it allows {self.max_gpus} GPUs"
        return ""

    # ── How much ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tier_objection(self, tier: Tier) -> str:
        """The same for a tier: its name, its size, its GPUs."""
        if not _matches(self.tiers, tier.name):
            return f"it allows {listed(self.tiers)}"
        return self.size_objection(memory_bytes=tier.memory_bytes, cpus=tier.cpus) or self.gpu_objection(
            tier.gpu_vendor, tier.gpus
        )

    def size_objection(self, *, memory_bytes: int, cpus: float) -> str:
        """The same for the size of a container."""
        if self.max_memory_bytes is not None and memory_bytes > self.max_memory_bytes:
            return f"it allows {size_text(self.max_memory_bytes)} of memory"
        if self.max_cpus is not None and cpus > self.max_cpus:
            return f"it allows {self.max_cpus:g} CPUs"
        return ""

    def node_timeout_objection(self, seconds: float) -> str:
        """The same for how long an attempt may take."""
        return _too_long(seconds, self.node_seconds)

    def flow_timeout_objection(self, seconds: float) -> str:
        """The same for how long a run may take."""
        return _too_long(seconds, self.flow_seconds)

    def runtime_of(self, tier: str) -> str:
        """The runtime for containers of the tier; empty: the engine's own choice. The first pattern that fits."""
        return next((runtime for pattern, runtime in self.runtimes.items() if fnmatchcase(tier, pattern)), "")


OPEN = Policy(
    denied_types=(),
    networks=("none", "bridge"),
    transfers=("files", "urls"),
    users=(Ids(0, LARGEST_ID),),
)
"""Allows whatever pupload can do."""


def capability_name(text: str) -> str:
    """As the engine names it: capitals, without `CAP_`."""
    return text.upper().removeprefix("CAP_")


def listed(allowed: Iterable[str]) -> str:
    """What is allowed, for a sentence."""
    names = list(allowed)
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more]) or "none"


def _too_long(seconds: float, most: float | None) -> str:
    return "" if most is None or seconds <= most else f"it allows {duration.text(most)} at most"


def _matches(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _forms(reference: str) -> list[str]:
    """
    What people may mean by the reference: its long and its short name, each alone, with its tag, with its digest.

    `busybox` is `docker.io/library/busybox`, and so is `index.docker.io/busybox`.
    """
    name, at, digest = reference.partition("@")
    path, slash, last = name.rpartition("/")
    base, colon, tag = last.partition(":")
    whole = f"{path}{slash}{base}"
    host, _, rest = whole.partition("/")
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", whole
    host = "docker.io" if host.lower() in ("index.docker.io", "registry-1.docker.io") else host.lower()
    if host == "docker.io":
        rest = rest.removeprefix("library/")
        names = [f"docker.io/{rest if '/' in rest else f'library/{rest}'}", f"docker.io/{rest}", rest]
    else:
        names = [f"{host}/{rest}"]
    endings = {"", f"{colon}{tag or 'latest'}" if colon else ":latest", f"{at}{digest}", f"{colon}{tag}{at}{digest}"}
    return [f"{each}{ending}" for each in names for ending in sorted(endings)]
