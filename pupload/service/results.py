"""
What came of a run, as one value: text and JSON themselves where they are small, else where they are to be had.

It is what lies on the edge named `result`. A flow without one has the only JSON among its last artifacts, those that
no node takes, for its result, else the only text among them; where there are several, none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pupload import errors
from pupload.domain import collection, ids, knowledge, mime
from pupload.domain.artifact import Artifact
from pupload.domain.run import Run
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.engine.tasks import each_of
from pupload.service import artifacts
from pupload.service.presenting import URL_SECONDS
from pupload.service.runs import Runs

EDGE = "result"
"""What lies on the edge of this name is the result."""

INLINE_BYTES = 1024 * 1024
"""Text and JSON up to here is given itself."""

_SMALL_BYTES = 32 * 1024
_AT_ONCE = 8


class Kind(StrEnum):
    """Of a result."""

    NONE = "none"
    TEXT = "text"
    JSON = "json"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where something is to be had that is not given itself."""

    artifact: str
    """Its id."""
    url: str = field(repr=False)
    """A presigned GET; empty where none can be signed."""
    content_type: str
    size: int
    """Bytes."""
    sha256: str
    store: str = ""
    key: str = ""
    """In the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run, or lies on one of its edges."""

    kind: Kind = Kind.NONE
    value: Any = None
    """None, the text, what the JSON says, or a `Reference`."""
    written: bytes = b""
    """JSON as it was written: numbers keep all of their digits."""
    edge: str = ""


class Results:
    """What can be asked about results."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._staging = engine.staging
        self._runs = runs

    async def of(self, run_id: str) -> Result:
        """The run's result: nothing before there is one. Raises `errors.UnknownRun`."""
        run = await self._runs.find(run_id)
        found = chosen(run)
        if found is None:
            return Result()
        await self._staging.prepare(run)
        return await self._read(run, found)

    async def terminals(self, run_id: str) -> Mapping[str, Result]:
        """What lies on each edge that no node takes, by edge. Raises `errors.UnknownRun`."""
        run = await self._runs.find(run_id)
        await self._staging.prepare(run)
        found: dict[str, Result] = {}

        async def read(one: Artifact) -> None:
            found[one.edge] = await self._read(run, one)

        last = terminal(run)
        await each_of(last, read, at_once=_AT_ONCE)
        return {one.edge: found[one.edge] for one in last}

    async def lying(self, run: Run, edges: Iterable[str], *, inline_bytes: int = INLINE_BYTES) -> Mapping[str, Result]:
        """What lies on those of these edges of a run that has been found which have anything, small ones themselves."""
        await self._staging.prepare(run)
        found: dict[str, Result] = {}

        async def read(one: Artifact) -> None:
            found[one.edge] = await self._read(run, one, inline_bytes=inline_bytes)

        lying = [run.artifacts[edge] for edge in edges if edge in run.artifacts and edge not in run.gone]
        await each_of(lying, read, at_once=_AT_ONCE)
        return found

    async def reply(self, run_id: str) -> str:
        """What came of the run in words: its result, or the text that was made last; empty where there is none."""
        run = await self._runs.find(run_id)
        found = replying(run)
        if found is None:
            return ""
        await self._staging.prepare(run)
        result = await self._read(run, found)
        if result.kind is Kind.TEXT:
            return str(result.value)
        return result.written.decode() if result.kind is Kind.JSON else ""

    async def _read(self, run: Run, found: Artifact, *, inline_bytes: int = INLINE_BYTES) -> Result:
        if found.items is not None:
            listed = artifacts.items(run, found)
            written = json.dumps(listed, ensure_ascii=False).encode()
            return Result(kind=Kind.JSON, value=listed, written=written, edge=found.edge)
        if found.size > inline_bytes or not is_text(found):
            return self._reference(run, found)
        try:
            store = self._staging.store(run, found.store)
            data = await store.read(found.key, length=found.size) if found.size else b""
        except errors.ObjectAbsent:
            return Result(edge=found.edge)
        except (errors.TryLater, errors.ObjectForbidden, errors.StoreRefused):
            return self._reference(run, found)
        if found.edge == EDGE or _is_json(found):
            read = await aside.aside(lambda: _json(data), large=len(data) > _SMALL_BYTES)
            if read is not None:
                return Result(kind=Kind.JSON, value=read[0], written=data, edge=found.edge)
        try:
            return Result(kind=Kind.TEXT, value=data.decode(), edge=found.edge)
        except UnicodeDecodeError:
            return self._reference(run, found)

    def _reference(self, run: Run, found: Artifact) -> Result:
        name = found.file_name or found.edge + mime.extension(found.content_type)
        try:
            store = self._staging.store(run, found.store)
            url = store.presign_get(found.key, expires_seconds=URL_SECONDS, filename=name)
        except errors.StoreUnavailable:
            url = ""  # a secret is not set: no reason to tell nothing
        reference = Reference(
            artifact=ids.artifact_id(run.id, found.edge),
            url=url,
            content_type=found.content_type,
            size=found.size,
            sha256=found.sha256,
            store=found.store,
            key=found.key,
        )
        return Result(kind=Kind.REFERENCE, value=reference, edge=found.edge)


def chosen(run: Run) -> Artifact | None:
    """The artifact that is the result; None where there is none, or none any more."""
    named = run.artifacts.get(EDGE)
    if named is not None and named.node is not None:
        return None if EDGE in run.gone else named
    last = terminal(run)
    return _only(one for one in last if _is_json(one)) or _only(one for one in last if _is_plain(one))


def replying(run: Run) -> Artifact | None:
    """What answers whoever spoke: the result, else the last of the texts; None where there is neither."""
    found, texts = chosen(run), [one for one in terminal(run) if _is_plain(one)]
    if found is not None and found.edge == EDGE:
        return found
    return max(texts, key=lambda one: one.created_at, default=found)


def terminal(run: Run) -> Sequence[Artifact]:
    """
    What nodes made and no node takes, by edge, collections as one; but for what handlers made, what is deleted, and
    facts, which are there to be remembered.
    """
    made = (
        one
        for edge, one in run.artifacts.items()
        if one.node is not None and edge not in run.gone and one.node not in run.plan.handlers
    )
    return [
        one
        for one in sorted(collection.without_items(made), key=lambda one: one.edge)
        if (plan := run.plan.edges.get(one.edge)) is not None and not plan.consumers and not _is_remembered(run, one)
    ]


def _is_remembered(run: Run, this: Artifact) -> bool:
    node = run.plan.nodes.get(this.node or "")
    return node is not None and any(
        port.edge == this.edge and port.types == (knowledge.MEDIA,) for port in node.outputs
    )


def _only(found: Iterable[Artifact]) -> Artifact | None:
    every = list(found)
    return every[0] if len(every) == 1 else None


def _is_json(this: Artifact) -> bool:
    return this.items is None and (this.content_type == artifacts.JSON or this.content_type.endswith("+json"))


def _is_plain(this: Artifact) -> bool:
    return this.items is None and this.content_type.startswith("text/")


def is_text(this: Artifact) -> bool:
    """Whether it is given itself where it is small."""
    return _is_json(this) or _is_plain(this) or this.content_type == mime.EMPTY


def _json(data: bytes) -> tuple[Any] | None:
    """What the JSON says; None for what is none."""
    try:
        return (json.loads(data.decode(), parse_constant=_refuse),)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
