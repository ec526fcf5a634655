"""
What runs made, of all runs: listed, found by their ids, and given through this server from whatever store has them.

What was uploaded is no artifact here, nor what was deleted since. A collection is given as the list of its items, as
JSON; each item is an artifact itself.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pupload import errors
from pupload.domain import collection, ids
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.runs import Runs

MAX_PAGE = 1000
"""Artifacts in one answer."""

PIECE_BYTES = 1024 * 1024
"""Of an object of which a part is given."""

JSON = "application/json"

_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLine:
    """An artifact as lists show it."""

    id: str
    """It follows from the run and the edge."""
    run: str
    edge: str
    key: str
    """Of the object, or what the keys of a collection's items begin with."""
    content_type: str
    """Of what is given for it."""
    size: int
    """Bytes; of a collection, those of all of its items."""
    sha256: str
    created_at: datetime
    file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an artifact holds, not read yet."""

    line: ArtifactLine
    size: int
    """Bytes of all of it."""
    etag: str
    """Another for other bytes; empty where nobody can say."""
    read: Callable[[int, int], AsyncIterator[bytes]]
    """
    So many bytes from there on, in pieces. Raises `errors.ArtifactGone` at the first step where the object is not there
    any more.
    """


class Artifacts:
    """What can be asked about artifacts."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._index = owned.Runs(engine)
        self._staging = engine.staging
        self._runs = runs

    async def list(self, *, run_id: str | None = None, limit: int = 100, offset: int = 0) -> Sequence[ArtifactLine]:
        """
        Those that can be had: the newest run's first, of one run by their edges; `limit` is at most 1 000.

        Raises `errors.UnknownRun`.
        """
        limit, offset = min(max(limit, 0), MAX_PAGE), max(offset, 0)
        if run_id is not None:
            run = await self._runs.find(run_id)
            every = sorted(run.artifacts.values(), key=lambda one: one.edge)
            found = [_line(run.id, one) for one in every if one.node is not None and one.edge not in run.gone]
            return found[offset : offset + limit]
        return await self._of_all(limit, offset)

    async def _of_all(self, limit: int, offset: int) -> Sequence[ArtifactLine]:
        found: list[ArtifactLine] = []
        after: tuple[str, str] | None = None
        while len(found) < limit:
            page = await self._index.artifacts(after=after, limit=_ROWS)
            for one in page:
                if one.artifact is None or one.artifact.node is None or one.gone_at is not None:
                    continue
                if offset:
                    offset -= 1
                else:
                    found.append(_line(one.run, one.artifact))
            if len(page) < _ROWS:
                break
            after = page[-1].run, page[-1].edge
        return found[:limit]

    async def get(self, artifact_id: str) -> ArtifactLine:
        """The artifact of this id. Raises `errors.UnknownArtifact`, of which one kind says that it is deleted."""
        run, found = await self._find(artifact_id)
        return _line(run.id, found)

    async def open(self, artifact_id: str) -> Contents:
        """What it holds. Raises as `get` does."""
        run, found = await self._find(artifact_id)
        line = _line(run.id, found)
        if found.items is not None:
            whole = json.dumps(items(run, found), ensure_ascii=False, separators=(",", ":")).encode()
            return Contents(line=line, size=len(whole), etag="", read=partial(_at_once, whole))
        read = partial(self._pieces, run, found)
        return Contents(line=line, size=found.size, etag=found.sha256, read=read)

    async def _find(self, artifact_id: str) -> tuple[Run, Artifact]:
        canonical = ids.canonical_artifact_id(artifact_id)
        if canonical is None:
            raise errors.UnknownArtifact(name=artifact_id[:64])
        for run_id, edge in await self._index.edges(*ids.runs_of_artifact(canonical)):
            if ids.artifact_id(run_id, edge) != canonical:
                continue
            try:
                run = await self._runs.find(run_id)
            except errors.UnknownRun:
                break  # somebody else's, or purged meanwhile
            if edge in run.gone:
                reason = f"its object was deleted at {run.gone[edge]:%Y-%m-%dT%H:%M:%SZ}"
                raise errors.ArtifactGone(name=canonical, reason=reason)
            found = run.artifacts.get(edge)
            if found is not None and found.node is not None:
                return run, found
        raise errors.UnknownArtifact(name=canonical)

    async def _pieces(self, run: Run, found: Artifact, start: int, size: int) -> AsyncIterator[bytes]:
        await self._staging.prepare(run)
        store = self._staging.store(run, found.store)
        try:
            if not size:
                await store.stat(found.key)
            elif size == found.size:
                async for piece in store.stream(found.key, if_etag=found.etag):
                    yield piece
            else:
                for place in range(start, start + size, PIECE_BYTES):
                    yield await store.read(found.key, start=place, length=min(PIECE_BYTES, start + size - place))
        except errors.ObjectAbsent as error:
            name, reason = ids.artifact_id(run.id, found.edge), "its object is not in the store any more"
            raise errors.ArtifactGone(name=name, reason=reason) from error
        except errors.PreconditionFailed as error:
            name, reason = ids.artifact_id(run.id, found.edge), "its object in the store is another by now"
            raise errors.ArtifactGone(name=name, reason=reason) from error


def items(run: Run, whole: Artifact) -> list[dict[str, object]]:
    """The items of a collection as plain values, in their order; those that are deleted are left out."""
    return [
        {
            "id": ids.artifact_id(run.id, one.edge),
            "name": one.file_name or one.edge,
            "place": place,
            "media_type": one.content_type,
            "size_bytes": one.size,
            "sha256": one.sha256,
        }
        for place, one in collection.placed(whole, run.artifacts)
        if one.edge not in run.gone
    ]


def _line(run_id: str, found: Artifact) -> ArtifactLine:
    return ArtifactLine(
        id=ids.artifact_id(run_id, found.edge),
        run=run_id,
        edge=found.edge,
        key=found.key,
        content_type=JSON if found.items is not None else found.content_type,
        size=found.size,
        sha256=found.sha256,
        created_at=found.created_at,
        file_name=found.file_name,
    )


async def _at_once(data: bytes, start: int, size: int) -> AsyncIterator[bytes]:
    yield data[start : start + size]
