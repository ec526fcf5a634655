"""
Collections: many artifacts, in their order, on one edge.

Each item has an edge of its own behind the collection's: `photos` has `photos.0`, `photos.1` and so on. A node that
runs once for each item has a node of its own for each likewise. The collection's artifact stands for all of them: it is
no object, and tells how many places there are. A place is empty where what was to fill it failed and need not have.
"""

from collections.abc import Iterator, Mapping

from pupload.domain.artifact import Artifact


def item(name: str, place: int) -> str:
    """What the item at this place of an edge or a node is called; places begin with 0."""
    return f"{name}.{place}"


def part_of(name: str) -> tuple[str, int] | None:
    """Whose item it may be, and its place; None for what can be nobody's."""
    whole, _, place = name.rpartition(".")
    return (whole, int(place)) if whole and place.isdecimal() and item(whole, int(place)) == name else None


def items(collection: Artifact, artifacts: Mapping[str, Artifact]) -> Iterator[Artifact]:
    """Those that there are, in their order; what is no collection is the only item of its own."""
    if collection.items is None:
        yield collection
        return
    for place in range(collection.items):
        if (found := artifacts.get(item(collection.edge, place))) is not None:
            yield found
