"""
Collections: many artifacts, in their order, on one edge.

Each item has an edge of its own behind the collection's: `photos` has `photos.0`, `photos.1` and so on. A node that
runs once for each item has a node of its own for each likewise. The collection's artifact stands for all of them: it is
no object, and tells how many places there are. A place is empty where what was to fill it failed and need not have.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pupload.domain import mime
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
    return (found for _, found in placed(collection, artifacts))


def placed(collection: Artifact, artifacts: Mapping[str, Artifact]) -> Iterator[tuple[int, Artifact]]:
    """The same, each with its place."""
    if collection.items is None:
        yield 0, collection
        return
    for place in range(collection.items):
        if (found := artifacts.get(item(collection.edge, place))) is not None:
            yield place, found


def without_items(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """Those that are no items of collections among them: a collection tells how many it has."""
    every = tuple(artifacts)
    collections = {one.edge for one in every if one.items is not None}
    if not collections:
        return every
    return tuple(one for one in every if (part_of(one.edge) or ("", 0))[0] not in collections)


def called_after(made: Artifact, source: Artifact) -> Artifact:
    """What was made of an item, called as that is, with the extension of what it is itself."""
    if made.file_name or not source.file_name:
        return made
    name = source.file_name
    if made.content_type != source.content_type:
        stem, dot, _ = name.rpartition(".")
        name = (stem if dot and stem else name) + mime.extension(made.content_type)
    return replace(made, file_name=name)


def whole(
    made: Sequence[Artifact | None],
    *,
    edge: str,
    store: str,
    key: str,
    created_at: datetime,
    node: str | None = None,
    attempt: int | None = None,
) -> Artifact:
    """
    The collection of these items, None for an empty place; `key` is what the items' keys begin with.

    Its hash is over a line for each place: the item's hash, a space and its name; nothing where the place is empty.
    """
    there = [one for one in made if one is not None]
    types = {one.content_type for one in there}
    lines = ("" if one is None else f"{one.sha256} {one.file_name}" for one in made)
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode())
    return Artifact(
        edge=edge,
        store=store,
        key=key,
        size=sum(one.size for one in there),
        content_type=types.pop() if len(types) == 1 else mime.UNKNOWN,
        sha256=digest.hexdigest(),
        etag="",
        created_at=created_at,
        node=node,
        attempt=attempt,
        items=len(made),
    )
