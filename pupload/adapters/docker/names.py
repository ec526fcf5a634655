"""
What our containers are called, and how they are told from everybody else's.

The name makes a start idempotent (the engine has one container of a name); the labels say whose it is. Both follow from
the instance and the attempt alone, so that another process finds what this one made.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pupload import errors
from pupload.domain import run

INSTANCE = "pupload.instance"
RUN = "pupload.run"
NODE = "pupload.node"
ATTEMPT = "pupload.attempt"

_LONGEST = 128
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one instance's containers."""

    instance: str
    """Of this installation: two on one engine leave each other alone."""

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.instance):
            raise errors.Misconfigured(
                reason=f"the instance name {self.instance!r} must be up to 63 letters, digits, '.', '_' or '-'"
            )

    def container(self, attempt: run.AttemptRef) -> str:
        """Unique to the attempt, and accepted by the engine; a long one ends in a hash of the whole."""
        name = f"pupload-{self.instance}-{attempt.id}"
        if len(name) <= _LONGEST:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return f"{name[: _LONGEST - 33]}-{digest}"

    def labels(self, attempt: run.AttemptRef) -> dict[str, str]:
        """What every container of the attempt carries."""
        return {INSTANCE: self.instance, RUN: attempt.run, NODE: attempt.node, ATTEMPT: str(attempt.number)}

    def attempt(self, labels: Mapping[str, str]) -> run.AttemptRef | None:
        """Whose container carries these labels; None when it is none of this instance's."""
        if labels.get(INSTANCE) != self.instance or not {RUN, NODE, ATTEMPT} <= labels.keys():
            return None
        number = labels[ATTEMPT]
        if not number.isdecimal():
            return None
        return run.AttemptRef(run=labels[RUN], node=labels[NODE], number=int(number))

    @property
    def label(self) -> str:
        """The label by which the engine lists what is ours."""
        return f"{INSTANCE}={self.instance}"
