"""Nodes that run once for each item of a collection, in the words of the wire."""

from datetime import datetime
from typing import Any

import msgspec

from pupload.api.flow import models
from pupload.domain import collection, flow, run
from pupload.service import views

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


def not_begun(this: run.Run, node: str) -> run.NodeRun:
    """The node for an item that had no turn yet, and has none any more where what it belongs to is over."""
    whole, _ = collection.part_of(node) or ("", 0)
    over = this.nodes[whole].status.terminal
    return run.NodeRun(id=node, status=run.NodeStatus.SKIPPED if over else run.NodeStatus.IDLE)


def times(this: run.NodeRun) -> tuple[datetime | None, datetime | None]:
    """When the node's first container ran, or its first item had its turn, and when all was over."""
    if this.items is not None:
        return this.items.begun_at, this.items.ended_at
    started = (attempt.executing_at for attempt in this.attempts if attempt.executing_at)
    return next(started, None), this.last.finished_at if this.last and this.status.terminal else None


def write_items(this: run.Items | None) -> models.Items | msgspec.UnsetType:
    """How far a node is with its items; nothing where it has none."""
    if this is None:
        return msgspec.UNSET
    return models.Items(
        Total=this.total,
        Waiting=this.total - this.begun,
        Running=this.under_way,
        Complete=this.complete,
        Error=this.failed + this.cancelled,
        Skipped=this.skipped,
        Empty=this.empty,
    )


def write_page(this: views.Page | None) -> models.Page | msgspec.UnsetType:
    """Which items there are; nothing where none were asked for."""
    return msgspec.UNSET if this is None else models.Page(Total=this.total, Offset=this.offset, Limit=this.limit)
