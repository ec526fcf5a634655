"""Where an artifact of a run came from, and what was made of it: told from the run alone."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pupload.domain.artifact import Artifact
from pupload.domain.memo import Source
from pupload.domain.plan import Origin
from pupload.domain.run import NodeStatus, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An edge of a run, and how what lies on it came there."""

    edge: str
    origin: Origin
    artifact: Artifact | None
    """None where nothing lies there, or not yet."""
    gone: bool
    """Whether the object was deleted since."""
    node: str = ""
    """What makes it; empty for what comes from outside."""
    uses: str = ""
    status: NodeStatus | None = None
    """The node's."""
    inputs: Sequence[str] = ()
    """The edges that the node takes."""
    source: Source | None = None
    """Where the node's work was done, where that was not in this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A node of a run that took the artifact, or something that was made of it."""

    node: str
    uses: str
    status: NodeStatus
    inputs: Sequence[str]
    """Of what it takes, the edges that go back to the artifact."""
    outputs: Sequence[str]


def origins(run: Run, edge: str) -> Iterator[Step]:
    """
    The edge itself, and all that it goes back to, nearest first.

    Raises `KeyError` where the run has no such edge.
    """
    waiting, seen = deque([edge]), {edge}
    while waiting:
        step = _step(run, waiting.popleft())
        yield step
        for taken in step.inputs:
            if taken not in seen:
                seen.add(taken)
                waiting.append(taken)


def uses(run: Run, edge: str) -> Iterator[Use]:
    """
    The nodes that take the artifact or anything made of it, nearest first, handlers not among them.

    Raises `KeyError` where the run has no such edge.
    """
    reached = {edge}
    waiting, seen = deque(run.plan.edges[edge].consumers), set[str]()
    while waiting:
        name = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        node = run.plan.nodes[name]
        outputs = tuple(port.edge for port in node.outputs)
        reached.update(outputs)
        yield Use(
            node=name,
            uses=node.uses,
            status=_status(run, name),
            inputs=tuple(port.edge for port in node.inputs if port.edge in reached),
            outputs=outputs,
        )
        for made in outputs:
            waiting.extend(run.plan.edges[made].consumers)


def took(run: Run, artifact: Artifact) -> bool:
    """Whether the run has this very object on the edge of that name: it was taken over, not made again."""
    found = run.artifacts.get(artifact.edge)
    return found is not None and (found.store, found.key, found.sha256) == (
        *(artifact.store, artifact.key, artifact.sha256),
    )


def _step(run: Run, edge: str) -> Step:
    planned, artifact = run.plan.edges[edge], run.artifacts.get(edge)
    name = planned.producer
    if name is None:
        return Step(edge=edge, origin=planned.origin, artifact=artifact, gone=edge in run.gone)
    node, state = run.plan.nodes[name], run.nodes.get(name)
    return Step(
        edge=edge,
        origin=planned.origin,
        artifact=artifact,
        gone=edge in run.gone,
        node=name,
        uses=node.uses,
        status=_status(run, name),
        inputs=tuple(dict.fromkeys(port.edge for port in node.inputs)),
        source=state.source if state else None,
    )


def _status(run: Run, node: str) -> NodeStatus:
    state = run.nodes.get(node)
    return NodeStatus.IDLE if state is None else state.status
