"""
Bytes into an attempt's directory, and out of it.

An attempt has a directory of its own with `in/`, mounted read-only, and `out/`. Inputs come from their stores and are
checked against what was recorded; outputs are told by their bytes, hashed and stored. Nothing outside that directory
is read or written, whatever a node leaves in it.
"""

import asyncio
import errno
import logging
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache, partial
from pathlib import Path

from pupload import errors
from pupload.domain import keys, mime, secret
from pupload.domain.artifact import Artifact
from pupload.domain.command import environment_name
from pupload.domain.keys import safe
from pupload.domain.plan import NodePlan, PortPlan
from pupload.domain.run import AttemptRef, Run
from pupload.engine import collecting, cutting, folders, laying
from pupload.engine.clearing import clear, clear_small
from pupload.engine.contents import Contents, Told, consumers, producer
from pupload.engine.hands import Threads
from pupload.engine.lease import Lease, for_ever
from pupload.engine.objects import sha256_of, stored_before, value_of
from pupload.engine.tasks import all_of, each_of
from pupload.ports import Clock, GivesMany, Hands, ObjectStat, ObjectStore, Stores, Wanted

log = logging.getLogger(__name__)

INSIDE = "/pupload"
"""Where a container sees its files."""

UPLOADS = "uploads/"
"""What the keys begin with under which users and nodes put objects before they are sealed; a run's id follows."""

URL_SPARE_SECONDS = 600.0
"""How much longer than its attempt a node's presigned URL works."""

URL_LONGEST_SECONDS = 7 * 86400.0
"""SigV4's limit."""

DELETES_AT_ONCE = 16
"""Objects that are withdrawn at the same time."""

