"""
Which way a run goes: conditions of nodes, asked when their inputs are there.

A node whose condition is not met is skipped, and so is what needs its outputs; what can do without them goes on. That
is no failure. What a condition says is in `pupload.domain.condition`; here is what it is asked of.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from pupload.domain import condition, events, facts, mime, truth, values
from pupload.domain.artifact import Artifact
from pupload.domain.condition import Json, Name, Text, Value, Word
from pupload.domain.plan import EdgePlan, NodePlan, Origin, PortPlan
from pupload.domain.run import Failure, NodeRun, NodeStatus
from pupload.domain.truth import Impossible
from pupload.domain.turn import Turn

MOST_TOLD = 8
"""Values that the reason for skipping a node names."""

Queue = Callable[[Turn, NodeRun], None]
"""Has a node whose inputs are there begin."""

Fail = Callable[[Turn, NodeRun, Failure, str], None]
"""Has a node fail that was not begun."""


# ── For the plan ─────────────────────────────────────────────────────────────────────────────────────────────────


def with_values(edges: dict[str, EdgePlan], nodes: Mapping[str, NodePlan]) -> dict[str, EdgePlan]:
    """The edges, of which those say so whose objects a condition asks to be read."""
    for node in nodes.values():
        if node.when:
            bound = {port.port: port.edge for port in node.inputs}
            for name in condition.named(condition.parse(node.when)):
                if isinstance(name, Json | Text) and not edges[bound[name.name]].collection:
                    edges[bound[name.name]] = _with_value(edges[bound[name.name]])
    return edges


def _with_value(edge: EdgePlan) -> EdgePlan:
    return edge if edge.valued else values.replace(edge, valued=True)


# ── In a run ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ask(turn: Turn, first: NodeRun, *, queue: Queue, fail: Fail) -> None:
    """
    Has an idle node begin whose inputs are there and whose condition is met, or leaves it out and goes on with what
    takes its outputs. A loop, for flows may be deep.
    """
    todo = deque([first.id])
    while todo:
        node = turn.node(todo.popleft())
        if node.status is not NodeStatus.IDLE:
            continue
        planned = turn.plan.nodes[node.id]
        missing = "" if planned.runs else _missing(turn, planned)  # handlers take what there is
        if missing is None:
            if reason := _needless(turn, planned):
                todo.extend(leave_out(turn, node, reason))
            continue  # there is more to come
        try:
            reason = missing or (_unmet(turn, planned) if planned.when else "")
        except Impossible as error:
            fail(turn, node, Failure.CONDITION, f"it cannot be told whether its condition is met: {error}")
            continue
        if reason:
            todo.extend(leave_out(turn, node, reason))
        elif planned.when and (reason := _refused(turn, planned)):
            fail(turn, node, Failure.WRONG_TYPE, reason)
        else:
            queue(turn, node)


def leave_out(turn: Turn, node: NodeRun, reason: str) -> list[str]:
    """The node will not run, which is no failure. Returns the nodes that take its outputs."""
    turn.change(node, status=NodeStatus.SKIPPED, error=reason, unmet=True)
    turn.happened.append(events.NodeSkipped(node=node.id, reason=reason))
    edges = turn.plan.edges
    return [consumer for port in turn.plan.nodes[node.id].outputs for consumer in edges[port.edge].consumers]


def objection(port: PortPlan, artifact: Artifact) -> str:
    """Why the input does not take what lies on its edge; empty where it does, and of collections."""
    if artifact.items is not None:
        return ""
    if not mime.accepts(port.types, artifact.content_type):
        return f"input {port.port} takes {' or '.join(port.types)}, and there is {artifact.content_type}"
    if port.limits is None:
        return ""
    known = artifact.facts or facts.NOTHING
    return facts.objection(known, artifact.content_type, artifact.size, port.limits, by=f"input {port.port}") or ""


def _refused(turn: Turn, node: NodePlan) -> str:
    """What of its inputs the node does not take: nobody asked before, for it might have been left out."""
    there = ((port, turn.artifact(port.edge)) for port in node.inputs)
    return next((reason for port, found in there if found is not None and (reason := objection(port, found))), "")


def _missing(turn: Turn, node: NodePlan) -> str | None:
    """
    Why an input that it needs will never be there; empty where all are there, None where it is too early to tell.

    It is while a node goes on that makes an input: if that fails, the node is no longer one that is left out for good
    reasons. So it does not depend on who is first, and all upstream have ended whenever a condition is asked. What
    comes from outside is not waited for in vain.
    """
    to_come, reason = False, ""
    for port in node.inputs:
        if turn.has_artifact(port.edge):
            continue
        if turn.is_empty(port.edge):
            if port.required and not reason:
                reason = f"needs {_made(turn.plan.edges[port.edge])}, which was skipped"
        elif turn.plan.edges[port.edge].producer is not None:
            return None
        else:
            to_come = True
    return None if to_come and not reason else reason


def _unmet(turn: Turn, node: NodePlan) -> str:
    """Why the node's condition is not met; empty where it is. Raises `Impossible`."""
    seen: dict[str, Value] = {}

    def look(name: Name | Json | Text) -> Value:
        seen[name.text] = value = _value(turn, node, name)
        return value

    try:
        term = condition.parse(node.when)
    except condition.Mistaken as error:  # of another version
        raise Impossible(str(error)) from None
    if truth.holds(term, look):
        return ""
    return f"its condition is not met: {_short(node.when)}{_told(seen)}"


