"""
The size of machine a node asks for.

A tier's name is its family and a size, such as `c-small`. The table here is everybody's; an operator may add to it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

ANY_VENDOR = "any"

_UNITS = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmgt]?)i?b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What one attempt may use: hard limits, not hints."""

    name: str
    cpus: float
    memory_bytes: int
    """Memory and swap together."""
    storage_bytes: int
    gpus: int = 0
    gpu_vendor: str = ""
    """`nvidia`, `amd`, `intel`, `apple`, or `any`; empty without GPUs."""
    gpu_memory_bytes: int = 0

    @property
    def family(self) -> str:
        """What comes before the size: `c` of `c-small`; the whole name where there is no size."""
        return self.name.split("-", 1)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a machine has in all."""

    cpus: float
    memory_bytes: int
    storage_bytes: int
    gpus: Mapping[str, int] = field(default_factory=dict)
    """Count by vendor."""
    gpu_memory_bytes: Mapping[str, int] = field(default_factory=dict)
    """Of the smallest, by vendor."""


def parse_size(text: str) -> int:
    """
    Bytes of a size such as `512mb`, `1.5GB` or `10 GiB`; units are powers of 1024, in either spelling.

    Raises ValueError with a sentence.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a size: write a number and b, kb, mb, gb or tb, such as 512mb")
    number, unit = found.groups()
    return int(float(number) * _UNITS[f"{unit.lower()}b"])


def size_text(number: float) -> str:
    """Bytes for a sentence: `512 MiB`, `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.1f}".removesuffix(".0") + f" {unit}"
        number /= 1024
    return f"{number:.1f}".removesuffix(".0") + " TiB"


def _tier(name: str, cpus: int, memory: str, storage: str, vendor: str = "", gpu_memory: str = "0b") -> Tier:
    return Tier(
        name=name,
        cpus=float(cpus),
        memory_bytes=parse_size(memory),
        storage_bytes=parse_size(storage),
        gpus=1 if vendor else 0,
        gpu_vendor=vendor,
        gpu_memory_bytes=parse_size(gpu_memory),
    )


TABLE: Mapping[str, Tier] = {
    tier.name: tier
    for tier in (
        # c: as much memory as it takes to compute
        _tier("c-nano", 1, "512mb", "10gb"),
        _tier("c-micro", 1, "1gb", "10gb"),
        _tier("c-small", 2, "2gb", "20gb"),
        _tier("c-medium", 4, "4gb", "50gb"),
        _tier("c-large", 8, "8gb", "100gb"),
        _tier("c-xlarge", 16, "16gb", "250gb"),
        _tier("c-2xlarge", 32, "32gb", "500gb"),
        _tier("c-4xlarge", 64, "64gb", "1tb"),
        # m: more memory
        _tier("m-small", 2, "4gb", "20gb"),
        _tier("m-medium", 4, "16gb", "50gb"),
        _tier("m-large", 8, "32gb", "100gb"),
        _tier("m-xlarge", 16, "64gb", "250gb"),
        _tier("m-2xlarge", 32, "128gb", "500gb"),
        _tier("m-4xlarge", 64, "256gb", "1tb"),
        # g: a GPU of any vendor; gn, ga, gi, gm: of NVIDIA, AMD, Intel, Apple
        _tier("g-micro", 4, "8gb", "20gb", "any", "2gb"),
        _tier("g-small", 4, "16gb", "100gb", "any", "8gb"),
        _tier("gn-small", 4, "16gb", "100gb", "nvidia", "8gb"),
        _tier("ga-small", 4, "16gb", "100gb", "amd", "8gb"),
        _tier("gi-small", 4, "16gb", "100gb", "intel", "8gb"),
        _tier("g-medium", 8, "32gb", "250gb", "any", "16gb"),
        _tier("gn-medium", 8, "32gb", "250gb", "nvidia", "16gb"),
        _tier("ga-medium", 8, "32gb", "250gb", "amd", "16gb"),
        _tier("gi-medium", 8, "32gb", "250gb", "intel", "16gb"),
        _tier("g-large", 12, "48gb", "500gb", "any", "24gb"),
        _tier("gn-large", 12, "48gb", "500gb", "nvidia", "24gb"),
        _tier("ga-large", 12, "48gb", "500gb", "amd", "24gb"),
        _tier("gi-large", 12, "48gb", "500gb", "intel", "48gb"),
        _tier("g-xlarge", 16, "64gb", "1tb", "any", "40gb"),
        _tier("gn-xlarge", 16, "64gb", "1tb", "nvidia", "40gb"),
        _tier("ga-xlarge", 16, "64gb", "1tb", "amd", "32gb"),
        _tier("gi-xlarge", 16, "64gb", "1tb", "intel", "64gb"),
        _tier("g-2xlarge", 24, "96gb", "1tb", "any", "80gb"),
        _tier("gn-2xlarge", 24, "96gb", "1tb", "nvidia", "80gb"),
        _tier("ga-2xlarge", 24, "96gb", "1tb", "amd", "64gb"),
        _tier("gm-small", 8, "16gb", "250gb", "apple", "16gb"),
        _tier("gm-medium", 10, "32gb", "500gb", "apple", "32gb"),
        _tier("gm-large", 12, "48gb", "1tb", "apple", "48gb"),
        _tier("gm-xlarge", 16, "64gb", "1tb", "apple", "64gb"),
        _tier("gm-2xlarge", 24, "128gb", "2tb", "apple", "128gb"),
    )
}
"""Everybody's tiers. Names that the original had switched off (`pn-`, `pa-`, `hn-`, `ha-`) are not among them."""


