"""
One decision in the making.

A `Turn` is the scratch pad of `pupload.domain.decide`: it collects the changes to one run and holds every change of
state to the table of legal moves. It is made, used and thrown away within one call; what comes out is a value.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.domain import layers
from pupload.domain.artifact import Artifact
from pupload.domain.commands import Command
from pupload.domain.events import Event
from pupload.domain.plan import Plan
from pupload.domain.run import NODE_MOVES, RUN_MOVES, Decision, NodeRun, Run, Status


class Turn:
    """A run while one report is worked in."""

    def __init__(self, run: Run, now: datetime) -> None:
        self.now = now
        self._run = run
        self._nodes: dict[str, NodeRun] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._touched: set[str] = set()
        self._edges: set[str] = set()
        self._moved: dict[str, bool] = {}
        """Nodes whose state changed: whether they are active now."""
        self._active = len(run.active)
        self._unfinished = run.unfinished
        self._head_changed = False
        self._events: list[Event] = []
        self._commands: list[Command] = []

    @property
    def plan(self) -> Plan:
        """What the run carries out."""
        return self._run.plan

    @property
    def head(self) -> Run:
        """The run as it stands now, but for its nodes and artifacts: cheap at any time."""
        return self._run

    @property
    def run(self) -> Run:
        """The run as it stands now, all of it."""
        if self._nodes or self._artifacts:
            self._fold()
        return self._run

    def node(self, node: str) -> NodeRun:
        """The node as it stands now."""
        return self._nodes.get(node) or self._run.nodes[node]

    def change(self, node: str, **fields: Any) -> NodeRun:
        """The node with other fields. Raises `errors.Broken` for an illegal move."""
        before = self.node(node)
        after = replace(before, **fields)
        if after.status is not before.status:
            if after.status not in NODE_MOVES[before.status]:
                raise errors.Broken(reason=f"node {node} cannot go from {before.status} to {after.status}")
            self._unfinished -= after.status.terminal
            self._active += after.status.active - before.status.active
            self._moved[node] = after.status.active
        self._touched.add(node)
        self._nodes[node] = after
        return after

    def change_run(self, **fields: Any) -> None:
        """The run with other fields. Raises `errors.Broken` for an illegal move."""
        status: Status = fields.get("status", self._run.status)
        if status is not self._run.status and status not in RUN_MOVES[self._run.status]:
            raise errors.Broken(reason=f"a run cannot go from {self._run.status} to {status}")
        self._run = replace(self._run, **fields)
        self._head_changed = True

    def put_artifact(self, artifact: Artifact) -> None:
        """The artifact lies on its edge from now on."""
        self._artifacts[artifact.edge] = artifact
        self._edges.add(artifact.edge)

    def has_artifact(self, edge: str) -> bool:
        """Whether an artifact lies on the edge."""
        return edge in self._artifacts or edge in self._run.artifacts

    @property
    def active(self) -> int:
        """How many nodes are READY, RUNNING or RETRYING now."""
        return self._active

    @property
    def unfinished(self) -> int:
        """How many nodes are in no terminal state now."""
        return self._unfinished

    def happened(self, event: Event) -> None:
        """For the journal."""
        self._events.append(event)

    def order(self, command: Command) -> None:
        """To be done once the decision is saved."""
        self._commands.append(command)

    @property
    def said(self) -> int:
        """How much there is in the decision so far."""
        return len(self._events) + len(self._commands)

    def decision(self) -> Decision:
        """All of it, as a value."""
        return Decision(
            run=self.run,
            events=tuple(self._events),
            commands=tuple(self._commands),
            changed_nodes=frozenset(self._touched),
            changed_edges=frozenset(self._edges),
            changed_head=self._head_changed,
            at=self.now,
        )

    def _fold(self) -> None:
        self._run = replace(
            self._run,
            nodes=layers.changed(self._run.nodes, self._nodes),
            artifacts=layers.changed(self._run.artifacts, self._artifacts),
            active=layers.moved(self._run.active, self._moved),
            unfinished=self._unfinished,
        )
        self._nodes, self._artifacts, self._moved = {}, {}, {}
