"""
What runs made, as tables: the first rows of a file, what is told of its columns, and what is otherwise than before.

What was told once is kept beside the run, in the server's own store, and goes when the run is purged: a file is read
whole once at most.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pupload import errors
from pupload.domain import collection, keys, tables
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.domain.tables import Drift, Kind, Profile, Table
from pupload.engine.engine import Engine
from pupload.ports import Lends, ObjectStore, RunSummary, TableFile
from pupload.ports import Tables as Reader
from pupload.service import owned
from pupload.service.runs import Runs

log = logging.getLogger(__name__)

USUAL_ROWS, MOST_ROWS = 50, 1000

PREVIEW_BYTES = 4 * 1024 * 1024
"""Of text, read for its first rows."""

FOOT_BYTES = 8 * 1024 * 1024
"""Of the end of a Parquet file that is too large to be brought here whole: it says where everything is."""

COUNT_BYTES = 64 * 1024 * 1024
"""Of text whose rows are counted: a second or two. Those of larger files are not."""

PIECE_BYTES = 4 * 1024 * 1024

EARLIER_RUNS = 40
"""So many of the flow are asked for what was told of them."""

_AT_ONCE = 8
_PAGE = 100
_FORM = 1
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a file."""

    edge: str
    profile: Profile
    drift: tuple[Drift, ...] = ()
    """Against the newest earlier run of the flow of whose object on this edge something was told."""
    compared: str = ""
    """That run; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notes:
    """What is kept of a file."""

    sha256: str
    rows: int | None
    profile: Profile | None = None


class Tables:
    """Shows and tells what runs made."""

    def __init__(self, *, engine: Engine, runs: Runs, scratch: Path, most_bytes: int) -> None:
        """`scratch` is a folder on the store's file system; of no file are more than `most_bytes` read."""
        self._engine = engine
        self._runs = runs
        self._owned = owned.Runs(engine)
        self._scratch = scratch
        self._most_bytes = most_bytes
        self._locks = WeakValueDictionary[str, asyncio.Lock]()
        self._rows = dict[tuple[str, str], int | None]()

    @property
    def _reader(self) -> Reader:
        found = self._engine.world.tables
        if found is None:
            raise errors.NoPreview(reason="this server shows no tables")
        return found

    async def preview(self, run_id: str, *, node: str = "", edge: str = "", rows: int = USUAL_ROWS) -> Table:
        """
        The first rows of what lies on the edge; without one, of the node's first output that there is.

        Raises `errors.UnknownRun`, `errors.Malformed` where the run has no such node or edge, `errors.NoPreview`.
        """
        return await self.shown(await self._runs.find(run_id), node=node, edge=edge, rows=rows)

    async def shown(self, run: Run, *, node: str = "", edge: str = "", rows: int = USUAL_ROWS) -> Table:
        """The same of a run that was found."""
        artifact, kind = _chosen(run, node, edge)
        most = self._most_bytes if kind is Kind.PARQUET else min(PREVIEW_BYTES, self._most_bytes)
        async with self._at_hand(run, artifact, kind, most) as file:
            return await self._reader.preview(file, rows=max(1, min(rows, MOST_ROWS)))

    async def profile(self, run_id: str, *, node: str = "", edge: str = "") -> Told:
        """What is told of the columns of the same; raises the same."""
        run = await self._runs.find(run_id)
        artifact, kind = _chosen(run, node, edge)
        async with self._locks.setdefault(f"{run.id}/{artifact.edge}", asyncio.Lock()):
            notes = await self._kept(run.id, artifact.edge)
            found = notes.profile if notes is not None and notes.sha256 == artifact.sha256 else None
            if found is None:
                async with self._at_hand(run, artifact, kind, self._most_bytes) as file:
                    found = await self._reader.profile(file)
                rows = found.row_count if found.kind.tabular and not found.sampled else None
                await self._keep(run, artifact, _Notes(sha256=artifact.sha256, rows=rows, profile=found))
        before, earlier = await self._earlier(run, artifact.edge)
        drift = () if before is None else tables.drift(found, before)
        return Told(edge=artifact.edge, profile=found, drift=drift, compared=earlier)

    async def row_count(self, run_id: str, *, node: str = "", edge: str = "") -> int | None:
        """
        How many rows the same has, found out in seconds; None where it is no table, has gone, or is too large.

        Raises `errors.UnknownRun`, `errors.Malformed`.
        """
        run = await self._runs.find(run_id)
        try:
            return await self.rows(run, _edge(run, node, edge))
        except errors.NoPreview:
            return None

    async def rows(self, run: Run, edge: str) -> int | None:
        """The same of what lies on this edge of a run that was found; of what has gone since, where it was counted."""
        try:
            artifact, kind = _chosen(run, "", edge)
        except errors.NoPreview:
            return None
        if not kind.tabular:
            return None
        known = (artifact.sha256, artifact.edge)
        if edge in run.gone and known not in self._rows:
            notes = await self._kept(run.id, edge)
            return notes.rows if notes is not None and notes.sha256 == artifact.sha256 else None
        if known not in self._rows:
            async with self._locks.setdefault(f"{run.id}/{artifact.edge}", asyncio.Lock()):
                found = await self._counted(run, artifact, kind)
            if len(self._rows) >= _REMEMBERED:
                self._rows.clear()
            self._rows[known] = found
        return self._rows[known]

    async def _counted(self, run: Run, artifact: Artifact, kind: Kind) -> int | None:
        notes = await self._kept(run.id, artifact.edge)
        if notes is not None and notes.sha256 == artifact.sha256:
            return notes.rows
        rows = None
        try:
            if kind is Kind.PARQUET:  # it says at its end how many rows it has
                async with self._at_hand(run, artifact, kind, FOOT_BYTES) as file:
                    rows = await self._reader.count(file)
            elif artifact.size <= min(COUNT_BYTES, self._most_bytes):
                async with self._at_hand(run, artifact, kind, artifact.size) as file:
                    rows = await self._reader.count(file)
        except errors.NoPreview as error:
            log.info("the rows of edge %s of run %s are not counted: %s", artifact.edge, run.id, error)
        await self._keep(run, artifact, _Notes(sha256=artifact.sha256, rows=rows))
        return rows

    # ── The object, as a file ────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _at_hand(self, run: Run, artifact: Artifact, kind: Kind, most: int) -> AsyncIterator[TableFile]:
        """As much of the object as may be read. Raises `errors.NoPreview`, and what the store raises."""
        if (gone := run.gone.get(artifact.edge)) is not None:
            when = f"{gone:%Y-%m-%d %H:%M} UTC"
            raise errors.NoPreview(reason=f"the object on edge {artifact.edge} was deleted at {when}")
        await self._engine.staging.prepare(run)
        store = self._engine.staging.store(run, artifact.store)
        path = self._scratch / self._engine.world.ids.token()
        try:
            await asyncio.to_thread(self._scratch.mkdir, mode=0o700, parents=True, exist_ok=True)
            if (await store.stat(artifact.key)).etag != artifact.etag:
                raise errors.NoPreview(reason=f"the object on edge {artifact.edge} is another by now")
            size = artifact.size
            if isinstance(store, Lends) and await store.lend(artifact.key, path):
                head = size if kind is Kind.PARQUET else min(size, most)
                yield TableFile(path=path, kind=kind, size=size, head=head, tail=size)
                return
            whole = size <= most or kind is not Kind.PARQUET
            head, tail = (min(size, most), size) if whole else (max(0, most - FOOT_BYTES), size - FOOT_BYTES)
            self._engine.disks.check()
            await self._bring(store, artifact.key, path, ((0, head), (tail, size)))
            yield TableFile(path=path, kind=kind, size=size, head=head, tail=tail)
        except errors.ObjectAbsent as error:
            raise errors.NoPreview(reason=f"the object on edge {artifact.edge} is gone") from error
        finally:
            # Not awaited: it must be gone also when this is cancelled, and it takes no time.
            path.unlink(missing_ok=True)

    @staticmethod
    async def _bring(store: ObjectStore, key: str, path: Path, ranges: Iterable[tuple[int, int]]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for start, end in ranges:
                at = start
                while at < end and (data := await store.read(key, start=at, length=min(PIECE_BYTES, end - at))):
                    await asyncio.to_thread(os.pwrite, descriptor, data, at)
                    at += len(data)
        finally:
            os.close(descriptor)

    # ── What was told ────────────────────────────────────────────────────────────────────────────────────────────

    async def _kept(self, run_id: str, edge: str) -> _Notes | None:
        try:
            return _read(await self._engine.world.stores.default().read(keys.of_notes(run_id, edge)))
        except errors.ObjectAbsent:
            return None
        except errors.PuploadError as error:
            log.info("what was told of edge %s of run %s cannot be read: %s", edge, run_id, error)
            return None

    async def _keep(self, run: Run, artifact: Artifact, notes: _Notes) -> None:
        store, key = self._engine.world.stores.default(), keys.of_notes(run.id, artifact.edge)
        try:
            await store.put_bytes(key, _written(notes), content_type="application/json")
        except errors.PuploadError as error:
            log.info("what was told of edge %s of run %s cannot be kept: %s", artifact.edge, run.id, error)
            return
        try:
            await self._runs.find(run.id)
        except errors.UnknownRun:  # purged meanwhile: nobody else would ever remove it
            await store.delete(key)
            raise

    async def _earlier(self, run: Run, edge: str) -> tuple[Profile | None, str]:
        """What was told of the newest earlier run of the flow, and which that is."""
        found = await self._earlier_runs(run)
        for first in range(0, len(found), _AT_ONCE):
            some = found[first : first + _AT_ONCE]
            for one, notes in zip(
                some, await asyncio.gather(*(self._kept(each.id, edge) for each in some)), strict=True
            ):
                if notes is not None and notes.profile is not None:
                    return notes.profile, one.id
        return None, ""

    async def _earlier_runs(self, run: Run) -> list[RunSummary]:
        """Of the same saved flow; of runs of none, those of a flow of the same name."""
        of = run.plan.provenance
        name, flow_id = (run.plan.flow.name, None) if of is None else (None, of.flow)
        found, offset = list[RunSummary](), 0
        while (name or flow_id) and len(found) < EARLIER_RUNS:
            page = await self._owned.list(flow=name, flow_id=flow_id, limit=_PAGE, offset=offset)
            found += [one for one in page.runs if one.created_at < run.created_at]
            offset += _PAGE
            if len(page.runs) < _PAGE:
                break
        return found[:EARLIER_RUNS]


def _chosen(run: Run, node: str, edge: str) -> tuple[Artifact, Kind]:
    """Which object is meant, and how it is read. Raises `errors.Malformed`, `errors.NoPreview`."""
    name = _edge(run, node, edge)
    artifact = run.artifacts.get(name)
    if artifact is None:
        raise errors.NoPreview(reason=f"nothing lies on edge {name} of run {run.id}")
    if artifact.items is not None:
        items = sorted(place for place, _ in collection.placed(artifact, run.artifacts))
        hint = f": name one of them, such as edge {collection.item(name, items[0])}" if items else ""
        raise errors.NoPreview(reason=f"edge {name} has a collection of {len(items)} items{hint}")
    planned = run.plan.edges[name]
    maker = run.plan.nodes[planned.producer] if planned.producer else None
    promised = [kind for port in maker.outputs if port.edge == name for kind in port.types] if maker else []
    names = (artifact.file_name, artifact.key)
    kind = tables.kind_of(artifact.content_type, names=names, promised=promised)
    if kind is None:
        raise errors.NoPreview(reason=f"the object on edge {name} is {artifact.content_type}, which is no table")
    return artifact, kind


def _edge(run: Run, node: str, edge: str) -> str:
    """The edge that is named, or that of the node's first output that there is."""
    if not node and not edge:
        raise errors.Malformed(reason="name a node or an edge")
    if edge and not _is_there(run.plan.edges, edge):
        raise errors.Malformed(reason=f"run {run.id} has no edge {edge[:64]}")
    if not node:
        return edge
    if not _is_there(run.plan.nodes, node):
        raise errors.Malformed(reason=f"run {run.id} has no node {node[:64]}")
    outputs = [port.edge for port in run.plan.nodes[node].outputs]
    if edge and edge not in outputs and not _is_item_of(edge, outputs):
        raise errors.Malformed(reason=f"edge {edge[:64]} is no output of node {node[:64]}")
    found = edge or next((one for one in outputs if one in run.artifacts), "")
    if not found:
        raise errors.NoPreview(reason=f"node {node} of run {run.id} has made nothing")
    return found


def _is_there(known: Mapping[str, Any], name: str) -> bool:
    """Items are not counted among nodes and edges, but can be looked up."""
    try:
        known[name]
    except KeyError:
        return False
    return True


def _is_item_of(edge: str, outputs: list[str]) -> bool:
    part = collection.part_of(edge)
    return part is not None and part[0] in outputs


# ── Notes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _written(notes: _Notes) -> bytes:
    profile = None
    if notes.profile is not None:
        profile = {name: getattr(notes.profile, name) for name in Profile.__slots__}
        profile["columns"] = [
            {name: getattr(column, name) for name in tables.Column.__slots__} for column in notes.profile.columns
        ]
    told = {"form": _FORM, "sha256": notes.sha256, "rows": notes.rows, "profile": profile}
    return json.dumps(told).encode()


def _read(data: bytes) -> _Notes | None:
    """None for what another version wrote, or somebody else."""
    try:
        told = json.loads(data)
        if told["form"] != _FORM:
            return None
        notes = _Notes(sha256=str(told["sha256"]), rows=None if told["rows"] is None else int(told["rows"]))
        given = told["profile"]
        if given is None:
            return notes
        profile = Profile(
            kind=Kind(given["kind"]),
            row_count=int(given["row_count"]),
            columns=tuple(tables.column_of(each) for each in given["columns"]),
            sampled=bool(given["sampled"]),
            profiling_ms=int(given["profiling_ms"]),
        )
        return replace(notes, profile=profile)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