def find(name: str, extra: Mapping[str, Tier] | None = None) -> Tier | None:
    """The tier of that name, the operator's own first; None when there is none."""
    return (extra or {}).get(name) or TABLE.get(name)


def lacking(tier: Tier, capacity: Capacity, *, overcommit_cpu: bool = False) -> tuple[str, ...]:
    """What the machine has too little of, each as `8 CPUs where there are 2`; nothing when the tier fits."""
    lacks = []
    if tier.cpus > capacity.cpus and not overcommit_cpu:
        lacks.append(f"{tier.cpus:g} CPUs where there are {capacity.cpus:g}")
    if tier.memory_bytes > capacity.memory_bytes:
        lacks.append(f"{size_text(tier.memory_bytes)} of memory where there are {size_text(capacity.memory_bytes)}")
    if tier.storage_bytes > capacity.storage_bytes:
        lacks.append(f"{size_text(tier.storage_bytes)} of storage where there are {size_text(capacity.storage_bytes)}")
    if tier.gpus and not _gpus_fit(tier, capacity):
        lacks.append(f"{_gpu_text(tier)} where there is {_gpus_text(capacity)}")
    return tuple(lacks)


def fits(tier: Tier, capacity: Capacity, *, overcommit_cpu: bool = False) -> bool:
    """Whether an otherwise idle machine can hold one attempt of the tier."""
    return not lacking(tier, capacity, overcommit_cpu=overcommit_cpu)


def clamped(tier: Tier, capacity: Capacity) -> Tier:
    """The tier, made as small as the machine where it is larger; GPUs stay, for they cannot be cut."""
    return replace(
        tier,
        cpus=min(tier.cpus, capacity.cpus),
        memory_bytes=min(tier.memory_bytes, capacity.memory_bytes),
        storage_bytes=min(tier.storage_bytes, capacity.storage_bytes),
    )


def larger(tier: Tier, extra: Mapping[str, Tier] | None = None) -> tuple[Tier, ...]:
    """The tiers of the same family with more memory, the smallest first, one for each amount of memory."""
    steps: dict[int, Tier] = {}
    for other in sorted({**TABLE, **(extra or {})}.values(), key=lambda other: (other.cpus, other.name)):
        if other.family == tier.family and other.memory_bytes > tier.memory_bytes:
            steps.setdefault(other.memory_bytes, other)
    return tuple(steps[memory] for memory in sorted(steps))


def next_larger(tier: Tier, extra: Mapping[str, Tier] | None = None) -> Tier | None:
    """The next tier of the same family by memory; None for the largest."""
    return next(iter(larger(tier, extra)), None)


def _gpus_fit(tier: Tier, capacity: Capacity) -> bool:
    vendors = capacity.gpus if tier.gpu_vendor == ANY_VENDOR else (tier.gpu_vendor,)
    return any(
        capacity.gpus.get(vendor, 0) >= tier.gpus and capacity.gpu_memory_bytes.get(vendor, 0) >= tier.gpu_memory_bytes
        for vendor in vendors
    )


def _gpu_text(tier: Tier) -> str:
    vendor = "" if tier.gpu_vendor == ANY_VENDOR else f" of {tier.gpu_vendor}"
    return f"{tier.gpus} GPU{'s' if tier.gpus > 1 else ''}{vendor} with {size_text(tier.gpu_memory_bytes)}"


def _gpus_text(capacity: Capacity) -> str:
    there = [
        f"{count} of {vendor} with {size_text(capacity.gpu_memory_bytes.get(vendor, 0))}"
        for vendor, count in sorted(capacity.gpus.items())
        if count
    ]
    return " and ".join(there) or "none"