def _made(edge: EdgePlan) -> str:
    if edge.producer is None:
        return f"the result of flow {edge.flow}"
    return f"the output of node {edge.producer}"


def _needless(turn: Turn, node: NodePlan) -> str:
    """Why it will not run though somebody is still to say yes, who is not asked in vain; empty where it may."""
    to_come = [port for port in node.inputs if not turn.has_artifact(port.edge) and not turn.is_empty(port.edge)]
    if not node.when or any(turn.plan.edges[port.edge].origin is not Origin.APPROVAL for port in to_come):
        return ""
    try:
        named = {name.name for name in condition.named(condition.parse(node.when))}
        return "" if named & {port.port for port in to_come} else _unmet(turn, node)
    except (Impossible, condition.Mistaken):
        return ""


def _value(turn: Turn, node: NodePlan, name: Name | Json | Text) -> Value:
    if not isinstance(name, Name):
        return _in_file(_artifact(turn, node, name.name), name)
    match name.kind:
        case "input":
            return _fact(_artifact(turn, node, name.name), name.asked)
        case "flag":
            return _word(node.flags.get(name.name))
        case "param":
            return _word(turn.plan.params.get(name.name))
    return _outcome(turn.node(name.name), name.asked)


def _artifact(turn: Turn, node: NodePlan, port: str) -> Artifact | None:
    edge = next((each.edge for each in node.inputs if each.port == port), None)
    return None if edge is None else turn.artifact(edge)


def _fact(artifact: Artifact | None, asked: str) -> Value:
    if asked == "present":
        return artifact is not None
    if artifact is None:
        return None
    match asked:
        case "type":
            return artifact.content_type
        case "size":
            return artifact.size
        case "name":
            return artifact.file_name or None
        case "items":
            return artifact.items
    known = artifact.facts
    if known is None:
        return None
    match asked:
        case "duration":
            return known.duration_seconds
        case "ratio":
            return known.ratio(artifact.size)
    return {"width": known.width, "height": known.height, "pixels": known.pixels, "pages": known.pages}.get(asked)


def _in_file(artifact: Artifact | None, name: Json | Text) -> Value:
    if artifact is None:
        return None
    if artifact.items is not None:
        raise Impossible(f"{name.text} cannot be read: there is a collection")
    if not artifact.value and artifact.size > truth.JSON_BYTES:
        few = f"a condition reads at most {truth.JSON_BYTES}"
        raise Impossible(f"{name.text} cannot be read: the file has {artifact.size} bytes, and {few}")
    if isinstance(name, Text):
        if not artifact.value and artifact.size:
            raise Impossible(f"{name.text} cannot be read: the file is no text (it is {artifact.content_type})")
        return truth.as_text(artifact.value)
    if not truth.is_json(artifact.value):
        raise Impossible(f"{name.text} cannot be read: the file is no JSON (it is {artifact.content_type})")
    return truth.at_path(artifact.value, name.path)


def _outcome(node: NodeRun, asked: str) -> Value:
    if not node.status.terminal:
        return None
    if asked == "status":
        return str(node.status)
    spared = 0 if node.status is NodeStatus.COMPLETE else None  # what succeeded before did so then
    return node.last.exit_code if node.last and node.last.exit_code is not None else spared


def _word(text: str | None) -> Value:
    return None if text is None else Word(text)


def _told(seen: Mapping[str, Value]) -> str:
    """What was seen, for the reason."""
    if not seen:
        return ""
    said = [f"{_short(name)} is {truth.told(value)}" for name, value in _first(seen.items())]
    more = f" and {len(seen) - MOST_TOLD} more" if len(seen) > MOST_TOLD else ""
    return f" ({', '.join(said)}{more})"


def _first(pairs: Iterable[tuple[str, Value]]) -> Iterable[tuple[str, Value]]:
    return [*pairs][:MOST_TOLD]


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 300 else f"{plain[:300]}…"
