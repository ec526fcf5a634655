"""
Bytes that change hands without being copied, between this store and the engine on the same machine.

`link` gives an object a path: a hard link to its blob, which nobody ever writes to. `adopt` makes a finished file an
object: renamed in among the blobs. Where the file system does not allow either, they copy.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pupload.adapters.s3.embedded import blobs, rows
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

_STEP = 1 << 20


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


async def adopt(store: Store, bucket: str, key: str, path: Path, content_type: str) -> Linked:
    """
    The file is the object afterwards, and no longer at `path`.

    Its ETag is made from its SHA-256, in the form that tells clients it is no MD5. Raises `Refusal`: NoSuchBucket,
    InvalidArgument for anything but a regular file with one name, InsufficientStorage.
    """
    await store.index.read(lambda db: rows.find_bucket(db, bucket))
    size = await store.in_thread(lambda: _size(path))
    async with store.room.promised(size):
        blob, size, sha256 = await store.in_thread(lambda: _take(store.blobs, path))
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
        stored = await store.commit(lambda change: rows.put(change, new, Conditions()), [blob])
    return Linked(stored, sha256, linked=True)


def _place(path: Path, sources: Sequence[tuple[Path, int]], data: bytes) -> bool:
    """Whether it was linked."""
    try:
        if len(sources) == 1:
            try:
                os.link(sources[0][0], path)
                return True
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                    raise
        _copy(path, sources, data)
        return False
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise Refusal("InvalidArgument", f"The path cannot be made: {error.strerror}") from error


def _copy(path: Path, sources: Sequence[tuple[Path, int]], data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
    try:
        with blobs.refusing_when_full(), os.fdopen(descriptor, "wb") as target:
            os.fchmod(target.fileno(), 0o444)
            target.write(data)
            target.flush()
            for source, size in sources:
                with source.open("rb", buffering=0) as reader:
                    blobs.copy_range(reader.fileno(), target.fileno(), 0, size)
    except BaseException:
        path.unlink()
        raise


def _size(path: Path) -> int:
    found = _must_stat(path)
    return found.st_size


def _must_stat(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except OSError as error:
        raise Refusal("InvalidArgument", f"The file cannot be read: {error.strerror}") from error


def _take(files: blobs.Blobs, path: Path) -> tuple[str, int, str]:
    """Blob, size and SHA-256 of the file, which is gone from `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Refusal("InvalidArgument", f"The file cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as file, blobs.refusing_when_full():
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise Refusal("InvalidArgument", "Only a regular file with a single name can be adopted.")
        if found.st_uid != os.geteuid():
            os.fchown(descriptor, os.geteuid(), os.getegid())
        os.fchmod(descriptor, 0o444)
        digest, size = hashlib.sha256(), 0
        while piece := file.read(_STEP):
            digest.update(piece)
            size += len(piece)
        os.fsync(descriptor)
        _check_same(path, found)
        return _move(files, path, descriptor, size), size, digest.hexdigest()


def _check_same(path: Path, opened: os.stat_result) -> None:
    """The name must still be that of the file that was hashed."""
    now = _must_stat(path)
    if (now.st_dev, now.st_ino, now.st_nlink) != (opened.st_dev, opened.st_ino, 1):
        raise Refusal("InvalidArgument", "The file changed while it was adopted.")


def _move(files: blobs.Blobs, path: Path, descriptor: int, size: int) -> str:
    try:
        return files.take(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    writer = files.create()
    try:
        writer.copy_from(Path(f"/proc/self/fd/{descriptor}"), 0, size)
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    path.unlink()
    return writer.name
