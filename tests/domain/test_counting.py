"""What is counted of a schedule's runs, and what follows from the count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import counting, schedule
from pupload.domain.counting import Count, Over
from pupload.domain.schedule import Schedule

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_count(**more: object) -> Count:
    return Count(**{"name": "nightly", "drawing": 1, "updated_at": NOON, **more})  # type: ignore[arg-type]


def a_schedule(count: Count, *, every: int = 60) -> Schedule:
    this = Schedule(
        id="sched_a", flow_id=schedule.of_drawing(1), interval_seconds=every, created_at=NOON, base_at=NOON, count=count
    )
    return schedule.set_going(this, NOON, schedule.of_interval(this))


def test_a_run_that_succeeds_is_a_repeat_and_ends_a_row_of_failures() -> None:
    count = counting.after_run(a_count(retry=2, error="before"), error="", run="run_1")
    assert (count.runs, count.repeat, count.retry, count.error, count.over) == (1, 1, 0, "", None)


def test_so_many_repeats_and_it_is_done() -> None:
    count = a_count(most_runs=2)
    count = counting.after_run(count, error="", run="run_1")
    assert count.over is None
    assert counting.after_run(count, error="", run="run_2").over is Over.DONE


def test_one_failure_in_a_row_more_than_may_be_and_it_is_dead() -> None:
    count = a_count(most_retries=2)
    for retry in (1, 2):
        count = counting.after_run(count, error="no", run=f"run_{retry}")
        assert (count.retry, count.over) == (retry, None)
    count = counting.after_run(count, error="no", run="run_3")
    assert (count.failures, count.error, count.over) == (3, "no", Over.DEAD)
    assert counting.after_run(a_count(most_retries=0), error="no").over is Over.DEAD


def test_without_an_end_it_goes_on() -> None:
    assert counting.after_run(a_count(repeat=10**6), error="").over is None


@pytest.mark.parametrize(
    ("retry", "intervals"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (10**9, 10)]
)
def test_pauses_are_doubled_up_to_ten_intervals(retry: int, intervals: int) -> None:
    assert counting.pause_seconds(a_count(retry=retry), 7) == 7 * intervals


def test_set_going_anew_it_knows_how_often_it_ran() -> None:
    before = a_count(runs=4, failures=2, repeat=3, retry=1, over=Over.DEAD, error="no", counted="run_6")
    assert counting.from_beginning(before) == a_count(runs=4, failures=2, counted="run_6")


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5), st.integers(0, 5))
def test_however_runs_end_all_are_counted_once(ends: list[bool], most_runs: int, most_retries: int) -> None:
    count = a_count(most_runs=most_runs, most_retries=most_retries)
    for number, well in enumerate(ends, start=1):
        run = f"run_{number:03}"
        assert not counting.is_counted(count, run)
        count = counting.after_run(count, error="" if well else "no", run=run)
        assert counting.is_counted(count, run)
        assert count.runs + count.failures == number
        if count.over is not None:
            assert count.repeat == most_runs if count.over is Over.DONE else count.retry == most_retries + 1
            return
        assert count.retry <= most_retries
        assert not most_runs or count.repeat < most_runs


# ── And the schedule ─────────────────────────────────────────────────────────────────────────────────────────────


def test_after_success_the_next_fire_is_where_it_was() -> None:
    this = a_schedule(a_count())
    after = schedule.counted(this, counting.after_run(a_count(), error=""), NOON + 10 * MINUTE)
    assert after.next_at == this.next_at == NOON + MINUTE


def test_after_a_failure_the_interval_is_counted_from_there() -> None:
    ended = NOON + timedelta(seconds=90)
    count = replace(a_count(), retry=2)
    after = schedule.counted(a_schedule(a_count()), count, ended)
    assert after.next_at == after.look_at == ended + 2 * MINUTE
    assert schedule.of_interval(after)(ended + 2 * MINUTE) == ended + 3 * MINUTE


@pytest.mark.parametrize("over", Over)
def test_one_that_is_over_is_shut_and_never_looked_at(over: Over) -> None:
    after = schedule.counted(a_schedule(a_count()), a_count(over=over), NOON)
    assert (after.enabled, after.next_at, after.look_at, after.pending) == (False, None, None, ())


def test_one_that_is_paused_stays_so_after_a_failure() -> None:
    paused = replace(a_schedule(a_count()), enabled=False, next_at=None, look_at=None)
    after = schedule.counted(paused, a_count(retry=1), NOON)
    assert (after.next_at, after.look_at) == (None, None)


def test_the_last_run_is_open_until_it_was_counted() -> None:
    this = a_schedule(a_count())
    assert not schedule.is_open(this)
    assert schedule.is_open(replace(this, last_run="run_2"))
    assert not schedule.is_open(replace(this, last_run="run_2", count=a_count(counted="run_2")))
    assert not schedule.is_open(replace(this, last_run="run_2", count=None))
