"""Rules about the media types that definitions in use name, and about what their ports take at most."""

from collections.abc import Iterator

from pupload.domain import duration, facts, mime
from pupload.domain.nodedef import Port
from pupload.domain.validation.findings import Finding, found
from pupload.domain.validation.subject import Subject, Use, shown

_ENDLESS = 2**63


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


def limits(subject: Subject) -> Iterator[Finding]:
    """A port's limits leave something that can pass."""
    for use, field, kind, index, port in _ports(subject):
        for name, _, reason in _limits(port):
            if reason:
                yield found(
                    "TYPE_003",
                    use.at(field, index, name),
                    kind=kind,
                    port=shown(port.name),
                    uses=shown(use.definition.uses),
                    limit=name,
                    reason=reason,
                )


def idle_limits(subject: Subject) -> Iterator[Finding]:
    """A limit is on something that files of the port's types have."""
    for use, field, kind, index, port in _ports(subject):
        types = [text for text in port.types if mime.valid(text)]
        for name, limit, reason in _limits(port):
            if types and not reason and not any(facts.can_have(limit, text) for text in types):
                yield found(
                    "WARN_004",
                    use.at(field, index, name),
                    kind=kind,
                    port=shown(port.name),
                    uses=shown(use.definition.uses),
                    limit=name,
                    types=", ".join(map(shown, types)),
                )


RULES = (media_types, empty_sets, limits, idle_limits)


def _limits(port: Port) -> Iterator[tuple[str, str, str]]:
    """The limits that the port sets: the field, the limit's name, and why it cannot be, or nothing."""
    numbers = (
        ("MaxBytes", "max_bytes", port.max_bytes),
        ("MaxPixels", "max_pixels", port.max_pixels),
        ("MaxRatio", "max_ratio", port.max_ratio),
        ("MaxPages", "max_pages", port.max_pages),
    )
    for field, limit, number in numbers:
        if number is not None:
            # Written so that what is no number at all is refused, too.
            yield field, limit, "" if 0 < number < _ENDLESS else f"{number:g} is not a number above zero and below 2^63"
    if port.max_duration is not None:
        reason = ""
        try:
            duration.positive(port.max_duration)
        except ValueError as error:
            reason = f'"{shown(port.max_duration)}" is not a valid duration: {error}'
        yield "MaxDuration", "max_media_seconds", reason


def _ports(subject: Subject) -> Iterator[tuple[Use, str, str, int, Port]]:
    """Every declared port of the definitions in use, and where it stands."""
    for use in subject.uses.values():
        for index, port in enumerate(use.definition.inputs):
            yield use, "Inputs", "Input", index, port
        for index, port in enumerate(use.definition.outputs):
            yield use, "Outputs", "Output", index, port


def _blank(port: Port) -> bool:
    return bool(port.types) and not any(text.strip() for text in port.types)
