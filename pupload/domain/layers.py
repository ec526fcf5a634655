"""
Large mappings and sets of which a little changes at a time, as values.

Each change makes a new value and leaves the old one as it was. Small ones are plain dicts and frozensets, copied
whole. A large one is a base, which the values before and after share, and what differs from it; when that has grown
to some times the root of the base's size a new base is made. So a change costs the root of the size, and a look-up two.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

V = TypeVar("V")

SMALL = 256
"""Up to this size copying is cheaper than anything else."""

ROOTS = 4
"""Times the root of its size, what may differ from a base. Many changes come together, and the base is copied once."""


def changed(before: Mapping[str, V], changes: Mapping[str, V]) -> Mapping[str, V]:
    """The mapping with these items in place of, or beside, its own; in the order of a dict that was updated."""
    if len(before) <= SMALL:
        return {**before, **changes}
    layered = before if isinstance(before, _Layered) else _Layered({**before}, {}, 0)
    return layered.changed(changes)


def moved(before: AbstractSet[str], changes: Mapping[str, bool]) -> AbstractSet[str]:
    """The set with what is True in `changes`, and without what is False."""
    if len(before) <= SMALL:
        comes = frozenset(member for member, there in changes.items() if there)
        return frozenset(before).difference(changes) | comes
    layered = before if isinstance(before, _Members) else _Members(frozenset(before), {}, len(before))
    return layered.moved(changes)


class _Layered(Mapping[str, V]):
    """A base and what lies over it."""

    __slots__ = ("_base", "_over", "_size")

    def __init__(self, base: dict[str, V], over: dict[str, V], more: int) -> None:
        """`more` is how many of the keys in `over` are not in `base`. Neither is changed any more."""
        self._base, self._over, self._size = base, over, len(base) + more

    def changed(self, changes: Mapping[str, V]) -> "_Layered[V]":
        """See `changed`."""
        base, over = self._base, {**self._over, **changes}
        if len(over) ** 2 > ROOTS**2 * len(base):
            return _Layered({**base, **over}, {}, 0)
        more = self._size - len(base)
        more += sum(key not in base and key not in self._over for key in changes)
        return _Layered(base, over, more)

    def __getitem__(self, key: str) -> V:
        return self._over[key] if key in self._over else self._base[key]

    def __contains__(self, key: object) -> bool:
        return key in self._over or key in self._base

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return iter(self._flat())

    def items(self) -> Any:
        """All at once: going through them one by one would take many times as long."""
        return self._flat().items()

    def values(self) -> Any:
        """As `items`."""
        return self._flat().values()

    def _flat(self) -> dict[str, V]:
        return {**self._base, **self._over} if self._over else self._base


class _Members(AbstractSet[str]):
    """A base, and who has come and gone since."""

    __slots__ = ("_base", "_over", "_size")

    def __init__(self, base: frozenset[str], over: dict[str, bool], size: int) -> None:
        """`size` is how many there are in all."""
        self._base, self._over, self._size = base, over, size

    def moved(self, changes: Mapping[str, bool]) -> AbstractSet[str]:
        """See `moved`."""
        over = {**self._over, **changes}
        if len(over) ** 2 > ROOTS**2 * len(self._base):
            return self._base.difference(over) | {member for member, there in over.items() if there}
        size = self._size + sum(there - (member in self) for member, there in changes.items())
        return _Members(self._base, over, size)

    @classmethod
    def _from_iterable(cls, members: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        """What comes of two sets, as `AbstractSet` makes it."""
        return frozenset(members)

    def __contains__(self, member: object) -> bool:
        there = self._over.get(member)  # type: ignore[call-overload]
        return member in self._base if there is None else bool(there)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        yield from (member for member in self._base if self._over.get(member, True))
        yield from (member for member, there in self._over.items() if there and member not in self._base)
