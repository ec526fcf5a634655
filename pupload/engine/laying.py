"""
The items of a collection, laid out for a node: a directory of files in the place where a single input has its file.
"""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from pupload.domain import collection, itemnames
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.engine.tasks import each_of
from pupload.ports import Hands

AT_ONCE = 16
"""Items on their way from their stores at the same time."""

Fetch = Callable[[Artifact, Path, bool], Awaitable[None]]
"""Brings an item to a path; whether nothing is there yet is known."""


async def lay_out(run: Run, whole: Artifact, directory: Path, *, fetch: Fetch, hands: Hands) -> None:
    """
    The items of the collection are in the directory afterwards, and nothing else; what is none is its only item.

    Raises what `fetch` raises.
    """
    there = await hands.do(_made, directory)
    placed = list(collection.placed(whole, run.artifacts))
    names = itemnames.of_files(placed)
    wanted = [(item, name) for (_, item), name in zip(placed, names, strict=True)]

    async def bring(one: tuple[Artifact, str]) -> None:
        item, name = one
        await fetch(item, directory / name, name not in there)

    await each_of(wanted, bring, at_once=AT_ONCE)
    if strange := there.difference(names):
        await hands.do(_remove, directory, strange)


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
