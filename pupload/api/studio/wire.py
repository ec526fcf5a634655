"""What the service answers, in the words of this surface."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from pupload import ports
from pupload.api import web as shared
from pupload.api.studio import models
from pupload.domain import ids
from pupload.domain.run import Run, Status
from pupload.service import results
from pupload.service.namespaces import NamespaceView
from pupload.service.results import Kind, Result

RUNNING, COMPLETED, FAILED = "running", "completed", "failed"
STOPPED = "stopped"

CANCELLED = "cancelled"
"""The result of a run that was."""

Written = msgspec.Raw
"""JSON as it is written: numbers keep all of their digits."""

NOTHING = Written(b"null")

_ENDED = {Status.COMPLETE: COMPLETED, Status.ERROR: FAILED, Status.STOPPED: FAILED}

encode = msgspec.json.encode


def answer(this: Any, *, status: int = 200) -> web.Response:
    """The object as it goes over the wire."""
    return shared.json_bytes(encode(this), status=status)


def moment(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def execution_id(run_id: str) -> str:
    """The run's id as UUID text."""
    return ids.uuid_of(run_id)


def status(this: Status) -> str:
    """`running` until it is over, whatever it waits for."""
    return _ENDED.get(this, RUNNING)


def milliseconds(began: datetime, ended: datetime | None) -> float | None:
    """How long that took, to the hundredth."""
    return None if ended is None else round((ended - began).total_seconds() * 1000, 2)


def duration(this: Run) -> float | None:
    """How long the run took, waiting included; None until it is over."""
    return milliseconds(this.created_at, this.finished_at)


def project(this: NamespaceView) -> models.Project:
    """A project of a list."""
    own = any(flow.namespace == this.name for flow in this.flows)
    path = this.flows[0].full_name if this.flows and not own else this.name
    return models.Project(name=this.name, description=this.description, created_at=moment(this.created_at), path=path)


def line(this: ports.RunSummary) -> models.ExecutionLine:
    """A run of the history."""
    return models.ExecutionLine(
        execution_id=execution_id(this.id),
        status=status(this.status),
        duration_ms=milliseconds(this.created_at, this.finished_at),
    )


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────


def failure(this: Run) -> str:
    """Why a run failed: the first node that did, and its error."""
    if this.status is Status.STOPPED:
        return CANCELLED
    told = this.error.removeprefix("node ")
    return told if told.partition(":")[0] in this.nodes else this.error


def result(chosen: Result, terminals: Mapping[str, Result]) -> Written:
    """
    What came of a run, as JSON: what lies on the edge `result` where there is one, else on the only last edge, else on
    all of these, by their names.
    """
    if chosen.edge == results.EDGE:
        return _value(chosen)
    if len(terminals) == 1:
        return _value(next(iter(terminals.values())))
    return Written(encode({edge: _value(one) for edge, one in terminals.items()})) if terminals else NOTHING


def _value(this: Result) -> Written:
    if this.kind is Kind.JSON:
        return Written(this.written)
    if this.kind is Kind.TEXT:
        return Written(encode(this.value.removesuffix("\n").removesuffix("\r")))
    if isinstance(this.value, results.Reference):
        return Written(
            encode(
                {
                    "store": this.value.store,
                    "object": this.value.key,
                    "media_type": this.value.content_type,
                    "size": this.value.size,
                    "url": this.value.url,
                }
            )
        )
    return NOTHING


def raw(value: str) -> Written:
    """The text, written."""
    return Written(encode(value))


def text(this: Written) -> str | None:
    """The result as a text: itself where it is one, else its JSON; None of nothing."""
    written = bytes(this).decode().strip()
    if written == "null":
        return None
    return str(json.loads(written)) if written.startswith('"') else written
