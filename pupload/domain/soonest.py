"""
Which nodes of a run are needed soonest: what is worth getting ready ahead of time.

Counted are the steps from what is ready or runs now, and only then from what is awaited from outside. A node comes
behind all that it needs. Of a large run not all are found: what it costs to look does not grow with it. Before all of
these come the items that have their turn when one of those under way ends.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from pupload.domain import foreach
from pupload.domain.plan import Origin, Plan
from pupload.domain.run import NodeStatus, Run

LOOK_AHEAD, STEPS = 128, 16
"""How many nodes are found at most, and how many edges are followed for each."""

TURNS = 4
"""
How many items of a node are found before their turn, and with how many under way none is: while some work others are
started then, and the engine has its hands full. To get ready and let go takes it a tenth longer than to start.
"""

MANY = 64
"""Nodes under way: of a run with more nobody can tell what it needs next, and it keeps its engine busy."""


def from_outside(plan: Plan) -> deque[str]:
    """The edges whose objects come from outside, in the plan's order; for `soonest`."""
    return deque(edge.name for edge in plan.edges.values() if edge.origin is not Origin.NODE)


def soonest(run: Run, awaited: deque[str]) -> list[str]:
    """
    Nodes of the run that were not begun, those that are needed soonest first.

    `awaited` are edges as `from_outside` gave them; those at its beginning that are there by now are taken from it.
    """
    if len(run.active) > MANY:
        return []
    walk, active = _Walk(run), sorted(run.active)
    walk.take_turns(active)
    walk.go_on(active)
    while awaited and _is_there(run, awaited[0]):
        awaited.popleft()
    walk.go_on_from(edge for edge, _ in zip(awaited, range(LOOK_AHEAD), strict=False))
    return walk.found


class _Walk:
    """Along the edges, breadth first."""

    def __init__(self, run: Run) -> None:
        self.found: list[str] = []
        self._run = run
        self._missing: dict[str, int] = {}
        """How many of its inputs nobody makes that was found, by node."""
        self._steps = LOOK_AHEAD * STEPS

    def take_turns(self, active: Iterable[str]) -> None:
        """
        The items that have their turn next, of nodes of which few are under way, and one runs.

        What was done before does not run, and as a rule the items of a node were all done before or none of them.
        """
        whole, works = list[str](), set[str]()
        for name in active:
            if name in self._run.plan.nodes:
                whole.append(name)
            elif (last := self._run.nodes[name].last) is not None and last.executing_at is not None:
                works.add(name.rpartition(".")[0])
        for name in whole:
            items = self._run.nodes[name].items
            if name in works and items is not None and items.under_way < TURNS:
                self.found.extend(islice(foreach.turns(self._run, name), TURNS))

    def go_on_from(self, edges: Iterable[str]) -> None:
        """As if there were something on these edges."""
        self.go_on([node for edge in edges if not _is_there(self._run, edge) for node in self._reached(edge)])

    def go_on(self, nodes: Iterable[str]) -> None:
        """As if these nodes had ended well."""
        ended = deque(node for node in nodes if self._may_end_soon(node))
        while ended:
            for port in self._run.plan.nodes[ended.popleft()].outputs:
                ended.extend(self._reached(port.edge))

    def _may_end_soon(self, node: str) -> bool:
        """Not a node for an item, for what takes the items waits for all; nor what runs for each, before its last."""
        if node not in self._run.plan.nodes:
            return False
        items = self._run.nodes[node].items
        return items is None or items.begun == items.total

    def _reached(self, edge: str) -> Iterator[str]:
        """The nodes of which this edge is the last that they needed."""
        for node in self._run.plan.edges[edge].consumers:
            self._steps -= 1
            if self._steps < 0 or len(self.found) >= LOOK_AHEAD:
                return
            if self._run.nodes[node].status is NodeStatus.IDLE and self._has_all(node):
                if self._run.plan.nodes[node].each is not None:
                    continue  # it has no container itself, and who is behind it has time
                self.found.append(node)
                yield node

    def _has_all(self, node: str) -> bool:
        """Whether the node has all it needs when one more of its inputs is there."""
        if node not in self._missing:
            needed = {port.edge for port in self._run.plan.nodes[node].inputs}
            self._steps -= len(needed)
            self._missing[node] = sum(not _is_there(self._run, edge) for edge in needed)
        self._missing[node] -= 1
        return self._missing[node] == 0


def _is_there(run: Run, edge: str) -> bool:
    return edge in run.artifacts or edge in run.absent
