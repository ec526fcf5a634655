"""What files may hold at most, and how it is said that one holds more."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import facts
from pupload.domain.facts import Facts, Limits, objection

SHRINK = "input image of node shrink"


def said(content_type: str, size: int = 1000, *, found: Facts = facts.NOTHING, **limits: Any) -> str | None:
    return objection(found, content_type, size, Limits(**limits), by=SHRINK)


def test_a_sentence_names_what_there_is_who_takes_less_and_how_much() -> None:
    found = Facts(width=20_000, height=20_000)
    assert said("image/png", found=found, max_pixels=50_000_000) == (
        "it has 20000x20000 = 400 million pixels; input image of node shrink takes at most 50 million"
    )


@pytest.mark.parametrize(
    ("content_type", "found", "limits", "sentence"),
    [
        ("video/mp4", Facts(duration_seconds=5400), {"max_media_seconds": 600.0}, "it plays for 1h30m"),
        ("application/pdf", Facts(pages=12_345), {"max_pages": 100}, "it has 12 345 pages"),
        (
            "application/zip",
            Facts(unpacked_bytes=5_000_000_000),
            {"max_ratio": 100.0},
            "it unpacks to 5 billion bytes, 5 million times its size",
        ),
        ("text/plain", Facts(), {"max_bytes": 999}, "it has 1000 bytes"),
    ],
)
def test_each_limit_has_its_words(content_type: str, found: Facts, limits: dict[str, Any], sentence: str) -> None:
    told = said(content_type, found=found, **limits)
    assert told is not None
    assert told.startswith(f"{sentence}; {SHRINK} takes at most ")


@pytest.mark.parametrize(
    ("content_type", "found", "limits"),
    [
        ("image/png", Facts(width=10, height=10), {"max_pixels": 100}),
        ("video/mp4", Facts(duration_seconds=600), {"max_media_seconds": 600.0}),
        ("application/pdf", Facts(pages=100), {"max_pages": 100}),
        ("application/zip", Facts(unpacked_bytes=100_000_000), {"max_ratio": 100_000.0}),
        ("text/plain", Facts(), {"max_bytes": 1000}),
    ],
)
def test_exactly_as_much_is_taken(content_type: str, found: Facts, limits: dict[str, Any]) -> None:
    assert said(content_type, found=found, **limits) is None


def test_what_unpacks_to_little_is_no_bomb() -> None:
    assert said("application/gzip", 100, found=Facts(unpacked_bytes=facts.RATIO_FROM_BYTES - 1), max_ratio=2) is None
    assert said("application/gzip", 100, found=Facts(unpacked_bytes=facts.RATIO_FROM_BYTES), max_ratio=2)


def test_what_cannot_be_told_is_refused_by_who_set_a_limit_on_it() -> None:
    told = objection(Facts(), "image/png", 9, Limits(max_pixels=5_000), by=SHRINK, reason="its headers cannot be read")
    assert told == (
        "it cannot be told how many pixels it has, and input image of node shrink takes at most 5000: "
        "its headers cannot be read"
    )


def test_what_cannot_be_told_passes_the_server() -> None:
    assert objection(Facts(), "image/png", 9, Limits(max_pixels=5), by="the server", strict=False) is None


def test_nobody_asks_a_video_for_its_pages() -> None:
    assert said("video/mp4", max_pages=5) is None
    assert said("text/csv", max_pages=5, max_pixels=1, max_ratio=1, max_media_seconds=1) is None


def test_an_empty_file_holds_nothing_too_much() -> None:
    assert objection(Facts(), "application/x-empty", 0, Limits(max_pixels=1, max_pages=1), by=SHRINK) is None


def test_the_limit_that_counts_is_named_where_its_owner_has_several() -> None:
    told = objection(Facts(pages=9), "application/pdf", 1, Limits(max_pixels=1, max_pages=5), by="us ({limit})")
    assert told == "it has 9 pages; us (max_pages) takes at most 5"


NUMBERS = st.none() | st.integers(0, 2**63)
SECONDS = st.none() | st.floats(0, 1e12)
TYPES = st.sampled_from(
    ["image/png", "image/svg+xml", "video/mp4", "audio/mpeg", "application/pdf", "application/zip", "text/plain"]
) | st.text(max_size=30)
FACTS = st.builds(
    Facts,
    width=NUMBERS,
    height=NUMBERS,
    pages=NUMBERS,
    duration_seconds=SECONDS,
    entries=NUMBERS,
    unpacked_bytes=NUMBERS,
)
LIMITS = st.builds(
    Limits,
    max_bytes=NUMBERS,
    max_pixels=NUMBERS,
    max_media_seconds=SECONDS,
    max_ratio=SECONDS,
    max_pages=NUMBERS,
)


@given(FACTS, TYPES, st.integers(0, 2**63), LIMITS, st.booleans())
def test_whatever_is_told_there_is_a_judgement(
    found: Facts, content_type: str, size: int, limits: Limits, strict: bool
) -> None:
    told = objection(found, content_type, size, limits, by=SHRINK, strict=strict)
    assert told is None or (told.startswith("it ") and SHRINK in told)


@given(FACTS, TYPES, st.integers(0, 2**63), LIMITS)
def test_who_is_less_strict_objects_to_nothing_more(found: Facts, content_type: str, size: int, limits: Limits) -> None:
    if objection(found, content_type, size, limits, by=SHRINK) is None:
        assert objection(found, content_type, size, limits, by=SHRINK, strict=False) is None


@given(FACTS, TYPES, st.integers(0, 2**63))
def test_without_limits_all_is_taken(found: Facts, content_type: str, size: int) -> None:
    assert objection(found, content_type, size, facts.UNLIMITED, by=SHRINK) is None
