"""
The gate's programs, one for each kind of processor; what the gate does stands at the head of `gate.c`.

They are built by `scripts/gate` and lie in the tree, because those who install pupload have no compiler.
"""

import platform
from functools import cache
from importlib import resources

GAVE_UP = 213
"""The gate's exit code when it became nothing: its other end went away, or the command could not be executed."""

_PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}
"""As images spell them, and as kernels do."""


@cache
def program(architecture: str) -> bytes | None:
    """The gate for images of this architecture; None where there is none, or it is not this machine's own."""
    processor = _PROCESSORS.get(architecture)
    if processor is None or processor != platform.machine():
        return None
    return resources.files(__name__).joinpath(processor).read_bytes()
