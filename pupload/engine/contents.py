"""
What a file is and holds, told from its bytes, and whether all who take it take that.

Asked of what arrives and of what nodes made, before anything is built on it. What is on this machine is looked into
where it lies; of an object far away its beginning and its end are read, never the whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pupload import errors
from pupload.domain import facts, mime
from pupload.domain.facts import UNLIMITED, Facts, Limits
from pupload.domain.plan import PortPlan
from pupload.domain.run import Run
from pupload.ports import Content, Inspected, Inspector, Lends, ObjectStat, ObjectStore, TypeTeller

SCRATCH = "inspected"
"""The name of the folder, beside those of attempts, where objects have a second name while they are looked into."""

TAIL_BYTES = 2 * 1024 * 1024
"""Read of an object's end, where it is not on this machine."""

UNSEEN = facts.Inspection()
"""What comes of not looking."""

SERVER = "this server ({limit})"
"""Who sets the limits of settings, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is recorded of a file."""

    content_type: str
    facts: Facts | None = None
    """None where nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Somebody who relies on what a file is."""

    name: str
    """As in `input image of node shrink`; empty for the output itself that the sentence is about."""
    types: tuple[str, ...]
    limits: Limits | None


def consumers(run: Run, edge: str) -> Iterator[Taker]:
    """
    The inputs that take what lies on the edge, whatever it is; those of nodes with a condition are asked when that is
    met (`pupload.domain.branches`), but for items of collections.
    """
    planned = run.plan.edges[edge]
    for consumer in planned.consumers:
        node = run.plan.nodes[consumer]
        for port in node.inputs if not node.when or planned.place is not None else ():
            if port.edge == edge and (port.types or port.limits):
                yield Taker(name=f"input {port.port} of node {consumer}", types=port.types, limits=port.limits)


def producer(port: PortPlan) -> Taker:
    """The output that promises what its file is."""
    return Taker(name="", types=port.types, limits=port.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of this machine to which nobody writes any more."""

    path: Path
    head: bytes
    """How it begins."""
    size: int
    subject: str
    """What a sentence calls it."""


class Contents:
    """Tells what files are, and refuses what somebody relies on that it is not."""

    def __init__(
        self,
        *,
        teller: TypeTeller,
        inspector: Inspector,
        caps: Limits = UNLIMITED,
        scratch: Path,
        tokens: Callable[[], str],
    ) -> None:
        """
        `caps` are for every file, whatever its ports say. `scratch` is a folder on the store's file system, where
        objects have a second name, by `tokens`, while they are looked into; nobody else's files are in it.
        """
        self._teller = teller
        self._inspector = inspector
        self._caps = caps
        self._scratch = scratch
        self._tokens = tokens

    @property
    def head_bytes(self) -> int:
        """How many bytes from the beginning of a file it wants."""
        return self._teller.head_bytes

    async def of_file(self, path: Path, *, head: bytes, size: int, subject: str, takers: Iterable[Taker]) -> Told:
        """
        What the file at `path` is, to which nobody writes any more.

        Raises `errors.WrongType`, `errors.TwoTypes`, `errors.OverLimit`.
        """
        (told,) = await self.of_files([File(path=path, head=head, size=size, subject=subject)], takers=takers)
        return told

    async def of_files(self, files: Sequence[File], *, takers: Iterable[Taker]) -> list[Told]:
        """What each of them is, in the same order; raises as `of_file`, for one of them."""
        takers = tuple(takers)
        kinds = await self._teller.tell_all([(file.head, file.size) for file in files])
        asked = dict[int, Inspected]()
        for place, (file, kind) in enumerate(zip(files, kinds, strict=True)):
            _check_type(kind, file.subject, takers)
            if self._inspector.looks_into(kind):
                asked[place] = Inspected(content=file.path, content_type=kind, size=file.size)
        looked = await self._inspector.look_all(list(asked.values())) if asked else ()
        found = dict(zip(asked, looked, strict=True))
        return [
            self._judged(kind, file.size, found.get(place, UNSEEN), file.subject, takers)
            for place, (file, kind) in enumerate(zip(files, kinds, strict=True))
        ]

    async def of_object(
        self, store: ObjectStore, found: ObjectStat, *, head: bytes, subject: str, takers: Iterable[Taker]
    ) -> Told:
        """What the object is; raises as `of_file`, and what the store raises."""
        takers = tuple(takers)
        kind = await self._type(head, found.size, subject, takers)
        if not self._inspector.looks_into(kind):
            return self._judged(kind, found.size, UNSEEN, subject, takers)
        async with self._at_hand(store, found, head) as content:
            inspection = await self._inspector.look(content, content_type=kind, size=found.size)
        return self._judged(kind, found.size, inspection, subject, takers)

    async def _type(self, head: bytes, size: int, subject: str, takers: Sequence[Taker]) -> str:
        found = await self._teller.tell(head, size=size)
        _check_type(found, subject, takers)
        return found

    @asynccontextmanager
    async def _at_hand(self, store: ObjectStore, found: ObjectStat, head: bytes) -> AsyncIterator[Content]:
        """The object as a file where its store is on this machine, else its beginning and its end."""
        if len(head) >= found.size:
            yield ((0, head),)
            return
        if isinstance(store, Lends):
            path = self._scratch / self._tokens()
            try:
                await asyncio.to_thread(self._scratch.mkdir, mode=0o700, parents=True, exist_ok=True)
                if await store.lend(found.key, path):
                    yield path
                    return
            finally:
                # Not awaited: it must be gone also when this is cancelled, and it takes no time.
                path.unlink(missing_ok=True)
        start = max(len(head), found.size - TAIL_BYTES)
        yield ((0, head), (start, await store.read(found.key, start=start, length=found.size - start)))

    def _judged(self, kind: str, size: int, found: facts.Inspection, subject: str, takers: Sequence[Taker]) -> Told:
        if found.other_type:
            raise errors.TwoTypes(subject=subject, found=kind, other=found.other_type)
        reason = None
        for taker in takers:
            if reason is None and taker.limits is not None:
                by = taker.name or "the port"
                reason = facts.objection(found.facts, kind, size, taker.limits, by=by, reason=found.reason)
        # Nothing known is nothing too much, which spares plain files the question.
        if reason is None and (found.facts.known or self._caps.max_bytes is not None):
            reason = facts.objection(found.facts, kind, size, self._caps, by=SERVER, strict=False)
        if reason is not None:
            raise errors.OverLimit(subject=subject, found=kind, reason=reason)
        return Told(content_type=kind, facts=found.facts if found.facts.known else None)


def _check_type(found: str, subject: str, takers: Sequence[Taker]) -> None:
    """Raises `errors.WrongType`."""
    for taker in takers:
        if not mime.accepts(taker.types, found):
            expected = " or ".join(taker.types) + (f" by {taker.name}" if taker.name else "")
            raise errors.WrongType(subject=subject, found=found, expected=expected)