HEADS_AT_ONCE = 16
"""Outputs whose beginnings are read together; they are held in memory until each is told."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The directory of an attempt."""

    path: Path
    fetched: frozenset[str] | None = field(default=None, compare=False)
    """Names in `inputs` when it was last made; None where nobody has looked."""

    @cached_property
    def inputs(self) -> Path:
        """Mounted at /pupload/in."""
        return Path(f"{self.path}/in")

    @cached_property
    def outputs(self) -> Path:
        """Mounted at /pupload/out."""
        return Path(f"{self.path}/out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An output's file as it was found."""

    size: int | None
    """None where there is none."""
    head: bytes = b""
    error: errors.PuploadError | None = None
    """Why it cannot be used."""
    items: collecting.Items | None = None
    """Of an output that is a collection."""


def file_name(port: PortPlan, extension: str = "") -> str:
    """The name of a port's file in the container: the port's name, with what no file name should have replaced."""
    return _plain(port.port) + (port.extension or extension)


@lru_cache(maxsize=1000)
def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-") or "file"


def input_name(port: PortPlan, artifact: Artifact) -> str:
    """The extension tells the type: the one declared, else the one that the bytes have. A directory has none."""
    return file_name(port) if port.many else file_name(port, mime.extension(artifact.content_type))


class Staging:
    """Brings files to attempts and takes their outputs away."""

    def __init__(
        self,
        *,
        stores: Stores,
        contents: Contents,
        clock: Clock,
        root: Path,
        owner: tuple[int, int],
        lease: Lease | None = None,
        max_artifact_bytes: int | None = None,
        max_items: int = collecting.MOST_ITEMS,
        hands: Hands | None = None,
        cutter: cutting.Cutting = cutting.NONE,
    ) -> None:
        """
        `root` holds the attempts' directories; `owner` is the uid and gid that may write to `out/`.

        Outputs of more than `max_artifact_bytes` are not stored, nor collections of more than `max_items`. `hands` do
        what is short in an attempt's directory; the `cutter` is for
        what nodes of dry runs made.
        """
        self._cutting = cutter
        self.hands: Hands = hands or Threads()
        self._max_artifact_bytes = max_artifact_bytes
        self._max_items = max_items
        self._lease = lease or for_ever(clock)
        self._collecting = collecting.Collecting(
            contents=contents,
            clock=clock,
            lease=self._lease,
            hands=self.hands,
            max_artifact_bytes=max_artifact_bytes,
        )
        self._stores = stores
        self.contents = contents
        self._clock = clock
        self._root = root
        self._owner = owner

    def store(self, run: Run, name: str) -> ObjectStore:
        """The store of this name in the run's flow."""
        described = run.plan.stores.get(name)
        return self._stores.default() if described is None else self._stores.open(described)

    async def prepare(self, run: Run) -> None:
        """The run's stores can sign URLs afterwards, also those whose keys are secrets."""
        for described in run.plan.stores.values():
            if secret.of_store(described.params):
                await self._stores.prepare(described)

    def folder(self, ref: AttemptRef) -> Folder:
        """The attempt's directory, there or not."""
        return Folder(path=Path(f"{self._root}/{ref.id}"))

    async def make_folder(
        self, ref: AttemptRef, node: NodePlan | None = None, *, owner: tuple[int, int] | None = None
    ) -> Folder:
        """
        The attempt's directory, made where it is missing, with those in it that are for the node's collections.

        Raises `errors.DiskFull`.
        """
        folder = self.folder(ref)
        collections = [file_name(port) for port in node.outputs if port.many] if node is not None else []
        try:
            names = await self.hands.do(folders.make, folder.path, owner or self._owner, collections)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise errors.DiskFull(path=str(self._root)) from error
            raise
        return Folder(path=folder.path, fetched=names)

    async def remove_folder(self, ref: AttemptRef, other: Folder | None = None) -> None:
        """The attempt's directory is gone afterwards; so is the `other` one, where another controller made it."""
        own = self.folder(ref)
        for folder in (own, other):
            if folder is None or folder.path.name != own.path.name:
                continue  # nothing else is ever removed
            if not await self.hands.do(clear_small, folder.path):
                await asyncio.to_thread(clear, folder.path)

    async def folders(self) -> list[str]:
        """The names of all directories of attempts that are here."""
        return await asyncio.to_thread(folders.names_in, self._root)

    async def sweep(
        self,
        wanted: Callable[[str], bool],
        *,
        kept_off: Callable[[str], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """Directories of attempts that are not wanted are gone afterwards; nobody makes one that is `kept_off` it."""
        for name in await asyncio.to_thread(folders.names_in, self._root):
            async with kept_off(name):
                if not wanted(name):
                    await asyncio.to_thread(clear, self._root / name)

    async def fetch_inputs(self, run: Run, node: NodePlan, folder: Folder) -> dict[str, str]:
        """
        Every input of the node lies in its file afterwards. Returns the paths inside the container, by port.

        Raises `errors.StoreIntegrity` when the bytes are not those that were recorded, and what the store raises.
        """
        paths: dict[str, str] = {}
        wanted: dict[str, Artifact] = {}
        collections: dict[str, Artifact] = {}
        for port in node.inputs:
            artifact = run.artifacts.get(port.edge)
            if artifact is not None:
                name = input_name(port, artifact)
                paths[port.port] = f"{INSIDE}/in/{name}"
                (collections if port.many else wanted)[name] = artifact
        await laying.remove_others((folder.fetched or frozenset()) - wanted.keys() - collections.keys(), folder.inputs)
        # Where nobody has looked what is there already, each looks for itself.
        there = wanted.keys() if folder.fetched is None else folder.fetched
        await all_of(
            self._fetch(run, found, folder.inputs / name, fresh=name not in there) for name, found in wanted.items()
        )
        ways = laying.Ways(
            fetch=partial(self._fetch, run),
            fetch_group=partial(self._fetch_group, run),
            gives_many=lambda store: isinstance(self.store(run, store), GivesMany),
        )
        for name, whole in collections.items():
            await laying.lay_out(run, whole, folder.inputs / name, ways=ways, hands=self.hands)
        return paths

    def urls(self, run: Run, node: NodePlan, ref: AttemptRef) -> dict[str, str]:
        """Presigned URLs by environment variable, for a node that asks to move its bytes itself; else none."""
        if node.transfer != "urls":
            return {}
        seconds = int(min(node.timeout_seconds + URL_SPARE_SECONDS, URL_LONGEST_SECONDS))
        urls: dict[str, str] = {}
        for port in node.inputs:
            if (artifact := run.artifacts.get(port.edge)) is not None:
                store = self.store(run, artifact.store)
                url = store.presign_get(artifact.key, expires_seconds=seconds, audience="node")
                urls[f"{environment_name('INPUT_', port.port)}_URL"] = url
        for port in node.outputs:
            store = self.store(run, run.plan.edges[port.edge].store)
            url = store.presign_put(_handed_key(ref, port), expires_seconds=seconds, audience="node")
            urls[f"{environment_name('OUTPUT_', port.port)}_URL"] = url
        return urls

    async def _fetch(self, run: Run, artifact: Artifact, path: Path, fresh: bool) -> None:
        there = None if fresh else await asyncio.to_thread(folders.sha256_of_file, path)
        if there == artifact.sha256:
            return  # fetched before, and whole
        if there is not None:
            await asyncio.to_thread(path.unlink)  # fetched just before the end of an earlier start, and never looked at
        try:
            store = self.store(run, artifact.store)
            sha256 = await store.fetch(artifact.key, path, if_etag=artifact.etag, size=artifact.size)
        except (errors.ObjectAbsent, errors.PreconditionFailed) as error:
            raise errors.StoreIntegrity(edge=artifact.edge, store=artifact.store, reason=str(error)) from error
        if sha256 is not None and sha256 != artifact.sha256:
            await asyncio.to_thread(path.unlink)
            reason = f"its SHA-256 is {sha256}, recorded was {artifact.sha256}"
            raise errors.StoreIntegrity(edge=artifact.edge, store=artifact.store, reason=reason)

    async def _fetch_group(self, run: Run, group: laying.Group) -> None:
        """Items of one store that gives many."""
        store = self.store(run, group[0][0].store)
        assert isinstance(store, GivesMany)
        wanted = [Wanted(key=item.key, path=path, if_etag=item.etag, size=item.size) for item, path in group]
        try:
            found = await store.fetch_files(wanted)
        except (errors.ObjectAbsent, errors.PreconditionFailed):
            found = ["?"] * len(group)
        for (item, path), sha256 in zip(group, found, strict=True):
            if sha256 is not None and sha256 != item.sha256:
                await self._fetch(run, item, path, False)  # once more, alone: it tells whose item it is

    async def store_outputs(
        self,
        run: Run,
        node: NodePlan,
        ref: AttemptRef,
        folder: Folder,
        *,
        stored: dict[str, Artifact],
        items: dict[str, dict[int, Artifact]] | None = None,
        since: datetime | None,
        offered: dict[str, datetime] | None = None,
        seen: dict[str, Seen] | None = None,
        own_keys_only: bool = False,
    ) -> tuple[Artifact, ...]:
        """
        Every output that the node wrote is an object afterwards. Returns their artifacts, in the order of the ports.

        A collection is followed by its items.

        A file is given away to its store, so `stored` remembers the artifacts by port for whoever asks again, and
        `items` those of collections, by port and place. `since`
        is when an attempt of an earlier start of the engine began, and None for one that began in this: an output
        that is not there, but is in the store and younger, was stored by that attempt before. `offered` remembers in
        the same way, and for the same end, when a store was first asked to take a port's file: it may do so and fall
        silent. `seen` (of `look`) is used up: what is asked for again is looked at again. With `own_keys_only` outputs
        are left out whose key a well names: what lies there is another's until this attempt is known to have ended
        well. Raises
        `errors.OutputMissing`, `errors.OutputUnusable`, what `Contents` raises, and what the store raises. Until its
        artifact is committed an object means nothing.
        """

        offers, collected = {} if offered is None else offered, {} if items is None else items

        async def store(port: PortPlan) -> errors.PuploadError | None:
            try:
                if port.many:
                    kept = collected.setdefault(port.port, {})
                    made = await self._store_items(run, ref, port, folder, since, offers, seen or {}, kept)
                else:
                    made = await self._store(run, node, ref, port, folder, since, offers, seen or {})
            except errors.PuploadError as error:
                return error
            if made is not None:
                stored[port.port] = made
            return None

        # One that fails does not break off the others: a store that has their files must come to tell us.
        left = [port for port in node.outputs if port.port not in stored]
        if own_keys_only:
            left = [port for port in left if self._has_own_key(run, port)]
        failed = [error for error in await all_of(store(port) for port in left) if error is not None]
        if failed:
            raise min(failed, key=lambda error: isinstance(error, errors.TryLater))  # what waiting cannot mend first
        return tuple(collecting.all_stored(node, stored, collected))

    def look(self, node: NodePlan, folder: Folder) -> dict[str, Seen]:
        """
        What the node left for its outputs, by port; of many only some. Blocking, for a thread: one trip for them all.

        To be asked when nobody writes to the folder any more.
        """
        return {
            port.port: self._look_through(port, folder)
            if port.many
            else _seen(folder.outputs / file_name(port), port.port, self.contents.head_bytes)
            for port in node.outputs[:HEADS_AT_ONCE]
        }

    def _look_through(self, port: PortPlan, folder: Folder) -> Seen:
        name = file_name(port)
        try:
            found = collecting.look(
                folder.outputs / name, folder.path / f"items.{name}", port.port, most=self._max_items
            )
        except (errors.OutputUnusable, errors.DiskFull) as error:
            return Seen(size=None, error=error)
        return Seen(size=None, items=found)

    async def withdraw(
        self, run: Run, stored: Iterable[Artifact], *, ref: AttemptRef | None = None, offered: Collection[str] = ()
    ) -> None:
        """
        Objects that were stored and will not be committed are gone afterwards, as far as the store lets us.

        `offered` are ports of attempt `ref` whose files a store was asked to take: whether it did, nobody may know.
        """
        gone = {(artifact.store, artifact.key) for artifact in stored if artifact.items is None}
        if ref is not None:
            for port in run.plan.nodes[ref.node].outputs:
                # What lies under a well's own key may be another's.
                if port.port in offered and self._has_own_key(run, port):
                    edge = run.plan.edges[port.edge]
                    key = keys.of_attempt(run.id, edge, ref.number)
                    gone |= await self._items_under(run, edge.store, key) if port.many else {(edge.store, key)}

        async def delete(one: tuple[str, str]) -> None:
            store, key = one
            try:
                await self._lease.sure()
                await self.store(run, store).delete(key)
            except errors.PuploadError as error:
                log.warning("object %s of a failed attempt could not be removed: %s", key, error)

        await each_of(sorted(gone), delete, at_once=DELETES_AT_ONCE)

    async def _items_under(self, run: Run, store: str, key: str) -> set[tuple[str, str]]:
        """Objects that were, or may have been, stored as items of the collection with this key."""
        try:
            return {(store, found.key) async for found in self.store(run, store).list(f"{key}/")}
        except errors.PuploadError as error:
            log.warning("objects of a failed attempt under %s/ could not be looked for: %s", key, error)
            return set()

    def _has_own_key(self, run: Run, port: PortPlan) -> bool:
        return keys.is_chosen(run.id, run.plan.edges[port.edge])

    async def _store(
        self,
        run: Run,
        node: NodePlan,
        ref: AttemptRef,
        port: PortPlan,
        folder: Folder,
        since: datetime | None,
        offered: dict[str, datetime],
        seen: dict[str, Seen],
    ) -> Artifact | None:
        name = file_name(port)
        path = folder.outputs / name
        since = since or offered.get(port.port)
        file = seen.pop(port.port, None)
        if file is None:
            names = 1 if since is None else 2
            file = await self.hands.do(partial(_seen, path, port.port, self.contents.head_bytes, names=names))
        if file.error is not None:
            raise file.error
        size, edge = file.size, run.plan.edges[port.edge]
        store = self.store(run, edge.store)
        if size is None:
            found = await self._handed_over(run, ref, port, store, offered) if node.transfer == "urls" else None
            if found is None and since is not None:
                key = keys.of_attempt(run.id, edge, ref.number)
                if (before := await stored_before(store, key, since, self._clock)) is not None:
                    found = before, await self._told_in(run, port, store, before)
            if found is None and port.required:
                raise errors.OutputMissing(port=port.port, path=f"{INSIDE}/out/{name}")
            return None if found is None else await self._artifact(store, run, ref, port, *found)
        self._check_size(port, size)
        told = await self._told(run, port, file.head, size, path)
        if run.plan.ephemeral:
            path = await self._cutting.output(port, path, told.content_type, size=size, folder=folder.path)
        await self._lease.sure()
        offered.setdefault(port.port, self._clock.now())
        try:
            put = await store.put_file(keys.of_attempt(run.id, edge, ref.number), path, content_type=told.content_type)
        except FileNotFoundError as gone:  # another controller has the attempt by now, and has cleared up
            raise errors.OutputUnusable(port=port.port, reason="its file went away while it was stored") from gone
        return await self._artifact(store, run, ref, port, put, told)

    async def _store_items(
        self,
        run: Run,
        ref: AttemptRef,
        port: PortPlan,
        folder: Folder,
        since: datetime | None,
        offered: dict[str, datetime],
        seen: dict[str, Seen],
        kept: dict[int, Artifact],
    ) -> Artifact | None:
        name, edge = file_name(port), run.plan.edges[port.edge]
        since = since or offered.get(port.port)
        there = seen.pop(port.port, None)
        if there is None:
            there = await asyncio.to_thread(self._look_through, port, folder)
        if there.error is not None:
            raise there.error
        if there.items is None:
            if port.required:
                raise errors.OutputMissing(port=port.port, path=f"{INSIDE}/out/{name}")
            return None
        found, directory = there.items, folder.outputs / name
        if run.plan.ephemeral:
            found = await self._cutting.items(port, directory, found, contents=self.contents, folder=folder.path)
        offered.setdefault(port.port, self._clock.now())
        job = collecting.Job(
            run=run,
            ref=ref,
            port=port,
            directory=directory,
            store=self.store(run, edge.store),
            key=keys.of_attempt(run.id, edge, ref.number),
            since=since,
        )
        return await self._collecting.store(job, found, kept)

    def _check_size(self, port: PortPlan, size: int) -> None:
        most = self._max_artifact_bytes
        if most is not None and size > most:
            reason = f"it has {size} bytes, and the operator's policy allows {most}"
            raise errors.OutputUnusable(port=port.port, reason=reason)

    async def _told(
        self, run: Run, port: PortPlan, head: bytes, size: int, where: Path | tuple[ObjectStore, ObjectStat]
    ) -> Told:
        """
        What the output is by its bytes. Raises `errors.WrongType`, `errors.TwoTypes`, `errors.OverLimit` when it is not
        what the port promises, or what those take who wait for it.
        """
        subject = f"output {port.port}"
        takers = (producer(port), *consumers(run, port.edge))
        if isinstance(where, Path):
            return await self.contents.of_file(where, head=head, size=size, subject=subject, takers=takers)
        store, found = where
        return await self.contents.of_object(store, found, head=head, subject=subject, takers=takers)

    async def _told_in(self, run: Run, port: PortPlan, store: ObjectStore, found: ObjectStat) -> Told:
        head = await store.read(found.key, length=self.contents.head_bytes) if found.size else b""
        return await self._told(run, port, head, found.size, (store, found))

    async def _handed_over(
        self, run: Run, ref: AttemptRef, port: PortPlan, store: ObjectStore, offered: dict[str, datetime]
    ) -> tuple[ObjectStat, Told] | None:
        """The object that the node put to its URL, sealed like an upload: what it puts later changes nothing."""
        try:
            found = await store.stat(_handed_key(ref, port))
            self._check_size(port, found.size)
            told = await self._told_in(run, port, store, found)
            target = keys.of_attempt(run.id, run.plan.edges[port.edge], ref.number)
            await self._lease.sure()
            offered.setdefault(port.port, self._clock.now())
            if run.plan.ephemeral:
                looks = cutting.looks(told.content_type, port)
                if (cut := await self._cutting.object(store, found, looks, folder=self.folder(ref).path)) is not None:
                    return await store.put_file(target, cut, content_type=told.content_type), told
            return await store.copy(found.key, target, if_etag=found.etag, content_type=told.content_type), told
        except errors.ObjectAbsent:
            return None

    async def _artifact(
        self, store: ObjectStore, run: Run, ref: AttemptRef, port: PortPlan, found: ObjectStat, told: Told
    ) -> Artifact:
        edge = run.plan.edges[port.edge]
        return Artifact(
            edge=port.edge,
            store=edge.store,
            key=found.key,
            size=found.size,
            content_type=told.content_type,
            sha256=found.sha256 or await sha256_of(store, found),
            etag=found.etag,
            created_at=self._clock.now() + self._clock.skew(),  # to be compared with its store's
            node=ref.node,
            attempt=ref.number,
            facts=told.facts,
            value=await value_of(store, found, edge),
        )


def handed_prefix(run_id: str) -> str:
    """What the keys begin with to which the nodes of a run put outputs themselves."""
    return f"{UPLOADS}{run_id}/nodes/"


def _handed_key(ref: AttemptRef, port: PortPlan) -> str:
    return f"{handed_prefix(ref.run)}{ref.node}/{ref.number}/{safe(port.port)}"


def _seen(path: Path, port: str, head_bytes: int, *, names: int = 1) -> Seen:
    try:
        size = folders.size_of_output(path, port, names)
    except errors.OutputUnusable as error:
        return Seen(size=None, error=error)
    return Seen(size=size, head=folders.head(path, head_bytes) if size else b"")
