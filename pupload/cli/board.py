"""What `pup test` shows while a run goes on: a live picture on a terminal, a line for each change elsewhere."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from pupload.cli import output
from pupload.cli.output import Output
from pupload.client import Event

_STATUS_AFTER = {
    "node.ready": "READY",
    "node.admitted": "RUNNING",
    "node.started": "RUNNING",
    "node.progressed": "RUNNING",
    "node.succeeded": "COMPLETE",
    "node.reused": "COMPLETE",
    "node.retrying": "RETRYING",
    "node.failed": "ERROR",
    "node.skipped": "SKIPPED",
    "node.expanded": "RUNNING",
    "node.gathered": "COMPLETE",
}
_ENDED = ("COMPLETE", "ERROR", "SKIPPED")


@dataclass
class _Items:
    """Of a node that runs once for each: how many there are, and how they ended."""

    total: int
    done: int = 0
    failed: int = 0

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.total} items{failed}"


class Board:
    """Shows nodes and transfers. A context manager."""

    def __init__(self, out: Output, nodes: Iterable[str]) -> None:
        self._out = out
        self._nodes = dict.fromkeys(nodes, ("IDLE", ""))
        self._items: dict[str, _Items] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=out.console,
            auto_refresh=False,
        )
        self._live = Live(get_renderable=self._picture, console=out.console, refresh_per_second=8) if out.live else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def see(self, event: Event) -> None:
        """Takes in what happened."""
        status = _STATUS_AFTER.get(event.kind)
        if status is None:
            return
        facts = event.data["Data"]
        node, said = facts["Node"], str(facts.get("Reason", ""))
        if (items := self._items.get(node.rpartition(".")[0])) is not None and node not in self._nodes:
            self._see_item(node, items, status, said)
            return
        if event.kind == "node.expanded":
            self._items[node] = _Items(facts["Items"], done=facts["Reused"])
        if node in self._items and status != "ERROR":
            said = str(self._items[node])
        if event.kind == "node.progressed":
            said = f"{facts['Progress']:.0%}"
        before, self._nodes[node] = self._nodes.get(node), (status, said)
        if self._live is None and before != (status, said):
            number = facts.get("Attempt", 1)
            again = f" (attempt {number})" if isinstance(number, int) and number > 1 else ""
            self._out.say(f"{node}: {status}{again}{f': {said}' if said else ''}")

    def _see_item(self, node: str, items: _Items, status: str, said: str) -> None:
        """Thousands of lines say less than a count: each tenth is told, and what fails."""
        if status not in _ENDED:
            return
        items.done += 1
        items.failed += status == "ERROR"
        whole = node.rpartition(".")[0]
        self._nodes[whole] = ("RUNNING", str(items))
        if self._live is None and status == "ERROR":
            self._out.say(f"{node}: {status}: {said}")
        elif self._live is None and items.done * 10 // items.total > (items.done - 1) * 10 // items.total:
            self._out.say(f"{whole}: RUNNING: {items}")

    def transfer(self, description: str, total: int) -> Callable[[int], None]:
        """A bar for bytes that move; returns what is told how many more have."""
        if self._live is None:
            self._out.say(f"{description}, {output.size(total)}")
            return lambda _: None
        task = self._progress.add_task(description, total=total)
        return lambda count: self._progress.advance(task, count)

    def _picture(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        for node, (status, said) in self._nodes.items():
            table.add_row(output.plain(node), output.status(status), output.plain(said))
        return Group(table, self._progress)
