"""
How the servers that share one container engine share its room.

Each holds a claim: so much it may hand out. A claim grows only by what nobody else has claimed, so the claims never
add up to more than there is; and who wants more than there is left gets an even part, as the others let go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So much of an engine's room."""

    memory_bytes: int = 0
    cpus: float = 0.0
    gpus: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a server may hand out, and whether it would take more."""

    share: Share = Share()
    hungry: bool = False


def reserved(share: Share, *, held: Share) -> Share:
    """What others must leave to one that was granted this share, and whose live attempts hold so much."""
    return Share(**{one.name: max(getattr(share, one.name), getattr(held, one.name)) for one in fields(Share)})


def granted(wanted: Share, *, held: Share, hungry: bool, of: Share, others: Sequence[Claim]) -> Share:
    """
    How much one server may claim of the room `of`, in which these others have their claims.

    All of it where there are no others. Else nothing beyond what is `wanted` and what the others leave. One that is
    not hungry gets no more than that; of those that are, nobody gets more than an even part of what the others leave
    to them, but for what its live attempts hold already.
    """
    if not others:
        return of
    found = {}
    for one in fields(Share):
        wish, kept, whole = (getattr(share, one.name) for share in (wanted, held, of))
        free = max(whole - sum(getattr(other.share, one.name) for other in others), 0)
        if hungry:
            wish = min(wish, max(_even(whole, one.name, others), kept))
        found[one.name] = max(min(wish, free), 0)
    return Share(**found)


def _even(whole: float, name: str, others: Sequence[Claim]) -> float:
    """An even part of what those leave that are not hungry, in whole units where the units are whole."""
    left = max(whole - sum(getattr(other.share, name) for other in others if not other.hungry), 0)
    many = 1 + sum(other.hungry for other in others)
    part: float = left // many if isinstance(whole, int) else left / many
    return part
