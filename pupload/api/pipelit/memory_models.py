"""What goes over the wire about memory: facts, and what is told of runs, of who said something, and of threads."""

from typing import Annotated, Any

from pydantic import Field

from pupload.api.pipelit.bodies import Body
from pupload.api.pipelit.models import Answer, Moment
from pupload.domain.knowledge import Scope

Ids = Annotated[list[str], Field(max_length=1000)]

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class MemoryIds(Body):
    """What is to be forgotten."""

    ids: Ids


class CheckpointIds(Body):
    """What is to be forgotten: whole threads, or single checkpoints."""

    thread_ids: Ids | None = None
    checkpoint_ids: Ids | None = None


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class KnownFact(Answer, frozen=True, kw_only=True):
    """What is known under a key."""

    id: str
    scope: Scope
    agent_id: str | None
    user_id: str | None
    key: str
    value: Any
    fact_type: str
    confidence: float
    times_confirmed: int
    access_count: int
    created_at: Moment
    updated_at: Moment


class Episode(Answer, frozen=True, kw_only=True):
    """An execution that is over."""

    id: str
    agent_id: str | None
    user_id: str | None
    trigger_type: str
    success: bool
    error_code: str | None
    summary: str | None
    started_at: Moment | None
    ended_at: Moment | None
    duration_ms: int | None
    created_at: Moment


class Procedure(Answer, frozen=True, kw_only=True):
    """How something is done; nothing here learns any."""

    id: str
    agent_id: str
    name: str
    description: str
    procedure_type: str
    times_used: int
    times_succeeded: int
    times_failed: int
    success_rate: float
    is_active: bool
    created_at: Moment


class MemoryUser(Answer, frozen=True, kw_only=True):
    """Somebody who has said something to a workflow."""

    id: str
    canonical_id: str
    display_name: str | None
    telegram_id: str | None = None
    email: str | None = None
    total_conversations: int
    last_seen_at: Moment
    created_at: Moment


class Checkpoint(Answer, frozen=True, kw_only=True):
    """Something that was said in a thread."""

    thread_id: str
    checkpoint_ns: str = ""
    checkpoint_id: str
    parent_checkpoint_id: str | None
    step: int
    source: str
    blob_size: int


class FactPage(Answer, frozen=True, kw_only=True):
    """Some of the facts, the last said first."""

    items: list[KnownFact]
    total: int


class EpisodePage(Answer, frozen=True, kw_only=True):
    """Some of the episodes, the last begun first."""

    items: list[Episode]
    total: int


class ProcedurePage(Answer, frozen=True, kw_only=True):
    """No procedures."""

    items: list[Procedure]
    total: int


class MemoryUserPage(Answer, frozen=True, kw_only=True):
    """Some of those who said something, the last first."""

    items: list[MemoryUser]
    total: int


class CheckpointPage(Answer, frozen=True, kw_only=True):
    """Some of what was said, thread by thread."""

    items: list[Checkpoint]
    total: int
