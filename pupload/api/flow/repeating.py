"""Nodes that run once for each item of a collection, in the words of the wire."""

from typing import Any

from pupload.api.flow import models
from pupload.domain import flow

_FIELDS = {
    "ForEach": "input",
    "Concurrency": "concurrency",
    "MaxItems": "max_items",
    "PartialFailure": "partial_failure",
}
"""Fields of a node, by their words."""

_NOTHING = flow.ForEach()


def read(asked: models.Node) -> flow.ForEach | None:
    """None where none of the fields is given; whether they go together is not asked here."""
    if not asked.ForEach and not asked.Concurrency and asked.MaxItems is None and not asked.PartialFailure:
        return None
    return flow.ForEach(**{field: getattr(asked, word) for word, field in _FIELDS.items()})


def write(this: flow.ForEach | None) -> dict[str, Any]:
    """Those that are set."""
    if this is None:
        return {}
    found = {word: (getattr(this, field), getattr(_NOTHING, field)) for word, field in _FIELDS.items()}
    return {word: value for word, (value, usual) in found.items() if value != usual}
