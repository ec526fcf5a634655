"""The moments of cron expressions, where clocks are put forward and back, too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.adapters.cron.calendar import CronCalendar

BERLIN = "Europe/Berlin"
"""Put forward on 29 March 2026 at 02:00, back on 25 October 2026 at 03:00."""


def moments(cron: str, zone: str, after: datetime, count: int) -> list[str]:
    """The next ones, as clocks there show them."""
    found, at = [], after
    for _ in range(count):
        following = CronCalendar().following(cron, zone, at)
        assert following is not None
        assert following.tzinfo is UTC
        at = following
        found.append(f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %Z}")
    return found


def utc(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_a_time_of_day_is_that_of_the_zone() -> None:
    assert moments("0 6 * * *", BERLIN, utc(3, 27, 12), 3) == ["28 06:00 CET", "29 06:00 CEST", "30 06:00 CEST"]


def test_a_fire_in_the_hour_that_is_not_comes_behind_it_and_once() -> None:
    assert moments("30 2 * * *", BERLIN, utc(3, 28), 3) == ["28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST"]
    assert moments("15,30 2 * * *", BERLIN, utc(3, 28, 12), 2) == ["29 03:00 CEST", "30 02:15 CEST"]


def test_a_fire_in_the_hour_that_is_twice_comes_once() -> None:
    assert moments("30 2 * * *", BERLIN, utc(10, 24), 3) == ["24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"]
    within = utc(10, 25, 1, 15)  # 02:15, for the second time
    assert moments("30 2 * * *", BERLIN, within, 1) == ["26 02:30 CET"]


def test_what_is_due_every_so_many_minutes_goes_by_time_that_passes() -> None:
    assert moments("*/30 * * * *", BERLIN, utc(3, 29, 0, 15), 3) == ["29 01:30 CET", "29 03:00 CEST", "29 03:30 CEST"]
    twice = ["25 02:00 CEST", "25 02:30 CEST", "25 02:00 CET", "25 02:30 CET", "25 03:00 CET"]
    assert moments("*/30 * * * *", BERLIN, utc(10, 24, 23, 45), 5) == twice


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 0 29 2 *", utc(3, 1), datetime(2028, 2, 29, tzinfo=UTC)),
        ("*/15 9-17 * * MON-FRI", utc(3, 6, 17, 50), utc(3, 9, 9)),
        ("0 12 1,15 * *", utc(3, 1, 12), utc(3, 15, 12)),
        ("0 0 * * 7", utc(3, 2), utc(3, 8)),
        ("59 23 31 12 *", utc(3, 2), utc(12, 31, 23, 59)),
    ],
)
def test_expressions_mean_what_they_mean_to_cron(cron: str, after: datetime, expected: datetime) -> None:
    assert CronCalendar().following(cron, "UTC", after) == expected


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "a * * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "\n",
        "@daily",
    ],
)
def test_what_is_no_expression_is_refused_with_a_sentence(cron: str) -> None:
    with pytest.raises(errors.Malformed, match="cron expression"):
        CronCalendar().check(cron, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../../etc/passwd", "/etc/localtime", "Europe", "Bad\0", "é", "UTC+1 "]
)
def test_what_is_no_time_zone_is_refused_with_a_sentence(zone: str) -> None:
    with pytest.raises(errors.Malformed, match="time zone"):
        CronCalendar().check("* * * * *", zone)


def test_the_calendar_ends() -> None:
    assert CronCalendar().following("0 0 1 1 *", "UTC", datetime(9999, 12, 30, tzinfo=UTC)) is None


_FIELD = st.sampled_from(["*", "*/7", "0", "30", "2", "1,2,3"])


@given(
    cron=st.builds(
        lambda minute, hour: f"{minute} {hour} * * *", _FIELD, st.sampled_from(["*", "*/2", "1", "2", "2,3"])
    ),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"]),
    seconds=st.integers(0, 15 * 366 * 86400),
)
def test_the_next_moment_is_later_and_none_is_between(cron: str, zone: str, seconds: int) -> None:
    start = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    following = CronCalendar().following(cron, zone, start)
    assert following is not None
    assert following > start
    between = start + (following - start) / 2
    if between < following - timedelta(seconds=1):
        assert CronCalendar().following(cron, zone, between) == following
