"""Rules about images: those that definitions name, and those that nodes choose with a flag."""

from collections.abc import Iterator

from pupload.domain import params, references
from pupload.domain.flow import Node
from pupload.domain.validation import flags
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import Subject, Use, shown


def definition(subject: Subject) -> Iterator[Finding]:
    """A definition's image is a reference that an engine understands, or a flag of its own that always tells one."""
    for use in subject.uses.values():
        text = use.definition.image
        if reason := _fault(use):
            facts = {"uses": shown(use.definition.uses), "image": shown(text) or '""'}
            yield found("NODE_013", use.at("Image"), reason=reason, **facts)


def choice(subject: Subject) -> Iterator[Finding]:
    """A flag that chooses the image holds a reference, in a node and by default."""
    for use in subject.uses.values():
        flag = references.flag_of(use.definition.image)
        for index, declared in enumerate(use.definition.flags if flag else ()):
            if declared.name == flag and declared.default is not None and (reason := _unlike(declared.default)):
                facts = {"flag": shown(declared.name), "uses": shown(use.definition.uses)}
                reason = f"its default {shown(declared.default)} cannot be used: {reason}"
                yield found("NODE_024", use.at("Flags", index, "Default"), reason=reason, **facts)
    for place, node, text in _said(subject):
        if reason := _unlike(text):
            flag = references.flag_of(subject.uses[node.uses].definition.image) or ""
            facts = {"flag": shown(flag), "node": shown(node.id), "value": shown(text) or '""'}
            yield found("NODE_015", place, reason=reason, **facts)


RULES = (definition, choice)


def chosen(subject: Subject) -> Iterator[tuple[str, Node, str]]:
    """Place, node and image of each node that chooses, by its flag or by leaving it at the default."""
    yield from _said(subject)
    for path, node, flag in _choosing(subject):
        text = references.default_of(subject.uses[node.uses].definition)
        if text and all(each.name != flag for each in node.flags):
            yield pointer(path, "Uses"), node, text


def _said(subject: Subject) -> Iterator[tuple[str, Node, str]]:
    """Place, node and value of each flag that chooses an image, but for those that wait for a parameter."""
    for path, node, flag in _choosing(subject):
        for index, given in enumerate(node.flags):
            if given.name == flag and not params.named(given.value):
                yield pointer(path, "Flags", index, "Value"), node, given.value


def _choosing(subject: Subject) -> Iterator[tuple[str, Node, str]]:
    """Path and node of each that chooses, and the flag by which it does."""
    by = {uses: flag for uses, use in subject.uses.items() if (flag := references.flag_of(use.definition.image))}
    if by:
        for path, node in subject.nodes:
            if node.uses in by:
                yield path, node, by[node.uses]


def _unlike(value: str) -> str:
    """Why the value of a flag is no image."""
    reason = references.fault(value) if value else "write [registry/]name[:tag][@digest]"
    return f"it chooses the image: {reason}" if reason else ""


def _fault(use: Use) -> str:
    name = references.flag_of(use.definition.image)
    if name is None:
        return references.fault(use.definition.image)
    flag = use.flags.get(name)
    if flag is None:
        return f"the definition has no flag {shown(name)}"
    if flags.kind_of(flag) == "secret":
        return f"flag {shown(name)} is a secret, and which image runs is known to everybody"
    if flag.default is None and not flag.required:
        return f"flag {shown(name)} needs a Default, or Required: true"
    return ""
