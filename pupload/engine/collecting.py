"""
The items of an output that is a collection: what a node left in a directory becomes objects, many at a time.

Which items there are, and in which order, is written down beside the outputs before a store takes the first file away.
So whoever goes on after a crash has the same items at the same places, those that are stored already among them.
"""

import asyncio
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from pupload import errors
from pupload.domain import collection, itemnames
from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan, PortPlan
from pupload.domain.run import AttemptRef, Run
from pupload.engine.clearing import opened
from pupload.engine.contents import Contents, File, Taker, Told, consumers, producer
from pupload.engine.lease import Lease
from pupload.engine.objects import sha256_of, stored_before
from pupload.engine.tasks import all_of
from pupload.ports import Clock, Given, Hands, ObjectStat, ObjectStore, TakesMany

AT_ONCE = 16
"""Items on their way to a store at the same time."""

TOGETHER, TOGETHER_BYTES = 32, 1 << 20
"""Files whose beginnings are read in one trip, and how much of them at most."""

MOST_ITEMS = 10_000
"""In one collection, where nobody says."""


@dataclass(frozen=True, slots=True)
class Left:
    """An item as the node left it."""

    name: str
    size: int | None
    """Bytes; None where its file is there no more: a store took it."""


Items = tuple[Left, ...]

Trip = list[tuple[int, Left]]
"""Items with their places, whose beginnings are read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An output whose items are to be stored."""

    run: Run
    ref: AttemptRef
    port: PortPlan
    directory: Path
    store: ObjectStore
    key: str
    """What the keys of its items begin with."""
    since: datetime | None
    """Since when one of them may have been stored; None: none was."""

    def key_of(self, place: int, name: str) -> str:
        """Where the item is kept."""
        return f"{self.key}/{itemnames.numbered(place, name)}"

    def subject(self, item: Left) -> str:
        """What a sentence calls it."""
        return f"item {_shown(item.name)} of output {self.port.port}"


# ── What is there ────────────────────────────────────────────────────────────────────────────────────────────────


def look(directory: Path, written: Path, port: str, *, most: int) -> Items | None:
    """
    The items in the directory, sorted by name; None where it is missing. Blocking, for a thread.

    To be asked when nobody writes there any more. They are in the list at `written` afterwards; where that was made
    before, they are those in it. Raises `errors.OutputUnusable` for what no item can be, and for more than `most`;
    `errors.DiskFull`.
    """
    known = _read(written)
    # A store that is about to take a file over gives it a name before it takes ours.
    found = _found(directory, port, most, names=1 if known is None else 2)
    if known is not None:
        return tuple(Left(name, None if found is None else found.get(name)) for name in known)
    if found is None:
        return None
    names = sorted(found)
    try:
        _write(written, names)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.DiskFull(path=str(written.parent)) from error
        raise
    return tuple(Left(name, found[name]) for name in names)


def _found(directory: Path, port: str, most: int, *, names: int) -> dict[str, int] | None:
    """Bytes by name."""
    try:
        inner = opened(None, str(directory))
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is not a directory" if error.errno in (errno.ENOTDIR, errno.ELOOP) else error.strerror
        raise errors.OutputUnusable(port=port, reason=reason) from error
    sizes: dict[str, int] = {}
    try:
        with os.scandir(inner) as entries:
            for entry in entries:
                sizes[entry.name] = _size(entry, port, names)
                if len(sizes) > most:
                    reason = f"there are more than {most} files in it, and this server takes no more (max_items)"
                    raise errors.OutputUnusable(port=port, reason=reason)
    finally:
        os.close(inner)
    return sizes


def _size(entry: "os.DirEntry[str]", port: str, names: int) -> int:
    """Bytes of a file; anything else is refused, links above all."""
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        reason = "it is a directory: only files become items; pack them, or name them like folder__file"
    elif not stat.S_ISREG(found.st_mode):
        reason = "it is not a regular file"
    elif found.st_nlink > names:
        reason = "it has a second name (a hard link)"
    else:
        reason = itemnames.objection(entry.name)
    if reason:
        raise errors.OutputUnusable(port=port, reason=f"{_shown(entry.name)} in it cannot be an item: {reason}")
    return found.st_size


def _shown(name: str) -> str:
    """For a sentence: what cannot be shown is a question mark."""
    return "".join(char if char.isprintable() else "?" for char in name[:100])


def _read(written: Path) -> list[str] | None:
    try:
        found: list[str] = json.loads(written.read_bytes())
    except FileNotFoundError:
        return None
    return found


