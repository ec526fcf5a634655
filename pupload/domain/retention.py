"""
How long what belongs to a run is kept once the run is over, and what of it is due to go.

There are four moments, all counted from the run's end: an object with a lifetime goes when that is over; an object
that only passed between nodes goes when the run cannot be resumed any more; when the last URL that was given out to
put something has expired, what came too late is swept up; and the run itself goes, with everything it owns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pupload.domain.artifact import Artifact
from pupload.domain.plan import EdgePlan, Origin
from pupload.domain.run import Run

DAY_SECONDS = 86400.0

USER_URL_SECONDS = 3600.0
"""How long a presigned URL for users works."""

NODE_URL_SPARE_SECONDS, NODE_URL_LONGEST_SECONDS = 600.0, 7 * DAY_SECONDS
"""How much longer than its attempt a node's presigned URL works, and SigV4's limit."""

LEEWAY_SECONDS = 900.0
"""How far a store's clock may be from ours; what SigV4 allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator decides."""

    resumable_seconds: float = 7 * DAY_SECONDS
    """How long an ended run may be resumed: so long is kept what only passed between its nodes."""
    keep_runs_seconds: float | None = None
    """How long an ended run is kept; None: until somebody purges it."""


def gone_by(run: Run, terms: Terms, now: datetime) -> frozenset[str]:
    """The edges of an ended run whose objects are to be gone at `now`, whether or not they are already."""
    return frozenset(
        edge for edge in run.artifacts if (at := _edge_at(run, run.plan.edges[edge], terms)) is not None and at <= now
    )


def is_swept_by(run: Run, now: datetime) -> bool:
    """Whether nothing can be put for the ended run any more, so that what was put too late can be swept up."""
    swept_at = _swept_at(run)
    return swept_at is not None and swept_at <= now


def is_purged_by(run: Run, terms: Terms, now: datetime) -> bool:
    """Whether the ended run is to go, with all it owns."""
    at = _purged_at(run, terms)
    return at is not None and at <= now


def next_at(run: Run, terms: Terms, after: datetime | None = None) -> datetime | None:
    """The first moment (later than `after`) at which something of the ended run is due; None when that is never."""
    return min((moment for moment in _moments(run, terms) if after is None or moment > after), default=None)


def is_own(run: Run, artifact: Artifact) -> bool:
    """
    Whether the object came into being by the run, or by one that it resumes.

    A static object was there before, is not ours, and is never deleted.
    """
    try:
        return run.plan.edges[artifact.edge].origin is not Origin.STATIC
    except KeyError:
        return False


def is_nobody_elses(run: Run, key: str) -> bool:
    """
    Whether no other run can have written to this key: it holds the run's id, or that of the run it resumes.

    A well may name a key of the day, or of the flow: then a later run may have put its own object there.
    """
    return run.id in key or (run.resumed_from is not None and run.resumed_from in key)


def _moments(run: Run, terms: Terms) -> Iterator[datetime]:
    for edge in run.artifacts:
        at = _edge_at(run, run.plan.edges[edge], terms)
        if at is not None:
            yield at
    for moment in (_swept_at(run), _purged_at(run, terms)):
        if moment is not None:
            yield moment


def _edge_at(run: Run, edge: EdgePlan, terms: Terms) -> datetime | None:
    if run.finished_at is None or edge.origin is Origin.STATIC:
        return None
    if edge.lifetime_seconds is not None:
        return _later(run.finished_at, edge.lifetime_seconds)
    return _later(run.finished_at, terms.resumable_seconds) if edge.intermediate else None


def _swept_at(run: Run) -> datetime | None:
    if run.finished_at is None:
        return None
    seconds = USER_URL_SECONDS
    for node in run.plan.nodes.values():
        if node.transfer == "urls":
            longest = min(node.timeout_seconds + NODE_URL_SPARE_SECONDS, NODE_URL_LONGEST_SECONDS)
            seconds = max(seconds, longest)
    return _later(run.finished_at, seconds + LEEWAY_SECONDS)


def _purged_at(run: Run, terms: Terms) -> datetime | None:
    """An object that is to live longer keeps its run: nobody could tell what it is without."""
    if run.finished_at is None or terms.keep_runs_seconds is None:
        return None
    lives = [run.plan.edges[edge].lifetime_seconds or 0.0 for edge in run.artifacts if edge not in run.gone]
    return _later(run.finished_at, max([terms.keep_runs_seconds, *lives]))


def _later(moment: datetime, seconds: float) -> datetime | None:
    """None where that is beyond the calendar."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return None
