"""
Bytes that change hands without being copied, between this store and the engine on the same machine.

`link` gives an object a path: a hard link to its blob, which nobody ever writes to. `adopt` makes a finished file an
object: it gets a name among the blobs, and loses its own once the row is committed, so that no crash can lose it.
Where the file system allows no links, they copy.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pupload.adapters.s3.embedded import blobs, calls, rows
from pupload.adapters.s3.embedded.bodies import INLINE_BYTES
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_STEP = 1 << 20
_LARGE = 4 << 20
"""From here on a thread more is worth its while."""
_NO_LINKS = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


@dataclass(frozen=True, slots=True)
class Linked:
    """The object, its hash, and whether its path shares the store's bytes."""

    stored: rows.StoredObject
    sha256: str
    linked: bool


async def link(store: Store, bucket: str, key: str, path: Path, *, if_etag: str | None) -> Linked:
    """
    The object is at `path` afterwards, read-only for everybody.

    Raises `Refusal`: NoSuchKey, PreconditionFailed, InvalidArgument where `path` exists or its directory does not,
    InsufficientStorage.
    """
    async with store.reading(bucket, key) as stored:
        Conditions(match=if_etag).check_reading(stored)
        sha256 = await store.digests.of(stored)
        sources = [(store.blobs.path(extent.blob), extent.size) for extent in stored.extents]
        linked = await store.in_thread(lambda: _place(path, sources, stored.data or b""))
    return Linked(stored, sha256, linked)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object is to be, too."""

    key: str
    path: Path
    if_etag: str | None


async def link_all(store: Store, bucket: str, targets: Sequence[Target]) -> None:
    """
    As `link` for each. What lies in the index is written by one thread in one go.

    Raises as `link`, for the first that cannot be; others may be at their paths then.
    """
    files: list[tuple[Path, bytes]] = []
    for target in targets:
        stored = store.index.look(partial(rows.must_find, bucket=bucket, key=target.key))
        Conditions(match=target.if_etag).check_reading(stored)
        if stored.extents:
            await link(store, bucket, target.key, target.path, if_etag=stored.etag)
        else:
            files.append((target.path, stored.data or b""))
    await store.in_turn(lambda: [_place(path, (), data) for path, data in files])


async def adopt(store: Store, bucket: str, key: str, path: Path, content_type: str) -> Linked:
    """
    The file is the object afterwards, and no longer at `path`; it still is there when this fails.

    May be repeated after a crash. The object's ETag is made from its SHA-256, in the form that tells clients it is no
    MD5. Raises `Refusal`: NoSuchBucket, InvalidArgument for anything but a regular file with one name,
    InsufficientStorage.
    """
    calls.check_header_text("content_type", content_type)
    if (done := await _adopted_before(store, bucket, key, path)) is not None:
        return done
    blob, size, sha256, linked = await store.in_thread(lambda: _take(store.blobs, path))
    new = rows.StoredObject(
        bucket=bucket,
        key=key,
        size=size,
        etag=f"{sha256[:32]}-1",
        modified_ms=store.now_ms(),
        sha256=sha256,
        headers={"content-type": content_type},
        extents=(rows.Extent(blob, size),),
    )
    try:
        # What a node made is taken in even where no upload would be: it is on this disk, and keeping it out frees
        # nothing.
        async with store.room.promised(size, on_disk=True):
            stored = await store.commit(lambda change: rows.put(change, new, Conditions()), [blob])
    except Refusal:
        await store.in_thread(lambda: store.blobs.remove([blob]))
        raise
    await store.in_thread(lambda: path.unlink(missing_ok=True))
    return Linked(stored, sha256, linked)


@dataclass(frozen=True, slots=True)
class File:
    """A file to be adopted."""

    key: str
    path: Path
    content_type: str


async def adopt_all(store: Store, bucket: str, files: Sequence[File]) -> list[Linked]:
    """
    As `adopt` for each, in their order. Small ones are copied into the index, all by one commit.

    Making a file durable takes the disk a moment, however small it is. Raises as `adopt`; some may be adopted then.
    """
    for file in files:
        calls.check_header_text("content_type", file.content_type)
    taken = await store.in_thread(lambda: [_read_small(file.path) for file in files])
    small = [_inline(store, bucket, file, data) for file, data in zip(files, taken, strict=True) if data is not None]
    if small:
        async with store.room.promised(sum(new.size for new in small), on_disk=True):
            await store.commit(lambda change: [rows.put(change, new, Conditions()) for new in small])
        copied = [file.path for file, data in zip(files, taken, strict=True) if data is not None]
        await store.in_turn(lambda: _unlink(copied))
    done, kept = [], iter(small)
    for file, data in zip(files, taken, strict=True):
        if data is None:
            done.append(await adopt(store, bucket, file.key, file.path, file.content_type))
        else:
            stored = next(kept)
            done.append(Linked(stored, stored.sha256 or "", linked=False))
    return done


def _unlink(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _inline(store: Store, bucket: str, file: File, data: bytes) -> rows.StoredObject:
    sha256 = hashlib.sha256(data).hexdigest()
    return rows.StoredObject(
        bucket=bucket,
        key=file.key,
        size=len(data),
        etag=f"{sha256[:32]}-1",
        modified_ms=store.now_ms(),
        sha256=sha256,
        headers={"content-type": file.content_type},
        data=data,
    )


def _read_small(path: Path) -> bytes | None:
    """The bytes of a small file with a single name; None for all else. Raises `Refusal`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(error) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > INLINE_BYTES:
            return None
        return os.read(descriptor, INLINE_BYTES)
    finally:
        os.close(descriptor)


