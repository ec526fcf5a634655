"""The size of machine a node asks for."""

from dataclasses import dataclass


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
