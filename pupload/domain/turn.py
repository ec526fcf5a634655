"""
One decision in the making.

A `Turn` is the scratch pad of `pupload.domain.decide`: it collects the changes to one run and holds every change of
state to the table of legal moves. It is made, used and thrown away within one call; what comes out is a value.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.domain import collection, layers, values
from pupload.domain.artifact import Artifact
from pupload.domain.commands import Command
from pupload.domain.events import Event
from pupload.domain.run import NODE_MOVES, RUN_MOVES, Decision, NodeRun, Run, Status


class Turn:
    """A run while one report is worked in."""

    def __init__(self, run: Run, now: datetime) -> None:
        self.now = now
        self.plan = run.plan
        """What the run carries out."""
        self.head = run
        """The run as it stands now, but for its nodes and artifacts: cheap at any time."""
        self.active = len(run.active)
        """How many nodes are READY, RUNNING or RETRYING now."""
        self.unfinished = run.unfinished
        """How many nodes are in no terminal state now."""
        self.items_ended: list[str] = []
        """Nodes for items that came to a terminal state; whoever looks after what follows from that takes them."""
        self.to_expand: list[str] = []
        """Nodes that run once for each item, and whose inputs are there."""
        self.happened: list[Event] = []
        """For the journal."""
        self.orders: list[Command] = []
        """To be done once the decision is saved."""
        self._nodes: dict[str, NodeRun] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._absent: dict[str, str] = {}
        self._touched: set[str] = set()
        self._edges: set[str] = set()
        self._moved: dict[str, bool] = {}
        """Nodes whose state changed: whether they are active now."""
        self._head_changed = False

    @property
    def run(self) -> Run:
        """The run as it stands now, all of it."""
        if self._nodes or self._artifacts or self._absent:
            self._fold()
        return self.head

    @property
    def touched(self) -> Collection[str]:
        """Nodes whose state this changes, so far."""
        return self._touched

    def node(self, node: str) -> NodeRun:
        """The node as it stands now."""
        changed = self._nodes.get(node)
        return self.head.nodes[node] if changed is None else changed

    def has_node(self, node: str) -> bool:
        """Whether there is the node, one for an item perhaps."""
        return node in self._nodes or node in self.head.nodes

    def add(self, node: NodeRun) -> None:
        """A node that was not there before; one for an item."""
        self.unfinished += not node.status.terminal
        self._touched.add(node.id)
        self._nodes[node.id] = node

    def item_of(self, node: str) -> Artifact | None:
        """The item that the node runs for; None where it runs for none."""
        if node in self.plan.nodes:
            return None
        whole, place = collection.part_of(node) or ("", 0)
        each = self.plan.nodes[whole].each
        return (
            None if each is None else self.artifact(collection.item(each.edge, place) if each.collection else each.edge)
        )

    def is_given_up(self, node: str) -> bool:
        """Whether it runs for an item, and another item has failed that must not."""
        if node in self.plan.nodes:
            return False
        whole, _ = collection.part_of(node) or ("", 0)
        each, items = self.plan.nodes[whole].each, self.node(whole).items
        return each is not None and not each.keep and items is not None and bool(items.failure)

    def change(self, before: NodeRun, **fields: Any) -> NodeRun:
        """The node, which is as it stands now, with other fields. Raises `errors.Broken` for an illegal move."""
        after: NodeRun = values.replace(before, **fields)
        node, status = before.id, after.status
        if status is not before.status:
            if status not in NODE_MOVES[before.status]:
                raise errors.Broken(reason=f"node {node} cannot go from {before.status} to {status}")
            is_active = status.active
            if status.terminal:
                self.unfinished -= 1
                if node not in self.plan.nodes:
                    self.items_ended.append(node)
            self.active += is_active - before.status.active
            self._moved[node] = is_active
        self._touched.add(node)
        self._nodes[node] = after
        return after

    def change_run(self, **fields: Any) -> None:
        """The run with other fields. Raises `errors.Broken` for an illegal move."""
        status: Status = fields.get("status", self.head.status)
        if status is not self.head.status and status not in RUN_MOVES[self.head.status]:
            raise errors.Broken(reason=f"a run cannot go from {self.head.status} to {status}")
        self.head = values.replace(self.head, **fields)
        self._head_changed = True

    def leave_empty(self, edge: str, reason: str) -> None:
        """Nothing will ever lie on the edge."""
        self._absent[edge] = reason
        self._head_changed = True

    def is_empty(self, edge: str) -> bool:
        """Whether nothing will ever lie on the edge."""
        if edge in self._absent or edge in self.head.absent:
            return True
        planned = self.plan.edges[edge]
        if planned.given and not self.has_artifact(edge):
            return self.is_empty(planned.given)
        return planned.producer is not None and self.node(planned.producer).unmet

    def put_artifact(self, artifact: Artifact) -> None:
        """The artifact lies on its edge from now on."""
        self._artifacts[artifact.edge] = artifact
        self._edges.add(artifact.edge)

    def has_artifact(self, edge: str) -> bool:
        """Whether an artifact lies on the edge."""
        return edge in self._artifacts or edge in self.head.artifacts

    def artifact(self, edge: str) -> Artifact | None:
        """What lies on the edge; None where that is nothing."""
        return self._artifacts.get(edge) or self.head.artifacts.get(edge)

    @property
    def said(self) -> int:
        """How much there is in the decision so far."""
        return len(self.happened) + len(self.orders)

    def decision(self) -> Decision:
        """All of it, as a value."""
        return Decision(
            run=self.run,
            events=tuple(self.happened),
            commands=tuple(self.orders),
            changed_nodes=frozenset(self._touched),
            changed_edges=frozenset(self._edges),
            changed_head=self._head_changed,
            at=self.now,
        )

    def _fold(self) -> None:
        head = self.head
        self.head = values.replace(
            head,
            nodes=layers.changed(head.nodes, self._nodes),
            artifacts=layers.changed(head.artifacts, self._artifacts) if self._artifacts else head.artifacts,
            absent=layers.changed(head.absent, self._absent) if self._absent else head.absent,
            active=layers.moved(head.active, self._moved) if self._moved else head.active,
            unfinished=self.unfinished,
        )
        self._nodes, self._artifacts, self._absent, self._moved = {}, {}, {}, {}
