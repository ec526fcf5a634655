"""What of an ended run goes when."""

from dataclasses import replace
from datetime import datetime, timedelta

from pupload.domain import retention
from pupload.domain.artifact import Artifact
from pupload.domain.flow import DataWell
from pupload.domain.retention import Terms
from pupload.domain.run import Run, Status
from tests.builders import NOON, RUN_ID, a_chain, a_definition, a_flow, a_plan

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_run(*wells: DataWell, transfer: str = "", finished_at: datetime | None = NOON) -> Run:
    """`e0` is an upload, `e1` passes between the nodes, `e2` is a result; all are there."""
    definition = a_definition("pupload/resize", transfer=transfer or None, timeout="2h")
    plan = a_plan(a_flow(*a_chain(2), wells=wells), [definition])
    artifacts = {
        edge: Artifact(
            edge=edge,
            store="default",
            key=plan.edges[edge].key,
            size=1,
            content_type="image/png",
            sha256="ab" * 32,
            etag="e",
            created_at=NOON,
        )
        for edge in ("e0", "e1", "e2")
    }
    return Run(
        id=RUN_ID,
        plan=plan,
        status=Status.COMPLETE if finished_at else Status.RUNNING,
        created_at=NOON - HOUR,
        finished_at=finished_at,
        artifacts=artifacts,
    )


TERMS = Terms(resumable_seconds=7 * 86400.0, keep_runs_seconds=30 * 86400.0)


def test_what_passes_between_nodes_goes_when_the_run_cannot_be_resumed_any_more() -> None:
    run = a_run()
    assert retention.gone_by(run, TERMS, NOON + 7 * DAY - HOUR) == frozenset()
    assert retention.gone_by(run, TERMS, NOON + 7 * DAY) == {"e1"}
    assert retention.gone_by(run, TERMS, NOON + 1000 * DAY) == {"e1"}, "results and uploads go with the run"


def test_a_lifetime_counts_from_the_end_of_the_run() -> None:
    run = a_run(DataWell(edge="e2", lifetime="24h"), DataWell(edge="e0", source="upload", lifetime="90m"))
    assert retention.gone_by(run, TERMS, NOON + HOUR) == frozenset()
    assert retention.gone_by(run, TERMS, NOON + 2 * HOUR) == {"e0"}
    assert retention.gone_by(run, TERMS, NOON + DAY) == {"e0", "e2"}


def test_an_object_that_only_passes_but_was_given_a_lifetime_is_kept_for_that() -> None:
    run = a_run(DataWell(edge="e1", lifetime="1h"))
    assert retention.gone_by(run, TERMS, NOON + HOUR) == {"e1"}


def test_a_static_object_is_not_ours_and_never_goes() -> None:
    run = a_run(DataWell(edge="e0", source="static", key="shared/logo.png", lifetime="1h"))
    assert "e0" not in retention.gone_by(run, TERMS, NOON + 1000 * DAY)
    assert not retention.is_own(run, run.artifacts["e0"])
    assert retention.is_own(run, run.artifacts["e1"])


def test_nothing_is_due_of_a_run_that_goes_on() -> None:
    run = a_run(DataWell(edge="e2", lifetime="1h"), finished_at=None)
    late = NOON + 1000 * DAY
    assert retention.gone_by(run, TERMS, late) == frozenset()
    assert not retention.is_swept_by(run, late)
    assert not retention.is_purged_by(run, TERMS, late)
    assert retention.next_at(run, TERMS) is None


def test_late_uploads_are_swept_up_when_the_last_url_has_expired() -> None:
    assert not retention.is_swept_by(a_run(), NOON + HOUR)
    assert retention.is_swept_by(a_run(), NOON + HOUR + timedelta(minutes=15))
    urls = a_run(transfer="urls")
    assert not retention.is_swept_by(urls, NOON + 2 * HOUR + timedelta(minutes=10))
    assert retention.is_swept_by(urls, NOON + 2 * HOUR + timedelta(minutes=25))


def test_a_run_is_kept_as_long_as_the_operator_says_and_as_an_object_of_it_is_to_live() -> None:
    assert not retention.is_purged_by(a_run(), TERMS, NOON + 29 * DAY)
    assert retention.is_purged_by(a_run(), TERMS, NOON + 30 * DAY)
    assert not retention.is_purged_by(a_run(), Terms(), NOON + 10_000 * DAY)
    longer = a_run(DataWell(edge="e2", lifetime="1000h"))
    assert not retention.is_purged_by(longer, TERMS, NOON + 41 * DAY)
    assert retention.is_purged_by(longer, TERMS, NOON + 42 * DAY)
    without = replace(longer, gone={"e2": NOON})
    assert retention.is_purged_by(without, TERMS, NOON + 30 * DAY)


def test_a_run_is_looked_at_at_every_moment_something_is_due_and_not_for_ever() -> None:
    run, moments, at = a_run(DataWell(edge="e2", lifetime="24h")), list[timedelta](), None
    while (at := retention.next_at(run, TERMS, at)) is not None:
        moments.append(at - NOON)
    assert moments == [HOUR + timedelta(minutes=15), DAY, 7 * DAY, 30 * DAY]


def test_a_moment_beyond_the_calendar_never_comes() -> None:
    for_ages = Terms(resumable_seconds=1e12, keep_runs_seconds=1e12)
    assert retention.next_at(a_run(), for_ages, NOON + DAY) is None


def test_a_key_is_the_runs_alone_when_it_names_the_run_or_the_one_it_resumes() -> None:
    run = replace(a_run(), resumed_from="run_01HZX3K9T8Q2B7M4N6P5R1S0VX")
    assert retention.is_nobody_elses(run, f"{RUN_ID}/e2")
    assert retention.is_nobody_elses(run, f"out/{run.resumed_from}.png")
    assert not retention.is_nobody_elses(run, "out/2026-03-03.png")
