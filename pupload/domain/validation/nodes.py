"""Rules about nodes: their ids, what they use, and what they bind and set."""

import re
from collections.abc import Iterator, Sequence

from pupload.domain import condition, duration, params
from pupload.domain.flow import Binding, FlagValue, Node
from pupload.domain.masking import MASK
from pupload.domain.nodedef import FlagDef
from pupload.domain.validation import flags
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import Subject, is_name, shown

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def ids(subject: Subject) -> Iterator[Finding]:
    """Every node has an id of its own that can be part of names."""
    seen: set[str] = set()
    for path, node in subject.nodes:
        if not node.id:
            yield found("NODE_008", pointer(path, "ID"))
        elif node.id in seen:
            yield found("NODE_007", pointer(path, "ID"), node=shown(node.id))
        elif not _ID.fullmatch(node.id):
            yield found("NODE_011", pointer(path, "ID"), node=shown(node.id))
        seen.add(node.id)


def uses(subject: Subject) -> Iterator[Finding]:
    """What a node uses is defined."""
    for path, node in subject.nodes:
        if node.uses not in subject.uses:
            yield found("NODE_001", pointer(path, "Uses"), uses=shown(node.uses), node=shown(node.id))


def inputs(subject: Subject) -> Iterator[Finding]:
    """
    A node binds the inputs its definition requires, and only those it declares, if it declares any, and those that its
    condition asks about.
    """
    for path, node in subject.nodes:
        use = subject.uses.get(node.uses)
        if use is None or not use.inputs:
            continue
        bound = {binding.name for binding in node.inputs}
        for port in use.inputs.values():
            if port.required and port.name not in bound:
                yield found("NODE_002", pointer(path, "Inputs"), node=shown(node.id), port=shown(port.name))
        for index, binding in enumerate(node.inputs):
            if binding.name not in use.inputs and not _is_asked_about(node, binding.name):
                at = pointer(path, "Inputs", index, "Name")
                yield found("NODE_009", at, node=shown(node.id), port=shown(binding.name))


def outputs(subject: Subject) -> Iterator[Finding]:
    """A node binds the outputs its definition requires, and only those it declares, if it declares any."""
    for path, node in subject.nodes:
        use = subject.uses.get(node.uses)
        if use is None or not use.outputs:
            continue
        bound = {binding.name for binding in node.outputs}
        for port in use.outputs.values():
            if port.required and port.name not in bound:
                yield found("NODE_003", pointer(path, "Outputs"), node=shown(node.id), port=shown(port.name))
        for index, binding in enumerate(node.outputs):
            if binding.name not in use.outputs:
                at = pointer(path, "Outputs", index, "Name")
                yield found("NODE_010", at, node=shown(node.id), port=shown(binding.name))


def flag_names(subject: Subject) -> Iterator[Finding]:
    """A node sets the flags its definition requires, and only those it declares, if it declares any."""
    for path, node in subject.nodes:
        use = subject.uses.get(node.uses)
        if use is None or not use.flags:
            continue
        given = {flag.name for flag in node.flags}
        for flag in use.flags.values():
            if flag.required and flag.default is None and flag.name not in given:
                yield found("NODE_005", pointer(path, "Flags"), node=shown(node.id), flag=shown(flag.name))
        for index, value in enumerate(node.flags):
            if value.name not in use.flags:
                at = pointer(path, "Flags", index, "Name")
                yield found("NODE_006", at, node=shown(node.id), flag=shown(value.name))


def flag_values(subject: Subject) -> Iterator[Finding]:
    """Flags have values that their definition allows and an argument can hold."""
    for path, node in subject.nodes:
        use = subject.uses.get(node.uses)
        for index, given in enumerate(node.flags):
            definition = use.flags.get(given.name) if use else None
            if params.named(given.value):
                continue  # without a value yet: rules about parameters say whether it should have one
            reason = flags.unusable(given.value, subject.limits.max_flag_bytes)
            if not reason and definition is not None:
                reason = flags.refused(given.value, definition)
            if reason:
                yield found(
                    "NODE_015",
                    pointer(path, "Flags", index, "Value"),
                    flag=shown(given.name),
                    node=shown(node.id),
                    value=_shown(given.value, definition),
                    reason=reason,
                )


def bound_once(subject: Subject) -> Iterator[Finding]:
    """A node binds each port and sets each flag once."""
    for path, node in subject.nodes:
        if len(node.inputs) > 1:
            yield from _repeated(path, node, "Inputs", "input", node.inputs)
        if len(node.outputs) > 1:
            yield from _repeated(path, node, "Outputs", "output", node.outputs)
        if len(node.flags) > 1:
            yield from _repeated(path, node, "Flags", "flag", node.flags)


def names(subject: Subject) -> Iterator[Finding]:
    """What a node binds and sets has a name for files and variables, where no definition says so already."""
    good: set[str] = set()
    for path, node in subject.nodes:
        use = subject.uses.get(node.uses)
        if node.inputs and not (use and use.inputs):
            yield from _misnamed(path, node, "Inputs", "an input", node.inputs, good)
        if node.outputs and not (use and use.outputs):
            yield from _misnamed(path, node, "Outputs", "an output", node.outputs, good)
        if node.flags and not (use and use.flags):
            yield from _misnamed(path, node, "Flags", "a flag", node.flags, good)


def timeout(subject: Subject) -> Iterator[Finding]:
    """A node's timeout is a duration above zero."""
    for path, node in subject.nodes:
        if node.timeout is None:
            continue
        try:
            duration.positive(node.timeout)
        except ValueError as error:
            at, who = pointer(path, "Timeout"), f"Node {shown(node.id)}"
            yield found("NODE_016", at, subject=who, timeout=shown(node.timeout), reason=error)


def _is_asked_about(node: Node, port: str) -> bool:
    return node.when is not None and is_name(port) and port in condition.inputs(node.when)


RULES = (ids, uses, inputs, outputs, flag_names, flag_values, bound_once, names, timeout)


def _shown(value: str, definition: FlagDef | None) -> str:
    """A flag's value in a sentence, unless it is one that was to be secret."""
    hidden = definition is not None and flags.kind_of(definition) == "secret"
    return MASK if hidden else shown(value)


def _misnamed(
    path: str, node: Node, field: str, kind: str, items: Sequence[Binding | FlagValue], good: set[str]
) -> Iterator[Finding]:
    """Those that cannot be called so; `good` are names that can, and grows: nodes have the same few."""
    for index, item in enumerate(items):
        if item.name in good:
            continue
        if is_name(item.name):
            good.add(item.name)
        else:
            yield found(
                "NODE_023",
                pointer(path, field, index, "Name"),
                subject=f"Node {shown(node.id)}",
                kind=kind,
                name=shown(item.name) or '""',
            )


def _repeated(path: str, node: Node, field: str, kind: str, items: Sequence[Binding | FlagValue]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item.name in seen:
            yield found(
                "NODE_022", pointer(path, field, index, "Name"), node=shown(node.id), kind=kind, name=shown(item.name)
            )
        seen.add(item.name)
