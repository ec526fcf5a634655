"""Two objects on the same blobs: nothing is copied, and nothing goes before its time."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pupload.adapters.s3.embedded import rows, seals
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.room import Limits
from pupload.adapters.s3.embedded.store import Store

BODY = os.urandom(100_000)


async def opened(folder: Path) -> Store:
    store = Store(folder, region="r", limits=Limits(), clock=lambda: datetime.now(UTC))
    await store.open()
    return store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await opened(tmp_path)
    await store.index.write(lambda change: rows.add_bucket(change, "b", now_ms=0))
    yield store
    await store.close()


async def put(store: Store, key: str) -> None:
    writer = store.blobs.create()
    writer.write([BODY])
    writer.finish()
    extents = (rows.Extent(writer.name, len(BODY)),)
    new = rows.StoredObject(
        bucket="b", key=key, size=len(BODY), etag="e", modified_ms=0, sha256="s", headers={}, extents=extents
    )
    await store.commit(lambda change: rows.put(change, new, Conditions()), [writer.name])


async def seal(store: Store, source: str, target: str) -> None:
    await seals.seal(store, "b", source, target, head_bytes=1, most_bytes=len(BODY))


async def delete(store: Store, *keys: str) -> None:
    for key in keys:
        await store.commit(lambda change, key=key: rows.delete(change, "b", key, Conditions()))  # type: ignore[misc]
    await store.in_thread(int)  # what is unlinked is so in a thread, in its turn


def blobs(store: Store) -> list[str]:
    """Their names, when all threads have done what they were given."""
    store.threads.shutdown()
    return list(store.blobs.names())


@pytest.mark.parametrize("order", [("up", "kept", "more"), ("more", "kept", "up"), ("kept", "up", "more")])
async def test_a_blob_goes_with_the_last_that_names_it(store: Store, order: tuple[str, ...]) -> None:
    await put(store, "up")
    await seal(store, "up", "kept")
    await seal(store, "kept", "more")
    assert len({store.index.look(lambda db, k=k: rows.must_find(db, "b", k)).extents for k in order}) == 1  # type: ignore[misc]
    await delete(store, *order[:2])
    assert len(list(store.blobs.names())) == 1
    assert store.index.look(lambda db: db.execute("SELECT COUNT(*) FROM shared").fetchone()) == (0,)
    await delete(store, order[2])
    assert blobs(store) == []


async def test_sealing_again_and_onto_itself_counts_right(store: Store) -> None:
    await put(store, "up")
    for target in ("kept", "kept", "up", "kept"):
        await seal(store, "up", target)
    assert store.index.look(lambda db: db.execute("SELECT names FROM shared").fetchall()) == [(2,)]
    await delete(store, "kept")
    assert len(list(store.blobs.names())) == 1
    await delete(store, "up")
    assert blobs(store) == []


async def test_what_is_shared_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.index.write(lambda change: rows.add_bucket(change, "b", now_ms=0))
    await put(store, "up")
    await seal(store, "up", "kept")
    await delete(store, "up")
    await store.close()
    again = await opened(tmp_path)
    found = again.index.look(lambda db: rows.must_find(db, "b", "kept"))
    assert again.blobs.path(found.extents[0].blob).read_bytes() == BODY
    await again.close()


async def test_what_is_replaced_while_it_is_sealed_stays_what_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, "up")
    share = seals._share

    def too_late(change: object, found: rows.StoredObject, new: rows.StoredObject) -> rows.StoredObject | None:
        rows.delete(change, "b", "up", Conditions())  # type: ignore[arg-type]
        return share(change, found, new)  # type: ignore[arg-type]

    monkeypatch.setattr(seals, "_share", too_late)
    await seal(store, "up", "kept")
    found = store.index.look(lambda db: rows.must_find(db, "b", "kept"))
    assert store.blobs.path(found.extents[0].blob).read_bytes() == BODY
    assert blobs(store) == [found.extents[0].blob]
