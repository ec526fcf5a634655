"""Which fires of a schedule count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import schedule
from pupload.domain.schedule import CatchUp, Schedule

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def a_schedule(every: int = 3600, **more: object) -> Schedule:
    this = Schedule(
        id="sched_a",
        **{"flow_id": "flow_a", "interval_seconds": every, "created_at": NOON, **more},  # type: ignore[arg-type]
    )
    return schedule.set_going(this, NOON, schedule.of_interval(this))


def taken_up(this: Schedule, now: datetime) -> Schedule:
    return schedule.take_up(this, now, schedule.of_interval(this))


def test_the_first_fire_lies_ahead() -> None:
    this = a_schedule()
    assert (this.next_at, this.look_at, this.pending) == (hours(1), hours(1), ())


def test_one_that_is_not_enabled_has_no_fires() -> None:
    this = a_schedule(enabled=False)
    assert (this.next_at, this.look_at) == (None, None)
    assert taken_up(this, hours(9)) == this


def test_before_its_moment_nothing_counts() -> None:
    assert taken_up(a_schedule(), hours(0.9)).pending == ()


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_fire_that_is_on_time_counts_whatever_the_rule(catch_up: CatchUp) -> None:
    now = hours(1) + timedelta(seconds=59)
    this = taken_up(a_schedule(catch_up=catch_up), now)
    assert this.pending == (hours(1),)
    assert this.next_at == hours(2)
    assert this.look_at == now + timedelta(seconds=schedule.CLAIM_SECONDS)


@pytest.mark.parametrize(
    ("catch_up", "pending"),
    [
        (CatchUp.NONE, ()),
        (CatchUp.ONE, (hours(5),)),
        (CatchUp.ALL, (hours(1), hours(2), hours(3), hours(4), hours(5))),
    ],
)
def test_fires_that_were_missed_count_by_the_rule(catch_up: CatchUp, pending: tuple[datetime, ...]) -> None:
    this = taken_up(a_schedule(catch_up=catch_up), hours(5.5))
    assert this.pending == pending
    assert this.next_at == hours(6)


def test_one_run_stands_for_all_that_were_missed_and_the_one_that_is_on_time() -> None:
    assert taken_up(a_schedule(catch_up=CatchUp.ONE), hours(5)).pending == (hours(5),)
    assert taken_up(a_schedule(catch_up=CatchUp.NONE), hours(5)).pending == (hours(5),)


def test_what_is_older_than_the_window_does_not_count() -> None:
    assert taken_up(a_schedule(86400 * 3), hours(72 + 25)).pending == ()
    assert taken_up(a_schedule(86400 * 3), hours(72 + 23)).pending == (hours(72),)
    within = a_schedule(catch_up=CatchUp.ALL, window_seconds=2 * 3600)
    assert taken_up(within, hours(9.5)).pending == (hours(8), hours(9))


def test_seconds_that_went_by_while_nobody_looked_are_not_missed() -> None:
    this = taken_up(a_schedule(10), NOON + timedelta(seconds=30))
    assert this.pending == tuple(NOON + timedelta(seconds=seconds) for seconds in (10, 20, 30))


def test_while_it_is_paused_nothing_counts_and_nothing_is_caught_up() -> None:
    this = a_schedule(catch_up=CatchUp.ALL, paused_until=hours(3))
    assert this.next_at == hours(3)
    assert taken_up(replace(this, next_at=hours(1)), hours(4.5)).pending == (hours(3), hours(4))


def test_of_very_many_the_latest_count() -> None:
    this = taken_up(a_schedule(1, catch_up=CatchUp.ALL), hours(12))
    assert this.pending[-1] == hours(12)
    assert schedule.MOST_PENDING / 3 < len(this.pending) <= schedule.MOST_PENDING
    assert this.next_at == hours(12) + timedelta(seconds=1)


def test_what_was_seen_to_leaves_what_is_pending() -> None:
    this = taken_up(a_schedule(catch_up=CatchUp.ALL), hours(2.5))
    first = schedule.seen_to(this, hours(1), run="run_a")
    assert (first.pending, first.last_at, first.last_run, first.last_error) == ((hours(2),), hours(1), "run_a", "")
    second = schedule.seen_to(first, hours(2), error="why")
    assert (second.pending, second.last_at, second.last_run, second.last_error) == ((), hours(2), "run_a", "why")
    assert schedule.rested(second, again_at=hours(2.6)).look_at == hours(3)
    assert schedule.rested(first, again_at=hours(2.6)).look_at == hours(2.6)


def test_the_next_fires_can_be_told_beforehand() -> None:
    this = a_schedule()
    assert schedule.upcoming(this, hours(1), schedule.of_interval(this), count=2) == (hours(2), hours(3))
    assert schedule.upcoming(this, hours(1), lambda after: None, count=2) == ()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sched_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sched_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("01arz3ndektsv4rrffq69g5fav", "sched_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("run_01ARZ3NDEKTSV4RRFFQ69G5FAV", None),
        ("sched_run_01ARZ3NDEKTSV4RRFFQ69G5FAV", None),
        ("sched_", None),
        ("", None),
    ],
)
def test_an_id_is_read_in_its_canonical_form(text: str, canonical: str | None) -> None:
    assert schedule.canonical_id(text) == canonical


def test_a_fires_key_is_its_own() -> None:
    this = a_schedule()
    assert schedule.key_of(this, hours(1)) == "sched:sched_a:2026-03-03T13:00:00.000000Z"
    assert schedule.key_of(this, hours(1)) != schedule.key_of(this, hours(1) + timedelta(microseconds=1))


@given(
    every=st.integers(1, 10_000),
    looks=st.lists(st.floats(0.001, 20_000), min_size=1, max_size=30),
    catch_up=st.sampled_from([CatchUp.ONE, CatchUp.ALL]),
)
def test_whenever_it_is_looked_at_no_fire_is_lost_or_doubled(every: int, looks: list[float], catch_up: CatchUp) -> None:
    this = a_schedule(every, catch_up=catch_up, window_seconds=schedule.MOST_SECONDS)
    now, counted = NOON, list[datetime]()
    for seconds in looks:
        now += timedelta(seconds=seconds)
        this = taken_up(this, now)
        due = (now - NOON) // timedelta(seconds=every)
        for fire in this.pending:
            this = schedule.seen_to(this, fire, run="run_a")
            counted.append(fire)
        assert this.next_at == NOON + timedelta(seconds=every) * (due + 1)
    assert counted == sorted(set(counted))
    assert all((fire - NOON) % timedelta(seconds=every) == timedelta(0) for fire in counted)
    fires = (now - NOON) // timedelta(seconds=every)
    if catch_up is CatchUp.ALL and fires <= schedule.MOST_PENDING:
        assert len(counted) == fires
    assert not fires or counted[-1] == NOON + timedelta(seconds=every) * fires
