"""
An upload made an artifact in one step: for the engine, which would ask four times else.

The copy is of the object as it is when its row is read: whoever puts another meanwhile changes nothing about it. No
byte is copied and no file made: two rows name the same blobs, which never change, and go with the last of the two.
"""

from dataclasses import dataclass, replace

from pupload.adapters.s3.embedded import rows, sending
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.index import Change
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
        head = await store.in_thread(lambda: _head(store, found, head_bytes))
        async with store.room.promised(found.size, on_disk=True):
            new = replace(found, key=target, modified_ms=store.now_ms(), sha256=sha256)
            stored = await store.commit(lambda change: _share(change, found, new)) or await _copy(store, new)
    return Sealed(stored, sha256, head)


def _share(change: Change, found: rows.StoredObject, new: rows.StoredObject) -> rows.StoredObject | None:
    return rows.put(change, new, Conditions()) if rows.share(change, found) else None


async def _copy(store: Store, new: rows.StoredObject) -> rows.StoredObject:
    """For an object that was replaced at this moment: its blobs are held here, and get a second name of their own."""
    twins = await store.in_thread(lambda: store.blobs.twins(extent.blob for extent in new.extents))
    extents = tuple(rows.Extent(twin, extent.size) for twin, extent in zip(twins, new.extents, strict=True))
    return await store.commit(lambda change: rows.put(change, replace(new, extents=extents), Conditions()), twins)


def _head(store: Store, found: rows.StoredObject, head_bytes: int) -> bytes:
    if found.data is not None:
        return found.data[:head_bytes]
    pieces = []
    for blob, offset, count in sending.pieces(found, 0, min(head_bytes, found.size)):
        with store.blobs.path(blob).open("rb", buffering=0) as file:
            file.seek(offset)
            pieces.append(file.read(count))
    return b"".join(pieces)
