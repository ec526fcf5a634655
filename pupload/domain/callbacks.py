"""
Callbacks: who is told that a run is over, and in what words.

A message names the run and says how it ended; it holds no URL by which an object could be had, for those let in whoever
reads them. What becomes of a message is in `pupload.domain.delivery`.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pupload.domain import collection
from pupload.domain.artifact import Artifact
from pupload.domain.delivery import Delivery
from pupload.domain.flow import Callback
from pupload.domain.run import Run, Status

KINDS: Mapping[Status, str] = {
    Status.COMPLETE: "run.completed",
    Status.ERROR: "run.failed",
    Status.STOPPED: "run.stopped",
}
"""What a message is called, by how the run ended."""

MOMENTS: Mapping[str, Status] = {status.value.lower(): status for status in KINDS}
"""What `On` may name."""

ARTIFACTS_TOLD = 100
"""A message is to be small; the others are in the run's status."""


def made(run: Run, *, operator_url: str = "") -> tuple[Delivery, ...]:
    """What is to be delivered about a run that is over; nothing of a dry run. The same run makes the same, and ids."""
    if not run.status.terminal or run.plan.ephemeral:
        return ()
    receivers = list(_receivers(run, operator_url))
    if not receivers:
        return ()
    ended = run.finished_at or run.created_at
    body = message(run)
    return tuple(
        Delivery(
            id=delivery_id(run.id, place),
            run=run.id,
            kind=KINDS[run.status],
            url=url,
            body=body,
            place=place,
            created_at=ended,
            due_at=ended,
        )
        for place, url in receivers
    )


def _receivers(run: Run, operator_url: str) -> Iterator[tuple[int | None, str]]:
    for place, callback in enumerate(run.plan.flow.callbacks):
        if is_wanted(callback, run.status):
            yield place, callback.url
    if operator_url:
        yield None, operator_url


def is_wanted(callback: Callback, status: Status) -> bool:
    """Whether the callback is for runs that end so; one that names no moment is for all."""
    return not callback.on or status in {MOMENTS.get(moment.lower()) for moment in callback.on}


def delivery_id(run_id: str, place: int | None) -> str:
    """The id of a run's delivery: made again after a crash, it is the same."""
    told = f"{run_id} {'operator' if place is None else place}"
    return f"msg_{sha256(told.encode()).hexdigest()[:32]}"


def message(run: Run) -> bytes:
    """What is told of a run that is over, in JSON."""
    told = [(edge, one) for edge, one in run.artifacts.items() if not _is_item(run, edge)]
    data: dict[str, Any] = {
        "ID": run.id,
        "Flow": run.plan.flow.name,
        "Status": run.status.value,
        "Error": run.error,
        "StartedAt": _moment(run.created_at),
        "FinishedAt": None if run.finished_at is None else _moment(run.finished_at),
        "Artifacts": {edge: _artifact(one) for edge, one in told[:ARTIFACTS_TOLD]},
    }
    if len(told) > ARTIFACTS_TOLD:
        data["MoreArtifacts"] = len(told) - ARTIFACTS_TOLD
    whole = {"type": KINDS[run.status], "timestamp": _moment(run.finished_at or run.created_at), "data": data}
    return json.dumps(whole, separators=(",", ":")).encode()


def _is_item(run: Run, edge: str) -> bool:
    """Whether it is the edge of a collection's item: the collection is told of."""
    found = None if edge in run.plan.edges else collection.part_of(edge)
    return found is not None and found[0] in run.plan.edges


def _artifact(artifact: Artifact) -> Mapping[str, Any]:
    items = {} if artifact.items is None else {"Items": artifact.items}
    return {
        "StoreName": artifact.store,
        "ObjectName": artifact.key,
        "EdgeName": artifact.edge,
        "Size": artifact.size,
        "ContentType": artifact.content_type,
        "SHA256": artifact.sha256,
        **items,
    }


def _moment(when: datetime) -> str:
    """RFC 3339 in UTC, as in all answers."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
