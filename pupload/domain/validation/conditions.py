"""Rules about conditions: what When says can be read, names what there is, and compares what can be compared."""

from collections import deque
from collections.abc import Iterator

from pupload.domain import condition, secret, truth
from pupload.domain.condition import FACTS, OUTCOMES, Json, Name, Text
from pupload.domain.flow import FINALLY, Node
from pupload.domain.validation import flags
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import Subject, shown

_TYPES = {
    "integer": condition.NUMBER,
    "number": condition.NUMBER,
    "boolean": condition.BOOLEAN,
    "string": condition.TEXT,
}


def conditions(subject: Subject) -> Iterator[Finding]:
    """Each can be read; its names are known, and what it compares may be equal."""
    upstream = _Upstream(subject)
    for path, node in subject.nodes:
        if node.when is None:
            continue
        at = pointer(path, "When")
        try:
            term = condition.parse(node.when)
        except condition.Mistaken as error:
            yield found("WHEN_001", at, node=shown(node.id), place=error.at + 1, reason=error.reason)
            continue
        unknown = False
        for name in condition.named(term):
            if reason := _unknown(subject, node, name, upstream):
                unknown = True
                yield found(
                    "WHEN_002", at, node=shown(node.id), name=shown(name.text), place=name.at + 1, reason=reason
                )
        if not unknown:
            for mistake in truth.mistakes(term, lambda name, node=node: _type(subject, node, name)):  # type: ignore[misc]
                yield found("WHEN_003", at, node=shown(node.id), place=mistake.at + 1, reason=mistake.reason)


RULES = (conditions,)


def _unknown(subject: Subject, node: Node, name: Name | Json | Text, upstream: "_Upstream") -> str:
    """Why there is no such thing; empty where there is."""
    if not isinstance(name, Name):
        return _no_input(node, name.name)
    match name.kind:
        case "input":
            if name.asked not in FACTS:
                return f"of an input there are {', '.join(FACTS)}"
            return _no_input(node, name.name)
        case "flag":
            return _no_flag(subject, node, name.name)
        case "param":
            return _no_param(subject, name.name)
    if name.asked not in OUTCOMES:
        return f"of a node there are {', '.join(OUTCOMES)}"
    return upstream.objection(node, name.name)


def _no_input(node: Node, port: str) -> str:
    bound = [binding.name for binding in node.inputs]
    return "" if port in bound else f"the node binds {_listed('input', bound)}"


def _no_flag(subject: Subject, node: Node, flag: str) -> str:
    use = subject.uses.get(node.uses)
    given = {value.name: value.value for value in node.flags}
    known = {**dict.fromkeys(given), **dict.fromkeys(use.flags if use else ())}
    if flag not in known:
        return f"the node has {_listed('flag', known)}"
    definition = use.flags.get(flag) if use else None
    default = definition.default if definition and definition.default else ""
    is_secret = definition is not None and flags.kind_of(definition) == "secret"
    if is_secret or secret.named(given.get(flag, default)) is not None:
        return "it is a secret, and conditions are shown"
    return ""


def _no_param(subject: Subject, param: str) -> str:
    declared = [each.name for each in subject.flow.params]
    if not declared and subject.given is None:
        return ""  # whoever asks for a run may give anything
    known = declared or list(subject.given or ())
    return "" if param in known else f"the flow has {_listed('parameter', known)}"


def _listed(kind: str, names: "list[str] | dict[str, None]") -> str:
    return f"{kind}s {', '.join(map(shown, names))}" if names else f"no {kind}s"


def _type(subject: Subject, node: Node, name: Name) -> str:
    if name.kind == "param":
        definition = next((each for each in subject.flow.params if each.name == name.name), None)
    else:
        use = subject.uses.get(node.uses)
        definition = use.flags.get(name.name) if use else None
    return condition.ANY if definition is None else _TYPES.get(flags.kind_of(definition), condition.ANY)


STEPS = 1_000_000
"""Inputs that are followed for all conditions of a flow together; what lies behind is believed."""


class _Upstream:
    """Which nodes have ended when a node begins; looked up only for those that ask."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._nodes: dict[str, Node] | None = None
        self._steps = STEPS

    def objection(self, asker: Node, asked: str) -> str:
        """Why the asker cannot know how that node ended; empty where it can."""
        if self._nodes is None:
            self._nodes = {node.id: node for node in reversed(self._subject.flow.nodes)}
        node = self._nodes.get(asked)
        if node is None:
            return "the flow has no such node"
        if asker.runs and (not node.runs or (asker.runs == FINALLY and node.runs != FINALLY)):
            return ""  # all of those have ended before
        return "" if self._is_before(asker, asked) else "the node is not upstream of this one"

    def _is_before(self, asker: Node, asked: str) -> bool:
        assert self._nodes is not None
        seen, todo = set[str](), deque([asker])
        while todo and self._steps > 0:
            for binding in todo.popleft().inputs:
                self._steps -= 1
                for producer in self._subject.producers.get(binding.edge, ()):
                    if producer == asked:
                        return True
                    if producer not in seen:
                        seen.add(producer)
                        todo.append(self._nodes[producer])
        return self._steps <= 0
