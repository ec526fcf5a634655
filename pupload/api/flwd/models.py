"""
Every name that goes over this surface's wire, letter for letter as its contract has it.

Times are RFC 3339 in UTC, to the second. What cannot be told yet is left out.
"""

from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Maybe = msgspec.UnsetType

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class NewRun(BaseModel):
    """A run to be made of a job. With `async` false the answer comes when the run is over."""

    model_config = ConfigDict(strict=True, extra="forbid")

    job_id: str
    args: dict[str, Any] = Field(default_factory=dict)
    tenant: str = Field("default", max_length=256)
    in_background: bool = Field(True, alias="async")


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer is."""


class WrongArg(Answer, frozen=True, kw_only=True):
    """What is wrong with an argument of a run."""

    arg: str
    message: str


class ProblemDetails(Answer, frozen=True, kw_only=True):
    """
    Why not, as RFC 7807 has it.

    `errors` has every argument that is wrong, `run_id` the run that failed, `request_id` what the server's log has more
    under.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[WrongArg] | Maybe = msgspec.UNSET
    run_id: str | Maybe = msgspec.UNSET
    request_id: str | Maybe = msgspec.UNSET


class Job(Answer, frozen=True, kw_only=True):
    """A saved flow. `id` is its namespace and name."""

    id: str
    name: str
    namespace: str
    version: str
    description: str
    source: str


class JobDetails(Job, frozen=True, kw_only=True):
    """A saved flow, and what a run of it takes as JSON Schema."""

    args: dict[str, Any]


class JobList(Answer, frozen=True, kw_only=True):
    """All jobs of all sources, by namespace and name."""

    jobs: list[Job]


class StartedRun(Answer, frozen=True, kw_only=True):
    """A run that was just made. `status` is `pending`, `running`, `success`, `failed` or `cancelled`."""

    run_id: str
    job_id: str
    status: str
    created_at: Moment


class Run(StartedRun, frozen=True, kw_only=True):
    """
    A run as lists show it.

    `job_id` is `flow_…` where the saved flow was removed, and where there never was one: that is no other run's then.
    """

    finished_at: Moment | Maybe = msgspec.UNSET


class RunList(Answer, frozen=True, kw_only=True):
    """Runs, newest first; `total` counts all that match, not those of this page."""

    runs: list[Run]
    total: int


class RunResult(Answer, frozen=True, kw_only=True):
    """
    What came of a run: a text, any JSON, or null.

    What is larger than 1 MiB, or neither, is an object with `artifact_id`, `url`, `media_type` and `size_bytes`.
    """

    value: Any


class RunDetails(Run, frozen=True, kw_only=True):
    """A run as it stands. `result` is there when it is over, `error` where it failed."""

    args: dict[str, Any]
    result: RunResult | Maybe = msgspec.UNSET
    error: str | Maybe = msgspec.UNSET


class CancelledRun(Answer, frozen=True, kw_only=True):
    """A run that was cancelled, or the `status` that it had come to before."""

    run_id: str
    status: str


class LogLine(Answer, frozen=True, kw_only=True):
    """A line that a step wrote. `level`: debug, info, warning, error."""

    timestamp: Moment
    level: str
    message: str
    step_id: str


class LogList(Answer, frozen=True, kw_only=True):
    """The lines of a run, in the order in which they were written."""

    logs: list[LogLine]


class Artifact(Answer, frozen=True, kw_only=True):
    """What a step made. `name` is the edge that it lies on, `path` its key in the store."""

    id: str
    run_id: str
    name: str
    path: str
    media_type: str
    size_bytes: int
    created_at: Moment


class ArtifactList(Answer, frozen=True, kw_only=True):
    """Artifacts that can be had: the newest run's first, of one run by their names."""

    artifacts: list[Artifact]


class Health(Answer, frozen=True, kw_only=True):
    """Whether all that the server needs answers: `healthy`, or `unhealthy` with what is wrong in `problems`."""

    status: str
    version: str
    uptime_seconds: int
    problems: list[str] | Maybe = msgspec.UNSET


class Source(Answer, frozen=True, kw_only=True):
    """A place that jobs come from. `type`: `fs`, `git`, or `api` for those saved through this server."""

    name: str
    type: str
    path: str


class SystemInfo(Answer, frozen=True, kw_only=True):
    """What this server is. `extensions` are the further APIs that it serves."""

    version: str
    sources: list[Source]
    extensions: list[str]


# ── What streams hold ────────────────────────────────────────────────────────────────────────────────────────────


class Event(Answer, frozen=True, kw_only=True):
    """What every event says."""

    run_id: str
    job_id: str
    timestamp: Moment


class RunEvent(Event, frozen=True, kw_only=True):
    """`run.created`, `run.started`, `run.finished`: what the run has come to."""

    status: str
    finished_at: Moment | Maybe = msgspec.UNSET
    error: str | Maybe = msgspec.UNSET


class StepStarted(Event, frozen=True, kw_only=True):
    """`step.started`: an attempt of a step runs."""

    step_id: str
    attempt: int


class StepFinished(Event, frozen=True, kw_only=True):
    """`step.finished`: `status` is `success`, `failed`, `skipped` or `cancelled`; there is no further attempt."""

    step_id: str
    status: str
    exit_code: int | None = None
    error: str | Maybe = msgspec.UNSET


class Output(Event, frozen=True, kw_only=True):
    """`step.output`, and the same as `run.output`: a line that a step wrote."""

    step_id: str
    level: str
    message: str
