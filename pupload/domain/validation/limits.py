"""What this deployment allows and has: the part of validation and planning that the operator decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pupload.domain import reach
from pupload.domain.policy import OPEN, Policy
from pupload.domain.tiers import Capacity, Tier, find

TRANSFERS = ("files", "urls")

PROGRESS = ("ffmpeg",)
"""Built-in parsers of progress lines."""


ANYWHERE = reach.Policy(private=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A flow must keep to these. The defaults allow all that pupload can do."""

    max_nodes: int = 100_000
    max_items: int = 10_000
    """Of a collection."""
    max_flag_bytes: int = 64 * 1024
    """Of one flag's value in UTF-8."""
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    """The operator's own, beside `tiers.TABLE`, and in place of those of the same name."""
    capacity: Capacity | None = None
    """The largest machine of the deployment; None when that is not known, and then every tier is taken to fit."""
    overcommit_cpu: bool = False
    """Whether a tier may ask for more CPUs than there are."""
    clamp: bool = False
    """Whether a tier larger than the machine is made smaller instead of refused; GPUs never are."""
    policy: Policy = OPEN
    """What the operator lets nodes have."""
    callback_http: bool = True
    """Whether callbacks may be sent in plain text."""
    callback_reach: reach.Policy = ANYWHERE
    """Which addresses callbacks may be sent to."""
    secrets: frozenset[str] | None = None
    """The names of the secrets that there are; None when that is not known, and then every name is taken for one."""
    default_store: bool = True
    """Whether the server has a store of its own, named `default`."""

    def tier(self, name: str) -> Tier | None:
        """The tier of that name as this deployment knows it."""
        return find(name, self.tiers)
