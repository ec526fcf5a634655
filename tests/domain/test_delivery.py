"""A callback on its way."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pupload.domain import delivery
from pupload.domain.delivery import Delivery, Reply, State, Try

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


def a_delivery(url: str = "https://hooks.example/in?key=1") -> Delivery:
    return Delivery(id="msg_a", run="run_a", kind="run.completed", url=url, body=b"{}", created_at=NOON, due_at=NOON)


def answered(this: Delivery, reply: Reply, *, now: datetime = NOON, chance: float = 0.0) -> Delivery:
    return delivery.answered(this, reply, at=now, now=now, chance=chance)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_a_receiver_that_says_well_has_it(status: int) -> None:
    after = answered(a_delivery(), Reply(status=status))
    assert (after.state, after.due_at, after.tries) == (State.DELIVERED, None, (Try(at=NOON, status=status),))


def test_one_that_fails_is_tried_for_three_days_with_longer_and_longer_pauses() -> None:
    this, now, pauses = a_delivery(), NOON, []
    while this.due_at is not None:
        now = max(now, this.due_at)
        this = answered(this, Reply(status=500), now=now)
        if this.due_at is not None:
            pauses.append((this.due_at - now).total_seconds())
    assert pauses == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert this.state is State.FAILED
    assert len(this.tries) == this.failures == 10
    assert this.tries[-1].error == "it answered 500"


def test_pauses_differ_by_a_tenth_so_that_not_all_come_back_at_once() -> None:
    assert answered(a_delivery(), Reply(status=500), chance=1.0).due_at == NOON + timedelta(seconds=5.5)


def test_one_that_is_gone_is_left_alone() -> None:
    after = answered(a_delivery(), Reply(status=410))
    assert (after.state, after.due_at) == (State.FAILED, None)
    assert "410" in after.tries[0].error


def test_a_redirect_is_a_failure_that_says_so() -> None:
    after = answered(a_delivery(), Reply(status=302))
    assert after.state is State.PENDING
    assert "redirects are not followed" in after.tries[0].error


def test_no_answer_is_told_in_its_own_words() -> None:
    assert answered(a_delivery(), Reply(error="it hung up")).tries == (Try(at=NOON, error="it hung up"),)
    assert answered(a_delivery(), Reply()).tries[0].error


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("60", 60),
        ("1", 5),
        ("1000000", 86400),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 5),
        ("Tue, 03 Mar 2026 12:01:30", 5),
        ("later", 5),
        ("-7", 5),
        ("9" * 60, 86400),
        ("1" * 10_000, 86400),
    ],
)
def test_what_the_receiver_asks_for_is_kept_to_within_bounds(asked: str, seconds: float) -> None:
    after = answered(a_delivery(), Reply(status=503, retry_after=asked))
    assert after.due_at == NOON + timedelta(seconds=seconds)


def test_what_is_being_tried_is_nobody_elses_until_whoever_tries_it_may_be_dead() -> None:
    after = delivery.claimed(a_delivery(), now=NOON)
    assert after.state is State.PENDING
    assert after.due_at == NOON + timedelta(seconds=delivery.CLAIM_SECONDS)


def test_what_is_sent_again_is_tried_as_often_as_a_new_one() -> None:
    this = a_delivery()
    for _ in range(10):
        this = answered(this, Reply(status=500))
    again = delivery.sent_again(this, now=NOON)
    assert (again.state, again.due_at, again.failures, again.id) == (State.PENDING, NOON, 0, this.id)
    assert len(again.tries) == 10


def test_only_the_latest_tries_are_kept() -> None:
    this = a_delivery()
    for number in range(30):
        this = delivery.noted(this, Try(at=NOON + timedelta(seconds=number), status=500, error="it answered 500"))
    assert [one.at for one in this.tries] == [NOON + timedelta(seconds=number) for number in range(10, 30)]


def test_a_host_is_told_apart_by_name_and_port() -> None:
    hosts = [a_delivery(url).host for url in ("https://A.example/x", "https://a.example:443/y", "http://a.example")]
    assert hosts == ["a.example:https", "a.example:443", "a.example:http"]


def test_neither_url_nor_body_is_shown() -> None:
    assert "hooks.example" not in repr(a_delivery())
