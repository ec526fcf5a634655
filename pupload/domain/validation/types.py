"""Rules about the media types that definitions in use name."""

from collections.abc import Iterator

from pupload.domain import mime
from pupload.domain.nodedef import Port
from pupload.domain.validation.findings import Finding, found
from pupload.domain.validation.subject import Subject, Use, shown


def media_types(subject: Subject) -> Iterator[Finding]:
    """Every type is a media type or a wildcard."""
    for use, field, kind, index, port in _ports(subject):
        if _blank(port):
            continue
        for place, text in enumerate(port.types):
            if not mime.valid(text):
                yield found(
                    "TYPE_001",
                    use.at(field, index, "Type", place),
                    kind=kind,
                    port=shown(port.name),
                    uses=shown(use.definition.uses),
                    type=shown(text) or '""',
                )


def empty_sets(subject: Subject) -> Iterator[Finding]:
    """A port that names types names at least one."""
    for use, field, kind, index, port in _ports(subject):
        if _blank(port):
            yield found(
                "TYPE_002",
                use.at(field, index, "Type"),
                kind=kind,
                port=shown(port.name),
                uses=shown(use.definition.uses),
            )


RULES = (media_types, empty_sets)


def _ports(subject: Subject) -> Iterator[tuple[Use, str, str, int, Port]]:
    """Every declared port of the definitions in use, and where it stands."""
    for use in subject.uses.values():
        for index, port in enumerate(use.definition.inputs):
            yield use, "Inputs", "Input", index, port
        for index, port in enumerate(use.definition.outputs):
            yield use, "Outputs", "Output", index, port


def _blank(port: Port) -> bool:
    return bool(port.types) and not any(text.strip() for text in port.types)
