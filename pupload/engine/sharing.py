"""
The room of a container engine that several controllers use.

Each hands out only what it has claimed; who is alone has all of it. A claim is made anew at every beat of the lease,
and at once when somebody waits here or room came free, unless this controller is alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from math import inf, isinf
from operator import add
from typing import Any

from pupload.domain.tiers import Tier
from pupload.engine.admission import Admission, Room
from pupload.ports import Controller, Ids, Ownership, Share

NOTHING = Room(cpus=0.0, memory_bytes=0, gpus={}, attempts=0)


class Sharing:
    """Claims room, and lets admission hand it out."""

    def __init__(self, *, ownership: Ownership, admission: Admission, me: Controller, ids: Ids) -> None:
        self._ownership = ownership
        self._admission = admission
        self._me = me
        self._ids = ids
        self._starves = False
        self._share = Share()
        """What was applied last."""
        self.alone = True
        """Whether no other controller uses this engine, as far as was heard."""

    def hear_of(self, others: Iterable[Controller]) -> None:
        """These are the other controllers that are alive."""
        self.alone = not any(other.engine == self._me.engine for other in others)

    def reset(self) -> None:
        """Nothing more is handed out until it was claimed."""
        self._admission.limit_to(NOTHING)
        self._share = Share()

    async def claim(self) -> Share:
        """
        What may be handed out from now on; `apply` it once everything is known that is held here.

        Until then nothing more is: what others hear that we hold and want must stay true.
        """
        self._admission.limit_to(NOTHING)
        whole = _share(self._admission.room)
        held = _sum(self._admission.holders.values())
        waiting = self._admission.waiting
        # Two that cannot start anything with an even part would wait for each other: by chance one lets the other go.
        hungry = bool(waiting) and not (self._starves and self._ids.fraction() < 0.5)
        wanted = _each(min, _each(add, held, _sum(waiting)), whole) if hungry else held
        return await self._ownership.claim(wanted, held=held, hungry=hungry, of=whole)

    def is_more(self, share: Share) -> bool:
        """Whether it is more of anything than what is handed out now."""
        return _each(max, share, self._share) != self._share

    def apply(self, share: Share) -> None:
        """So much is handed out here from now on."""
        self._share, whole = share, self._admission.room
        if share == _share(whole):
            self._admission.limit_to(whole)
            return
        self._admission.limit_to(
            Room(
                cpus=inf if isinf(whole.cpus) else share.cpus,
                memory_bytes=share.memory_bytes,
                gpus=_gpus(whole.gpus, share.gpus),
                attempts=share.attempts,
            )
        )
        # With all that we got nobody could start.
        self._starves = bool(self._admission.waiting) and not self._admission.holders


def _share(room: Room) -> Share:
    return Share(
        memory_bytes=room.memory_bytes,
        cpus=0.0 if isinf(room.cpus) else room.cpus,
        gpus=sum(room.gpus.values()),
        attempts=room.attempts,
    )


def _sum(tiers: Iterable[Tier]) -> Share:
    found = list(tiers)
    return Share(
        memory_bytes=sum(tier.memory_bytes for tier in found),
        cpus=sum(tier.cpus for tier in found),
        gpus=sum(tier.gpus for tier in found),
        attempts=len(found),
    )


def least(one: Share, other: Share) -> Share:
    """What both have."""
    return _each(min, one, other)


def _each(how: Callable[[Any, Any], Any], one: Share, other: Share) -> Share:
    return Share(**{name.name: how(getattr(one, name.name), getattr(other, name.name)) for name in fields(Share)})


def _gpus(whole: Mapping[str, int], claimed: int) -> dict[str, int]:
    """So many of them, by vendor: those of one vendor first, for most engines have no other."""
    found = {}
    for vendor in sorted(whole):
        found[vendor] = min(whole[vendor], claimed)
        claimed -= found[vendor]
    return found
