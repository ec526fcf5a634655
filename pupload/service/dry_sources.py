"""
What a dry run is given: the first rows of what its flow takes from outside.

Objects that are there already are read where they are, tables among them no further than to their first rows. What a
real run would wait for is given with the request, or is an earlier run's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pupload import errors
from pupload.domain import dry
from pupload.domain.artifact import Artifact
from pupload.domain.flow import DEFAULT_STORE
from pupload.domain.plan import EdgePlan, Origin, Plan
from pupload.domain.run import Run
from pupload.engine.contents import Told, consumers
from pupload.engine.cutting import Looks
from pupload.engine.engine import Engine
from pupload.engine.objects import sha256_of, value_of
from pupload.ports import ObjectStat, ObjectStore
from pupload.service.runs import Runs

MOST_BYTES = 1 << 20
"""Of what is given with a request, in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """What is to lie on an edge that would wait for an upload."""

    data: bytes
    content_type: str = ""
    """What it is, where its bytes do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The same, made or taken by an earlier run."""

    run: str
    edge: str


Input = Bytes | Earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Something for an edge: a file, or an object of the server's own store."""

    what: "Path | ObjectStat"
    told: Told


class Sources:
    """Brings what dry runs are given."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._world = engine.world
        self._staging = engine.staging
        self._cutting = engine.cutting
        self._most_bytes = engine.config.max_upload_bytes
        self._runs = runs

    async def bring(
        self, run: Run, inputs: Mapping[str, Input], folder: Path
    ) -> tuple[dict[str, Brought], dict[str, str]]:
        """
        What is there for each edge of the run that no node makes, in files of the `folder`; and for which there is
        nothing, and why. What is in neither is read where it is.

        Raises `errors.Malformed` for inputs of what there is not, `errors.TooLarge`, `errors.UnknownRun`.
        """
        edges = dry.sources(run.plan)
        _check(edges, inputs)
        await self._prepare(run.plan)
        brought, missing = dict[str, Brought](), dict[str, str]()
        for name, edge in edges.items():
            given = inputs.get(name)
            try:
                if given is not None:
                    brought[name] = await self._given(run, edge, given, folder)
                elif edge.origin is not Origin.STATIC:
                    missing[name] = f"waits for an upload of edge {name}"
                elif (cut := await self._static(run, edge, folder)) is not None:
                    brought[name] = cut
            except errors.ObjectAbsent:
                missing[name] = f"object {edge.key} of edge {name} is not in store {edge.store}"
            except (errors.AttemptFailed, errors.TryLater, errors.ObjectForbidden, errors.StoreRefused) as error:
                missing[name] = str(error)
        return brought, missing

    async def put(self, run: Run, edge: str, brought: Brought) -> Artifact:
        """Makes it the object of the edge, as the run keeps it. Raises what the store raises."""
        planned, store = run.plan.edges[edge], self._world.stores.default()
        told, what = brought.told, brought.what
        if isinstance(what, Path):
            found = await store.put_file(planned.key, what, content_type=told.content_type)
        else:
            found = await store.copy(what.key, planned.key, if_etag=what.etag, content_type=told.content_type)
        return Artifact(
            edge=edge,
            store=DEFAULT_STORE,
            key=found.key,
            size=found.size,
            content_type=told.content_type,
            facts=told.facts,
            sha256=found.sha256 or await sha256_of(store, found),
            etag=found.etag,
            created_at=self._world.clock.now() + self._world.clock.skew(),
            value=await value_of(store, found, planned),
        )

    async def _prepare(self, plan: Plan) -> None:
        for store in plan.stores.values():
            if any(edge.store == store.name and edge.origin is Origin.STATIC for edge in plan.edges.values()):
                await self._world.stores.prepare(store)

    async def _given(self, run: Run, edge: EdgePlan, given: Input, folder: Path) -> Brought:
        if isinstance(given, Earlier):
            return await self._earlier(run, edge, given, folder)
        path = folder / f"given.{self._world.ids.token()}"
        await asyncio.to_thread(path.write_bytes, given.data)
        head = given.data[: self._staging.contents.head_bytes]
        looks = Looks(
            content_type=await self._world.teller.tell(head, size=len(given.data)),
            promised=(given.content_type,) if given.content_type else _wanted(run, edge),
        )
        cut = await self._cutting.file(path, looks, size=len(given.data), folder=folder)
        return await self._file(run, edge, cut or path)

    async def _earlier(self, run: Run, edge: EdgePlan, given: Earlier, folder: Path) -> Brought:
        earlier = await self._runs.find(given.run)
        artifact = earlier.artifacts.get(given.edge)
        if artifact is None or given.edge in earlier.gone:
            raise errors.Malformed(reason=f"nothing lies on edge {given.edge[:64]} of run {earlier.id}")
        if artifact.items is not None:
            raise errors.Malformed(reason=f"edge {given.edge[:64]} of run {earlier.id} has a collection: name an item")
        await self._staging.prepare(earlier)
        store = self._staging.store(earlier, artifact.store)
        found = await store.stat(artifact.key)
        looks = Looks(
            content_type=artifact.content_type,
            names=(artifact.file_name, artifact.key),
            promised=_promised(earlier, given.edge) or _wanted(run, edge),
        )
        cut = await self._cutting.object(store, found, looks, folder=folder)
        if cut is not None:
            return await self._file(run, edge, cut)
        if store is self._world.stores.default():
            return Brought(what=found, told=await self._told(run, edge, store, found))
        if found.size > self._most_bytes:
            raise errors.TooLarge(what=f"input of edge {edge.name}", limit=self._most_bytes)
        path = folder / f"given.{self._world.ids.token()}"
        with await asyncio.to_thread(path.open, "xb") as file:
            async for piece in store.stream(found.key, if_etag=found.etag):
                await asyncio.to_thread(file.write, piece)
        return await self._file(run, edge, path)

    async def _static(self, run: Run, edge: EdgePlan, folder: Path) -> Brought | None:
        """The first rows, where it is a table; None where it is to be read as it is."""
        store = self._staging.store(run, edge.store)
        found = await store.stat(edge.key)
        head = await store.read(found.key, length=self._staging.contents.head_bytes) if found.size else b""
        kind = await self._world.teller.tell(head, size=found.size)
        looks = Looks(content_type=kind, names=(edge.key,), promised=_wanted(run, edge))
        cut = await self._cutting.object(store, found, looks, folder=folder)
        return None if cut is None else await self._file(run, edge, cut)

    async def _file(self, run: Run, edge: EdgePlan, path: Path) -> Brought:
        contents = self._staging.contents
        head, size = await asyncio.to_thread(_beginning, path, contents.head_bytes)
        subject = f"input of edge {edge.name}"
        takers = consumers(run, edge.name)
        return Brought(
            what=path, told=await contents.of_file(path, head=head, size=size, subject=subject, takers=takers)
        )

    async def _told(self, run: Run, edge: EdgePlan, store: ObjectStore, found: ObjectStat) -> Told:
        contents, subject = self._staging.contents, f"input of edge {edge.name}"
        head = await store.read(found.key, length=contents.head_bytes) if found.size else b""
        takers = consumers(run, edge.name)
        return await contents.of_object(store, found, head=head, subject=subject, takers=takers)


def _check(edges: Mapping[str, EdgePlan], inputs: Mapping[str, Input]) -> None:
    for name in inputs:
        if name not in edges:
            raise errors.Malformed(reason=f"Inputs: {name[:64]} is no edge that the flow takes from outside")
    if sum(len(one.data) for one in inputs.values() if isinstance(one, Bytes)) > MOST_BYTES:
        raise errors.TooLarge(what="what is given in Inputs", limit=MOST_BYTES)


def _promised(run: Run, edge: str) -> tuple[str, ...]:
    """The types that whoever made it promised."""
    producer = run.plan.edges[edge].producer
    ports = run.plan.nodes[producer].outputs if producer else ()
    return tuple(kind for port in ports if port.edge == edge for kind in port.types)


def _wanted(run: Run, edge: EdgePlan) -> tuple[str, ...]:
    """The types that those take who wait for it: where bytes tell little, it was meant as one of these."""
    nodes: Iterable[str] = edge.consumers
    return tuple(
        kind for node in nodes for port in run.plan.nodes[node].inputs if port.edge == edge.name for kind in port.types
    )


def _beginning(path: Path, size: int) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(size), path.stat().st_size
