"""Accounts: names, keys, and a second factor that counts tries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pupload.domain import account, totp
from pupload.domain.access import Role
from pupload.domain.account import SecondFactor, Told

SECRET = b"12345678901234567890"
NOW = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


def shown(now: datetime) -> str:
    return totp.code(SECRET, totp.step_at(now))


def wrong(now: datetime) -> str:
    right = {totp.code(SECRET, totp.step_at(now) + each) for each in (-1, 0, 1)}
    return next(text for text in (f"{number:06d}" for number in range(10)) if text not in right)


def begun(now: datetime = NOW, **others: object) -> SecondFactor:
    return account.with_password(SecondFactor(secret=SECRET, **others), HERE, now)  # type: ignore[arg-type]


def test_a_code_opens_a_login_that_a_password_began() -> None:
    second, told = account.at_login(begun(), shown(NOW), HERE, NOW)
    assert told is Told.RIGHT
    assert second.pending_until is None
    assert account.at_login(second, shown(NOW), HERE, NOW)[1] is Told.WRONG  # what was begun is over


def test_a_code_counts_once_even_for_another_login() -> None:
    second, _ = account.at_login(begun(), shown(NOW), HERE, NOW)
    again = account.with_password(second, HERE, NOW)
    assert account.at_login(again, shown(NOW), HERE, NOW)[1] is Told.WRONG
    later = NOW + timedelta(seconds=30)
    assert account.at_login(again, shown(later), HERE, later)[1] is Told.RIGHT


@pytest.mark.parametrize(
    ("second", "address", "now"),
    [
        (SecondFactor(secret=SECRET), HERE, NOW),
        (begun(), ELSEWHERE, NOW),
        (begun(), HERE, NOW + timedelta(seconds=300)),
        (account.with_password(SecondFactor(), HERE, NOW), HERE, NOW),
    ],
    ids=["no password", "from elsewhere", "too late", "none is asked for"],
)
def test_without_a_password_of_a_moment_ago_nothing_is_opened_or_counted(
    second: SecondFactor, address: str, now: datetime
) -> None:
    assert account.at_login(second, shown(now), address, now) == (second, Told.WRONG)
    assert account.at_login(second, wrong(now), address, now) == (second, Told.WRONG)


def test_five_tries_a_minute() -> None:
    second = begun()
    for _ in range(account.TRIES_A_MINUTE):
        second, _ = account.at_login(second, wrong(NOW), HERE, NOW)
    assert account.at_login(second, shown(NOW), HERE, NOW)[1] is Told.WRONG
    later = NOW + timedelta(minutes=1)
    assert account.at_login(second, shown(later), HERE, later)[1] is Told.RIGHT


def test_ten_wrong_ones_in_a_row_lock_for_a_quarter_of_an_hour() -> None:
    second, now = begun(), NOW
    for _ in range(account.WRONG_IN_A_ROW):
        now += timedelta(seconds=13)
        second, told = account.at_login(second, wrong(now), HERE, now)
        assert told is Told.WRONG
    assert second.locked_until == now + timedelta(minutes=15)
    late = now + timedelta(minutes=14, seconds=59)
    assert account.at_login(account.with_password(second, HERE, late), shown(late), HERE, late)[1] is Told.WRONG
    over = now + timedelta(minutes=15)
    second, told = account.at_login(account.with_password(second, HERE, over), shown(over), HERE, over)
    assert (told, second.locked_until, second.wrong) == (Told.RIGHT, None, 0)


def test_a_right_one_in_between_begins_the_row_anew() -> None:
    now, second = NOW, begun()
    for _ in range(account.WRONG_IN_A_ROW - 1):
        now += timedelta(seconds=13)
        second, _ = account.at_login(second, wrong(now), HERE, now)
    now += timedelta(minutes=1)
    second, told = account.at_login(second, shown(now), HERE, now)
    assert (told, second.wrong) == (Told.RIGHT, 0)


def test_what_was_proposed_counts_once_its_first_code_came_back() -> None:
    second = account.proposed(SecondFactor(), SECRET)
    assert not second.on
    refused, told = account.enabled(second, wrong(NOW), NOW)
    assert (refused.on, told) == (False, Told.WRONG)
    second, told = account.enabled(second, shown(NOW), NOW)
    assert (second.secret, second.candidate, told) == (SECRET, b"", Told.RIGHT)
    # The code that switched it on opens no login.
    again = account.with_password(second, HERE, NOW)
    assert account.at_login(again, shown(NOW), HERE, NOW)[1] is Told.WRONG
    assert account.disabled() == SecondFactor()


def test_secrets_are_in_no_representation() -> None:
    user = account.User(name="ann", role=Role.VIEWER, password="hash", created_at=NOW, second=begun())
    assert "hash" not in repr(user)
    assert repr(SECRET) not in repr(user)


@pytest.mark.parametrize("name", ["a", "ann", "ann@example.org", "Ann B.", "ä" * 150, "-"])
def test_names(name: str) -> None:
    assert account.objection_to_name(name) == ""


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a/b", "a\\b", "a\nb", "\x00", "a" * 151])
def test_no_names(name: str) -> None:
    assert account.objection_to_name(name)


@pytest.mark.parametrize(("length", "fine"), [(0, False), (1, True), (1024, True), (1025, False)])
def test_passwords(length: int, fine: bool) -> None:
    assert (account.objection_to_password("a" * length) == "") is fine


def test_a_key_opens_until_it_expires_or_is_revoked() -> None:
    key = account.Key(id="key_1", user=1, digest=account.digest("t"), created_at=NOW)
    assert key.opens(NOW)
    assert not replace(key, revoked_at=NOW).opens(NOW)
    expiring = replace(key, expires_at=NOW + timedelta(seconds=1))
    assert expiring.opens(NOW)
    assert not expiring.opens(NOW + timedelta(seconds=1))
    assert "t" != key.digest == account.digest("t") != account.digest("u")
