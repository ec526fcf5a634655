"""What goes over the wire about epics and their tasks: batches of runs."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pupload.api.pipelit.bodies import Body
from pupload.api.pipelit.models import Answer, Moment
from pupload.domain.batches import BatchStatus, TaskStatus

Words = Annotated[str, StringConstraints(max_length=16_384)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\n,]*$")]
Tags = Annotated[list[Tag], Field(max_length=64)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Ids = Annotated[list[str], Field(max_length=1000)]

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class NewEpic(Body):
    """An epic to be."""

    title: Title
    description: Words = ""
    tags: Tags = Field(default_factory=list)
    priority: int = Field(2, ge=-1000, le=1000)
    budget_tokens: Count | None = None
    budget_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    workflow_id: int | None = None


class EpicChange(Body):
    """What is to be otherwise."""

    title: Title = ""
    description: Words = ""
    tags: Tags = Field(default_factory=list)
    status: BatchStatus = BatchStatus.PLANNING
    priority: int = Field(2, ge=-1000, le=1000)
    budget_tokens: Count | None = None
    budget_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    result_summary: Words | None = None


class NewTask(Body):
    """A task to be."""

    epic_id: str
    title: Title
    description: Words = ""
    tags: Tags = Field(default_factory=list)
    depends_on: Ids = Field(default_factory=list)
    priority: int = Field(2, ge=-1000, le=1000)
    workflow_slug: Annotated[str, StringConstraints(max_length=200)] | None = None
    estimated_tokens: Count | None = None
    max_retries: Count = 2
    requirements: dict[str, Any] | None = None


class TaskChange(Body):
    """What is to be otherwise."""

    title: Title = ""
    description: Words = ""
    tags: Tags = Field(default_factory=list)
    status: TaskStatus = TaskStatus.PENDING
    priority: int = Field(2, ge=-1000, le=1000)
    execution_id: str | None = None
    result_summary: Words | None = None
    error_message: Words | None = None
    notes: Annotated[list[Any], Field(max_length=1000)] = Field(default_factory=list)


class EpicIds(Body):
    """Epics that are to go."""

    epic_ids: Ids


class TaskIds(Body):
    """Tasks that are to go."""

    task_ids: Ids


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class Epic(Answer, frozen=True, kw_only=True):
    """Runs that are planned together. What is spent is 0: nodes tell nothing of tokens."""

    id: str
    title: str
    description: str
    tags: list[str]
    created_by_node_id: str | None = None
    workflow_id: int | None
    user_profile_id: int | None
    status: BatchStatus
    priority: int
    budget_tokens: int | None
    budget_usd: float | None
    spent_tokens: int = 0
    spent_usd: float = 0.0
    agent_overhead_tokens: int = 0
    agent_overhead_usd: float = 0.0
    total_tasks: int
    completed_tasks: int
    failed_tasks: int
    created_at: Moment
    updated_at: Moment
    completed_at: Moment | None
    result_summary: str | None


class EpicTask(Answer, frozen=True, kw_only=True):
    """A run that is planned; `execution_id` is the run that does it, as which it goes from then on."""

    id: str
    epic_id: str
    title: str
    description: str
    tags: list[str]
    created_by_node_id: str | None = None
    status: TaskStatus
    priority: int
    workflow_id: int | None = None
    workflow_slug: str | None
    execution_id: str | None
    workflow_source: str = "inline"
    depends_on: list[str]
    requirements: dict[str, Any] | None
    estimated_tokens: int | None
    actual_tokens: int = 0
    actual_usd: float = 0.0
    llm_calls: int = 0
    tool_invocations: int = 0
    duration_ms: int
    created_at: Moment
    updated_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    result_summary: str | None
    error_message: str | None
    retry_count: int = 0
    max_retries: int
    notes: list[Any]


class EpicPage(Answer, frozen=True, kw_only=True):
    """Some of the epics, the latest first."""

    items: list[Epic]
    total: int


class TaskPage(Answer, frozen=True, kw_only=True):
    """Some of the tasks, the latest first."""

    items: list[EpicTask]
    total: int
