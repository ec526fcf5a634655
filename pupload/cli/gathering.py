"""Collections: their items, asked for page by page, and brought here as files of one folder."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pupload.client import Answer, Client
from pupload.domain import collection, itemnames

PAGE = 1000
"""Items that are asked for at once."""


async def items(client: Client, run: Answer, artifact: Answer) -> Mapping[int, Answer]:
    """The artifacts of the collection's items by their places, in their order; places may be empty."""
    found: dict[int, Answer] = {}
    for offset in range(0, artifact["Items"], PAGE):
        page = await client.items(run["ID"], artifact["EdgeName"], offset=offset, limit=PAGE)
        for edge, each in page["Artifacts"].items():
            if (placed := collection.part_of(edge)) is not None:
                found[placed[1]] = each
    return dict(sorted(found.items()))


async def download(
    client: Client, run: Answer, artifact: Answer, folder: Path, *, on_progress: Callable[[int], None]
) -> Path:
    """Makes each item a file in `folder`, which is returned. Raises as `Client.download`."""
    await asyncio.to_thread(os.makedirs, folder, exist_ok=True)
    found = await items(client, run, artifact)
    for place, name in _names(found).items():
        await client.download(found[place], folder / name, on_progress=on_progress)
    return folder


def _names(found: Mapping[int, Answer]) -> Mapping[int, str]:
    """Their own where each has one that is plain and no other has; else behind the numbers of their places."""
    own = {place: each.get("FileName", "") for place, each in found.items()}
    if all(itemnames.is_plain(name) for name in own.values()) and len(set(own.values())) == len(own):
        return own
    return {place: itemnames.numbered(place, name or found[place]["EdgeName"]) for place, name in own.items()}
