"""What a line that a node wrote says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.logline import FfmpegProgress, LogText, read


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("plain words", LogText(message="plain words")),
        ('{"message": "half", "level": "warning"}', LogText(message="half", level="WARN")),
        ('{"progress": 0.5, "message": "m"}', LogText(message="m", progress=0.5)),
        ('{"progress": 7, "message": "m"}', LogText(message="m", progress=1.0)),
        ('{"progress": "much", "message": "m"}', LogText(message="m")),
        ('{"progress": true, "message": "m"}', LogText(message="m")),
        ('{"level": "loud", "message": "m"}', LogText(message="m")),
        ('{"a": 1}', LogText(message='{"a": 1}')),
        ("{broken", LogText(message="{broken")),
        ("{" * 5000, LogText(message="{" * 5000)),
    ],
)
def test_json_lines_are_understood_and_others_left_alone(line: str, text: LogText) -> None:
    assert read(line) == text


@given(st.text())
def test_no_line_makes_it_fail(line: str) -> None:
    assert isinstance(read(line).message, str)


def test_ffmpeg_tells_how_far_it_is() -> None:
    parse = FfmpegProgress()
    assert parse("frame=1 time=00:00:01.00 bitrate") is None
    assert parse("  Duration: 00:00:10.00, start: 0") is None
    assert parse("frame=50 fps=25 time=00:00:02.50 bitrate=1") == 0.25
    assert parse("frame=50 time=00:00:12.00") == 1.0
