"""Durations read and write like Go's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("3ns", 3e-9),
        ("0", 0),
        ("-1m", -60),
        ("+1m", 60),
        ("1m1m", 120),
    ],
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert duration.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-", "5", "5 m", "m", "1d", "5M", "1h-3m", "--1s", ".s", "1e3s", "٣s", "9" * 65 + "s"]
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 90s"):
        duration.seconds(text)


def test_what_go_cannot_hold_is_too_long() -> None:
    with pytest.raises(ValueError, match="290 years"):
        duration.seconds("9999999h")


@pytest.mark.parametrize("text", ["0", "0s", "-1s"])
def test_positive_wants_more_than_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        duration.positive(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (2.5, "2.5s"),
        (-60, "-1m"),
    ],
)
def test_sentences_show_no_idle_parts(seconds: float, text: str) -> None:
    assert duration.text(seconds) == text


@given(st.integers(-(10**12), 10**12))
def test_what_is_written_reads_back(milliseconds: int) -> None:
    assert duration.seconds(duration.text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
