"""
Flows started with all that they wait for: a value, or a file.

What is given is held against the flow first, so that nothing is begun that could not go on.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pupload import errors
from pupload.domain import entries as ends_of
from pupload.domain.entries import End
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef
from pupload.domain.run import Run
from pupload.ports import Catalogue
from pupload.service import inputs
from pupload.service.flows import Flows, FlowView
from pupload.service.inputs import Inputs
from pupload.service.runs import Runs
from pupload.service.uploads import Uploads
from pupload.service.views import Order

MOST_READ_BYTES = 16 * 1024 * 1024
"""Of a file whose content becomes a text in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What a flow is given, and what it gives."""

    entries: Sequence[End]
    terminals: Sequence[End]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file that somebody sent."""

    path: Path
    name: str
    content_type: str


class Launches:
    """Starts flows."""

    def __init__(self, *, runs: Runs, flows: Flows, inputs: Inputs, uploads: Uploads, catalogue: Catalogue) -> None:
        self._runs = runs
        self._flows = flows
        self._inputs = inputs
        self._catalogue = catalogue
        self.taken = uploads.taken
        """See `Uploads.taken`: where a file is before it is given."""

    async def ends(self, flow: Flow, definitions: Sequence[NodeDef]) -> Ends:
        """Those of the flow, whose definitions are its own and the catalogue's."""
        own = {definition.uses for definition in definitions}
        missing = dict.fromkeys(node.uses for node in flow.nodes if node.uses not in own)
        found = [await self._catalogue.find(uses) for uses in missing]
        known = [*definitions, *filter(None, found)]
        return Ends(entries=ends_of.entries(flow, known), terminals=ends_of.terminals(flow, known))

    async def flow(self, flow: str, value: Any, *, labels: Mapping[str, str] | None = None) -> Run:
        """
        A run of the saved flow, given the value; every node does its work. With labels it is followed.

        Raises `errors.UnknownSavedFlow`, `errors.Malformed` and `errors.TooLarge` for the value, and as `Flows.start`
        does: there is no run then.
        """
        view = await self._flows.to_run(flow)
        await self._check(view.content.flow, view.content.definitions, value)
        return await self._begin(partial(self._start, view, labels), lambda run: self._inputs.give(run.id, value))

    async def check(self, flow: str, value: Any) -> None:
        """Raises `errors.Malformed` and `errors.TooLarge` for a value that no run of the saved flow can be given."""
        view = await self._flows.to_run(flow)
        await self._check(view.content.flow, view.content.definitions, value)

    async def give(self, run: Run, value: Any) -> None:
        """The value, unless the run was given what it waits for already."""
        if inputs.awaited(run):
            await self._inputs.give(run.id, value)

    async def order(self, order: Order, value: Any) -> Run:
        """The same of a flow that is not saved. Raises as `Runs.start` does."""
        await self._check(order.flow, order.definitions, value)

        async def start() -> Run:
            return (await self._runs.start(order)).run

        return await self._begin(start, lambda run: self._inputs.give(run.id, value))

    async def file(self, flow: str, given: Given) -> Run:
        """
        A run of the saved flow, given the file.

        An entry that takes JSON gets an object with the `file_name`, the `content_type`, the `content` as text and
        the `size` in bytes; one that takes other types gets the bytes. Raises as `flow` does.
        """
        view = await self._flows.to_run(flow)
        ends = (await self.ends(view.content.flow, view.content.definitions)).entries
        told, plain = _for_file(ends)
        size = (await asyncio.to_thread(given.path.stat)).st_size
        if told and size > MOST_READ_BYTES:
            raise errors.TooLarge(what=f"a file that becomes a text for edge {told}", limit=MOST_READ_BYTES)

        async def give(run: Run) -> None:
            if told:
                beside = given.path.with_name(f"{given.path.name}.told")
                try:
                    await asyncio.to_thread(_tell, given, beside, size)
                    await self._inputs.give_file(run.id, told, beside, content_type=inputs.JSON)
                finally:
                    beside.unlink(missing_ok=True)
            if plain:
                await self._inputs.give_file(run.id, plain, given.path, content_type=given.content_type)

        return await self._begin(partial(self._start, view), give)

    async def _check(self, flow: Flow, definitions: Sequence[NodeDef], value: Any) -> None:
        inputs.check(value, [end.edge for end in (await self.ends(flow, definitions)).entries])

    async def _start(self, view: FlowView, labels: Mapping[str, str] | None = None) -> Run:
        version, followed = view.version.number, labels is not None
        begun = self._flows.start(view.flow.id, version=version, memoize=False, labels=labels, followed=followed)
        return (await begun).run

    async def _begin(self, start: Callable[[], Awaitable[Run]], give: Callable[[Run], Awaitable[Any]]) -> Run:
        """The run, given what it waits for; where that cannot be, it is cancelled: nobody else would give it."""
        run = await start()
        try:
            await give(run)
        except BaseException:
            await self._runs.cancel(run.id)
            raise
        return run


def _for_file(ends: Sequence[End]) -> tuple[str, str]:
    """The edge that is told of the file, and the one that gets it; empty for none. Raises `errors.Malformed`."""
    told = [end.edge for end in ends if end.takes_json]
    plain = [end.edge for end in ends if not end.takes_json]
    if not ends:
        raise errors.Malformed(reason="the flow waits for no input")
    if len(told) > 1 or len(plain) > 1:
        names = ", ".join(end.edge for end in ends)
        raise errors.Malformed(reason=f"the flow waits for several files: {names}; upload each to the run")
    return "".join(told), "".join(plain)


def _tell(given: Given, beside: Path, size: int) -> None:
    """Writes what is told of the file."""
    text = given.path.read_bytes().decode(errors="replace")
    told = {"file_name": given.name, "content_type": given.content_type, "content": text, "size": size}
    beside.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