def _write(written: Path, names: Sequence[str]) -> None:
    """There only when it is whole, and then also after a power cut: before any of the files is a store's."""
    partial = written.with_name(f"{written.name}.part")
    with partial.open("wb") as file:
        file.write(json.dumps(names).encode())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(written)
    folder = os.open(written.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def all_stored(
    node: NodePlan, stored: Mapping[str, Artifact], items: Mapping[str, Mapping[int, Artifact]]
) -> Iterator[Artifact]:
    """What is stored of the node's outputs, in the order of the ports; a collection is followed by its items."""
    for port in node.outputs:
        if (made := stored.get(port.port)) is not None:
            yield made
            for place in range(made.items or 0):
                yield items[port.port][place]


# ── Into the store ───────────────────────────────────────────────────────────────────────────────────────────────


class Collecting:
    """Stores items."""

    def __init__(
        self, *, contents: Contents, clock: Clock, lease: Lease, hands: Hands, max_artifact_bytes: int | None = None
    ) -> None:
        """Items of more than `max_artifact_bytes` are not stored."""
        self._contents = contents
        self._clock = clock
        self._lease = lease
        self._hands = hands
        self._max_artifact_bytes = max_artifact_bytes

    async def store(self, job: Job, items: Items, kept: dict[int, Artifact]) -> Artifact:
        """
        Every item is an object afterwards. Returns the collection; `kept` has its items by their places.

        Those that are in `kept` are stored already. Raises as `Staging.store_outputs`, for the first that fails: no
        other is begun then, and those that a store has in its hands are awaited.
        """
        takers = (producer(job.port), *consumers(job.run, job.port.edge))
        left = iter(_trips(items, kept, self._contents.head_bytes))
        failed: list[errors.PuploadError] = []

        async def work() -> None:
            for trip in left:
                if failed:
                    return
                try:
                    await self._take(job, takers, trip, kept)
                except OSError as error:
                    failed.append(errors.OutputUnusable(port=job.port.port, reason=f"in it: {error.strerror}"))
                except errors.PuploadError as error:
                    failed.append(error)

        await all_of(work() for _ in range(min(AT_ONCE, len(items))))
        if failed:
            raise min(failed, key=lambda error: isinstance(error, errors.TryLater))  # what waiting cannot mend first
        edge = job.run.plan.edges[job.port.edge]
        made = [kept[place] for place in range(len(items))]
        describe = partial(collection.whole, edge=edge.name, store=edge.store, key=job.key, created_at=self._now())
        return await asyncio.to_thread(describe, made, node=job.ref.node, attempt=job.ref.number)

    async def _take(self, job: Job, takers: Sequence[Taker], trip: Trip, kept: dict[int, Artifact]) -> None:
        """All of the trip are stored: together, where the store can."""
        for place, item in trip:
            if item.size is None:
                kept[place] = await self._find(job, takers, place, item)
        there = [(place, item) for place, item in trip if item.size is not None]
        files = await self._hands.do(_files, job, there, self._contents.head_bytes) if there else []
        for _, item in there:
            self._check_size(job, item)
        told = await self._contents.of_files(files, takers=takers)
        given = [
            Given(key=job.key_of(place, item.name), path=file.path, content_type=one.content_type)
            for (place, item), file, one in zip(there, files, told, strict=True)
        ]
        if isinstance(job.store, TakesMany):
            await self._lease.sure()
            stored = await job.store.put_files(given) if given else ()
            for (place, item), one, found in zip(there, told, stored, strict=True):
                kept[place] = await self._artifact(job, place, item, found, one)
            return
        for (place, item), one, each in zip(there, told, given, strict=True):
            await self._lease.sure()
            found = await job.store.put_file(each.key, each.path, content_type=each.content_type)
            kept[place] = await self._artifact(job, place, item, found, one)

    async def _find(self, job: Job, takers: Sequence[Taker], place: int, item: Left) -> Artifact:
        """An item that was stored before."""
        stored = await self._stored_before(job, job.key_of(place, item.name), item)
        head = await job.store.read(stored.key, length=self._contents.head_bytes) if stored.size else b""
        subject = job.subject(item)
        told = await self._contents.of_object(job.store, stored, head=head, subject=subject, takers=takers)
        return await self._artifact(job, place, item, stored, told)

    async def _artifact(self, job: Job, place: int, item: Left, stored: ObjectStat, told: Told) -> Artifact:
        return Artifact(
            edge=collection.item(job.port.edge, place),
            store=job.run.plan.edges[job.port.edge].store,
            key=stored.key,
            size=stored.size,
            content_type=told.content_type,
            sha256=stored.sha256 or await sha256_of(job.store, stored),
            etag=stored.etag,
            created_at=self._now(),
            node=job.ref.node,
            attempt=job.ref.number,
            file_name=item.name,
            facts=told.facts,
        )

    async def _stored_before(self, job: Job, key: str, item: Left) -> ObjectStat:
        found = None if job.since is None else await stored_before(job.store, key, job.since, self._clock)
        if found is None:
            reason = f"{_shown(item.name)} in it is neither there any more nor stored"
            raise errors.OutputUnusable(port=job.port.port, reason=reason)
        return found

    def _check_size(self, job: Job, item: Left) -> None:
        most = self._max_artifact_bytes
        if most is not None and item.size is not None and item.size > most:
            reason = f"{_shown(item.name)} in it has {item.size} bytes, and the operator's policy allows {most}"
            raise errors.OutputUnusable(port=job.port.port, reason=reason)

    def _now(self) -> datetime:
        return self._clock.now() + self._clock.skew()  # to be compared with its store's


def _trips(items: Items, kept: Iterable[int], head_bytes: int) -> Iterator[Trip]:
    """The items that are not kept yet, as many at a time as one trip is for."""
    done, trip, size = frozenset(kept), Trip(), 0
    for place, item in enumerate(items):
        if place in done:
            continue
        trip.append((place, item))
        size += min(item.size or 0, head_bytes)
        if len(trip) == TOGETHER or size >= TOGETHER_BYTES:
            yield trip
            trip, size = Trip(), 0
    if trip:
        yield trip


def _files(job: Job, trip: Trip, head_bytes: int) -> list[File]:
    """The files that are there, each with how it begins; blocking."""
    found = []
    for _, item in trip:
        path, head = job.directory / item.name, b""
        if item.size:
            with path.open("rb") as file:
                head = file.read(head_bytes)
        found.append(File(path=path, head=head, size=item.size or 0, subject=job.subject(item)))
    return found
