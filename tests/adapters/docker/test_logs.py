from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import ports
from pupload.adapters.docker import logs

NOON = "2026-03-03T12:00:00.123456789Z"


def frame(text: bytes, *, stream: int = 1, at: str = NOON) -> bytes:
    entry = at.encode() + b" " + text
    return bytes([stream, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry


def parsed(data: bytes, *, step: int | None = None) -> list[ports.LogLine]:
    parser = logs.Parser()
    step = step or len(data) or 1
    return [line for start in range(0, len(data), step) for line in parser.feed(data[start : start + step])]


def messages(data: bytes) -> list[str]:
    return [line.message for line in parsed(data)]


def test_a_frame_is_a_line_with_its_time_and_stream() -> None:
    (line,) = parsed(frame(b"hello there\n", stream=2))
    assert line == ports.LogLine(
        at=datetime(2026, 3, 3, 12, 0, 0, 123456, tzinfo=UTC), stream="stderr", message="hello there"
    )


def test_a_frame_without_a_newline_is_a_piece_of_a_line() -> None:
    assert messages(frame(b"half ") + frame(b"a line\n")) == ["half ", "a line"]


def test_an_empty_line_is_a_line() -> None:
    assert messages(frame(b"\n")) == [""]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert messages(frame(b"a\xff\xfeb\n")) == ["a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"windows\r\n", ["windows"]),
        (b"10%\r20%\r30%\n", ["10%", "20%", "30%"]),
        (b"\r10%\r\r20%", ["10%", "20%"]),
        (b"\r", [""]),
    ],
)
def test_every_state_of_a_progress_bar_is_a_line(written: bytes, read: list[str]) -> None:
    assert messages(frame(written)) == read


def test_an_entry_without_a_time_has_that_of_the_one_before() -> None:
    entry = b"no time here\n"
    bare = bytes([1, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry
    first, second = parsed(frame(b"one\n") + bare)
    assert (second.at, second.message) == (first.at, "no time here")


@given(
    st.lists(st.tuples(st.binary(max_size=40).filter(lambda b: b"\r" not in b), st.sampled_from([1, 2]))),
    st.integers(1, 50),
)
def test_however_the_bytes_are_cut_the_lines_are_the_same(entries: list[tuple[bytes, int]], step: int) -> None:
    data = b"".join(frame(text, stream=stream) for text, stream in entries)
    lines = parsed(data, step=step)
    assert lines == parsed(data)
    assert len(lines) == len(entries)


@pytest.mark.parametrize(
    "data", [b"\x07\x00\x00\x00\x00\x00\x00\x01x", b"\x01\x00\x00\x00\xff\xff\xff\xff", b"<html>....."]
)
def test_what_is_no_log_is_told_at_once(data: bytes) -> None:
    with pytest.raises(logs.NotALog):
        parsed(data)
