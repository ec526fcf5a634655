"""What the service answers, in the words of this surface."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pupload import ports
from pupload.api import exporting
from pupload.api.flwd import args, models
from pupload.domain import queueing, run, saved
from pupload.service import artifacts, flows, results

encode = msgspec.json.encode

STATUSES = ("pending", "running", "success", "failed", "cancelled")

ENDS = {run.Status.COMPLETE: "success", run.Status.ERROR: "failed", run.Status.STOPPED: "cancelled"}
"""What runs come to."""


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def maybe_moment(at: datetime | None) -> str | msgspec.UnsetType:
    """Nothing where there is none."""
    return msgspec.UNSET if at is None else moment(at)


def status(this: run.Status, *, started: bool) -> str:
    """Pending is a run of which nothing ever had room."""
    return ENDS.get(this) or ("running" if started else "pending")


def status_of(this: run.Run) -> str:
    """The same, of a run with all of its nodes."""
    return ENDS.get(this.status) or status(this.status, started=queueing.started_at(this) is not None)


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def job(this: saved.SavedFlow) -> models.Job:
    """A job of a list."""
    return models.Job(**_facts(this))


def job_details(view: flows.FlowView) -> models.JobDetails:
    """A job with what it takes."""
    return models.JobDetails(**_facts(view.flow), args=view.arguments)


def _facts(this: saved.SavedFlow) -> dict[str, Any]:
    return {
        "id": this.full_name,
        "name": this.name,
        "namespace": this.namespace,
        "version": this.label,
        "description": this.description,
        "source": this.source,
    }


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def started_run(this: run.Run, job_id: str) -> models.StartedRun:
    """A run that was just made."""
    return models.StartedRun(run_id=this.id, job_id=job_id, status=status_of(this), created_at=moment(this.created_at))


def run_line(this: ports.RunSummary, job_id: str) -> models.Run:
    """A run of a list."""
    return models.Run(
        run_id=this.id,
        job_id=job_id,
        status=status(this.status, started=this.started_at is not None),
        created_at=moment(this.created_at),
        finished_at=maybe_moment(this.finished_at),
    )


def run_of_none(this: run.Run) -> models.Run:
    """The same, of a run of no saved flow."""
    return models.Run(
        run_id=this.id,
        job_id=saved.new_id(this.id),
        status=status_of(this),
        created_at=moment(this.created_at),
        finished_at=maybe_moment(this.finished_at),
    )


def run_details(this: run.Run, job_id: str, came: results.Result | None) -> models.RunDetails:
    """A run, and what came of it where it is over."""
    return models.RunDetails(
        run_id=this.id,
        job_id=job_id,
        status=status_of(this),
        created_at=moment(this.created_at),
        finished_at=maybe_moment(this.finished_at),
        args=args.values(this.plan.flow, this.plan.params),
        result=msgspec.UNSET if came is None else models.RunResult(value=_value(came)),
        error=this.error or msgspec.UNSET,
    )


def _value(came: results.Result) -> Any:
    if came.kind is results.Kind.JSON:
        return msgspec.Raw(came.written)
    if isinstance(came.value, results.Reference):
        return {
            "artifact_id": came.value.artifact,
            "url": came.value.url,
            "media_type": came.value.content_type,
            "size_bytes": came.value.size,
        }
    return came.value


def log_line(record: ports.LogRecord) -> models.LogLine:
    """A line that a step wrote."""
    return models.LogLine(
        timestamp=moment(record.line.at),
        level=exporting.level_of(record.line),
        message=record.line.message,
        step_id=record.node,
    )


# ── Artifacts ────────────────────────────────────────────────────────────────────────────────────────────────────


def artifact(this: artifacts.ArtifactLine) -> models.Artifact:
    """An artifact of a list."""
    return models.Artifact(
        id=this.id,
        run_id=this.run,
        name=this.edge,
        path=this.key,
        media_type=this.content_type,
        size_bytes=this.size,
        created_at=moment(this.created_at),
    )
