"""Chat: somebody says something to a drawing, and what a run of it comes to is the answer."""

from datetime import datetime

from pupload import errors, ports
from pupload.domain.drawing.model import Drawing
from pupload.service.drawings import Drawings
from pupload.service.drawn_runs import DrawnRuns
from pupload.service.threads import LABEL, Threads
from pupload.service.views import RunView

TRIGGER = "trigger_chat"
"""The component of the nodes that take what is said."""


class Chat:
    """What can be said to drawings, and was; where one is asked for, it raises `errors.UnknownDrawing`."""

    def __init__(self, *, drawings: Drawings, runs: DrawnRuns, threads: Threads) -> None:
        self._drawings = drawings
        self._runs = runs
        self._threads = threads

    async def say(self, slug: str, text: str, *, trigger: str | None = None) -> RunView:
        """
        A run of the drawing that is given the text; its reply is kept when it has succeeded.

        It is begun by that trigger, or by the first that takes what is said. Raises `errors.NoChatTrigger`, and as
        `DrawnRuns.execute` does.
        """
        drawing = await self._drawings.find(slug)
        begin = _trigger(drawing, trigger)
        labels = {LABEL: _thread(drawing)}
        view = await self._runs.execute(slug, trigger=begin, value=text, labels=labels, followed=True)
        await self._threads.said(view.run, text)
        return view

    async def history(
        self, slug: str, *, before: datetime | None = None, limit: int = 10
    ) -> tuple[Drawing, ports.Said]:
        """The last that the caller and the drawing said to each other, or the last before."""
        drawing = await self._drawings.find(slug)
        return drawing, await self._threads.history(_thread(drawing), before=before, limit=limit)

    async def clear(self, slug: str) -> None:
        """The caller and the drawing never said anything to each other."""
        await self._threads.clear(_thread(await self._drawings.find(slug)))


def _thread(drawing: Drawing) -> str:
    """Its number, for it may be called otherwise one day."""
    return str(drawing.id)


def _trigger(drawing: Drawing, wanted: str | None) -> str:
    there = sorted(
        (node for node in drawing.nodes if node.component == TRIGGER), key=lambda node: not node.is_entry_point
    )
    found = next((node.node_id for node in there if wanted in (None, node.node_id)), None)
    if found is None:
        raise errors.NoChatTrigger(drawing=drawing.slug)
    return found
