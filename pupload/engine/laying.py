"""
The items of a collection, laid out for a node: a directory of files in the place where a single input has its file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pupload.domain import collection, itemnames
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.engine.clearing import clear
from pupload.engine.tasks import each_of
from pupload.ports import Hands

AT_ONCE = 16
"""Items on their way from their stores at the same time."""

TOGETHER, GROUPS_AT_ONCE = 64, 2
"""Items that a store is asked for at once, where it gives many, and how often: only one can make a file at a time."""

Fetch = Callable[[Artifact, Path, bool], Awaitable[None]]
"""Brings an item to a path; whether nothing is there yet is known."""

Group = Sequence[tuple[Artifact, Path]]
"""Items of one store, and where they are to be, with nothing there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How items are brought."""

    fetch: Fetch
    fetch_group: Callable[[Group], Awaitable[None]]
    gives_many: Callable[[str], bool]
    """Whether the store of this name does; from others items come one by one."""


async def lay_out(run: Run, whole: Artifact, directory: Path, *, ways: Ways, hands: Hands) -> None:
    """
    The items of the collection are in the directory afterwards, and nothing else; what is none is its only item.

    Raises what the `ways` raise.
    """
    there = await hands.do(_made, directory)
    placed = list(collection.placed(whole, run.artifacts))
    names = itemnames.of_files(placed)
    wanted = [(item, directory / name) for (_, item), name in zip(placed, names, strict=True)]
    many = {store for store in {item.store for item, _ in wanted} if ways.gives_many(store)}
    together = [one for one in wanted if one[0].store in many and one[1].name not in there]

    async def bring(one: tuple[Artifact, Path]) -> None:
        item, path = one
        await ways.fetch(item, path, path.name not in there)

    await each_of(list(_groups(together)), ways.fetch_group, at_once=GROUPS_AT_ONCE)
    if len(together) < len(wanted):
        brought = {path for _, path in together}
        await each_of([one for one in wanted if one[1] not in brought], bring, at_once=AT_ONCE)
    if strange := there.difference(names):
        await hands.do(_remove, directory, strange)


def _groups(wanted: Group) -> Iterator[Group]:
    """As many at a time as a store is asked for at once."""
    for store in sorted({item.store for item, _ in wanted}):
        own = [one for one in wanted if one[0].store == store]
        yield from (own[first : first + TOGETHER] for first in range(0, len(own), TOGETHER))


def _made(directory: Path) -> frozenset[str]:
    """What is in the directory, which is there afterwards; blocking."""
    try:
        directory.mkdir()
    except FileExistsError:
        return frozenset(entry.name for entry in directory.iterdir())
    directory.chmod(0o755)
    return frozenset()


def _remove(directory: Path, names: Iterable[str]) -> None:
    """What an earlier start had begun to bring, and never finished."""
    for name in names:
        (directory / name).unlink(missing_ok=True)


async def remove_others(names: Collection[str], inputs: Path) -> None:
    """
    These, which are none of the inputs, are gone afterwards: an earlier process may have laid them for an end of
    another attempt that did not come. Hidden ones are not inputs at all.
    """
    for name in names:
        if not name.startswith("."):
            await asyncio.to_thread(clear, inputs / name)
