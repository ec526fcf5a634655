"""
An upload made an artifact in one step: for the engine, which would ask four times else.

The copy is of the object as it is when its row is read: whoever puts another meanwhile changes nothing about it. Like
every copy here it is a second name for the same bytes.
"""

from dataclasses import dataclass, replace

from pupload.adapters.s3.embedded import rows, sending
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store


@dataclass(frozen=True, slots=True)
class Sealed:
    """The copy, its hash and its first bytes."""

    stored: rows.StoredObject
    sha256: str
    head: bytes


async def seal(store: Store, bucket: str, source: str, target: str, *, head_bytes: int, most_bytes: int) -> Sealed:
    """
    The object at `source` is at `target`, too, afterwards. May be repeated.

    Raises `Refusal`: NoSuchKey, InsufficientStorage; EntityTooLarge above `most_bytes`.
    """
    async with store.reading(bucket, source) as found:
        if found.size > most_bytes:
            raise Refusal("EntityTooLarge", ProposedSize=str(found.size), MaxSizeAllowed=str(most_bytes))
        sha256 = await store.digests.of(found)
        async with store.room.promised(found.size, on_disk=True):
            extents, head = await store.in_thread(lambda: _twins_and_head(store, found, head_bytes))
            new = replace(found, key=target, modified_ms=store.now_ms(), sha256=sha256, extents=extents)
            made = [extent.blob for extent in extents]
            stored = await store.commit(lambda change: rows.put(change, new, Conditions()), made)
    return Sealed(stored, sha256, head)


def _twins_and_head(store: Store, found: rows.StoredObject, head_bytes: int) -> tuple[tuple[rows.Extent, ...], bytes]:
    head = _head(store, found, head_bytes)
    made = store.blobs.twins(extent.blob for extent in found.extents)
    return tuple(rows.Extent(blob, extent.size) for blob, extent in zip(made, found.extents, strict=True)), head


def _head(store: Store, found: rows.StoredObject, head_bytes: int) -> bytes:
    if found.data is not None:
        return found.data[:head_bytes]
    pieces = []
    for blob, offset, count in sending.pieces(found, 0, min(head_bytes, found.size)):
        with store.blobs.path(blob).open("rb", buffering=0) as file:
            file.seek(offset)
            pieces.append(file.read(count))
    return b"".join(pieces)