async def _adopted_before(store: Store, bucket: str, key: str, path: Path) -> Linked | None:
    """The object, when the file at `path` is its blob already: a crash came before that name was taken away."""
    store.index.look(lambda db: rows.find_bucket(db, bucket))
    stored = store.index.look(lambda db: rows.find(db, bucket, key))
    if stored is None or stored.sha256 is None or len(stored.extents) != 1:
        return None
    blob = store.blobs.path(stored.extents[0].blob)

    def is_done() -> bool:
        found = _look(path)
        if found.st_nlink != 2 or not os.path.samestat(found, blob.lstat()):
            return False
        path.unlink()
        return True

    return Linked(stored, stored.sha256, linked=True) if await store.in_thread(is_done) else None


def _place(path: Path, sources: Sequence[tuple[Path, int]], data: bytes) -> bool:
    """Whether it was linked."""
    try:
        if len(sources) == 1:
            try:
                os.link(sources[0][0], path)
                return True
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
        _copy(path, sources, data)
        return False
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise Refusal("InvalidArgument", f"The path cannot be made: {error.strerror}") from error


def _copy(path: Path, sources: Sequence[tuple[Path, int]], data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
    try:
        with blobs.refusing_when_full():
            os.fchmod(descriptor, 0o444)
            while data:
                data = data[os.write(descriptor, data) :]
            for source, size in sources:
                with source.open("rb", buffering=0) as reader:
                    blobs.copy_range(reader.fileno(), descriptor, 0, size)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _look(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> Refusal:
    return Refusal("InvalidArgument", f"The file cannot be read: {error.strerror}")


def _take(files: blobs.Blobs, path: Path) -> tuple[str, int, str, bool]:
    """A blob with the file's bytes, their number and SHA-256, and whether the blob is the file itself."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(error) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise Refusal("InvalidArgument", "Only a regular file with a single name can be adopted.")
        is_ours = _make_ours(descriptor, found)
        with blobs.refusing_when_full():
            # Before its bytes are flushed: one journal of the file system then makes both durable.
            blob = _link_blob(files, path, found) if is_ours else None
            try:
                size, sha256 = _hash_and_flush(descriptor, found.st_size)
                if blob is None:
                    return _copy_blob(files, descriptor, size), size, sha256, False
                files.make_durable(blob)
            except BaseException:
                files.remove([blob] if blob else [])
                raise
            return blob, size, sha256, True
    finally:
        os.close(descriptor)


def _hash_and_flush(descriptor: int, size: int) -> tuple[int, str]:
    """
    The file's size and SHA-256; its bytes are on the disk afterwards.

    The disk writes a large file while it is hashed: the one waits for the disk, the other for the processor.
    """
    if size < _LARGE:
        found = _hash(descriptor)
        with blobs.refusing_when_full():
            os.fsync(descriptor)
        return found
    with ThreadPoolExecutor(1, thread_name_prefix="flush") as beside:
        flushing = beside.submit(os.fsync, descriptor)
        found = _hash(descriptor)
        with blobs.refusing_when_full():
            flushing.result()
    return found


def _hash(descriptor: int) -> tuple[int, str]:
    """Bytes and SHA-256, in one buffer however large it is."""
    digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(_STEP))
    while count := os.readv(descriptor, [buffer]):
        digest.update(buffer[:count])
        size += count
    return size, digest.hexdigest()


def _make_ours(descriptor: int, found: os.stat_result) -> bool:
    """Owned by us and read-only from now on; False where the system does not let us."""
    try:
        if found.st_uid != os.geteuid():
            os.fchown(descriptor, os.geteuid(), os.getegid())
        os.fchmod(descriptor, 0o444)
    except PermissionError:
        return False
    return True


def _link_blob(files: blobs.Blobs, path: Path, opened: os.stat_result) -> str | None:
    try:
        blob = files.link_from(path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return None
    if not os.path.samestat(opened, files.path(blob).lstat()):
        # Another file took the name since this one was opened.
        files.remove([blob])
        raise Refusal("InvalidArgument", "The file changed while it was adopted.")
    return blob


def _copy_blob(files: blobs.Blobs, descriptor: int, size: int) -> str:
    writer = files.create()
    try:
        writer.copy_from(descriptor, 0, size)
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    return writer.name
