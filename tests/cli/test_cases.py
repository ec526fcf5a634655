"""The cases of node types: how they are read, and what they object to."""

import json
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.cli import cases

ONE = """
Cases:
  - Name: whole
    Inputs: {text: words.txt, more: [words.txt, words.txt]}
    Flags: {count: 3, fast: true}
    Secrets: {key: 1234}
    Outputs:
      sorted: {File: words.txt}
  - Name: broken
    Inputs: {}
    Fails: {ExitCode: 65, Says: broken}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample/words.txt").write_text("some words")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    (folder / cases.FILE).write_text(text)
    return folder


def test_cases_are_read_with_their_files(folder: Path) -> None:
    whole, broken = cases.read(written(folder, ONE))
    words = folder / "sample/words.txt"
    assert whole.inputs == {"text": (words,), "more": (words, words)}
    assert (whole.flags, whole.secrets) == ({"count": "3", "fast": "true"}, {"key": "1234"})
    assert (whole.outputs["sorted"]["File"], whole.fails) == (words, None)
    assert broken.fails == {"ExitCode": 65, "Says": "broken"}


def test_items_are_held_to_their_number_and_names() -> None:
    expected = {"Count": 2, "Names": ["a", "b"]}
    assert list(cases.item_objections(expected, ["a", "b"])) == []
    assert list(cases.item_objections(expected, ["a"])) == ["has 1 items, not 2", "has a, not a, b"]
    assert list(cases.item_objections({"Count": {"Min": 1, "Max": 3}}, ["a", "b"])) == []
    assert list(cases.item_objections({"Count": {"Min": 3}}, ["a", "b"])) == ["has 2 items, not {'Min': 3}"]


def test_a_folder_without_cases_has_none(folder: Path) -> None:
    assert not cases.read(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Case: []", "has no list of Cases"),
        ("Cases:\n  - Inputs: {}", ":2: a case has no Name"),
        ("Cases:\n  - Name: a\n    Inputs: {}", "case a needs Outputs or Fails"),
        ("Cases:\n  - Name: a\n    Outputs: {}\n    Fails: {}", "case a needs Outputs or Fails"),
        ("Cases:\n  - Name: a\n    Output: {}", "a case has unknown Output; known: Fails"),
        ("Cases:\n  - Name: a\n    Outputs: {x: {Kind: b}}", "an output has unknown Kind"),
        ("Cases:\n  - Name: a\n    Fails: {Code: 1}", "Fails has unknown Code"),
        ("Cases:\n  - Name: a\n    Inputs: {x: no.txt}\n    Fails: {}", "there is no file no.txt"),
        ("Cases:\n  - just words", "a case should be a mapping"),
    ],
)
def test_what_cannot_be_understood_is_told_with_its_line(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(errors.Malformed) as told:
        cases.read(written(folder, text))
    assert sentence in str(told.value)


ARTIFACT = {"ContentType": "application/json", "Facts": {"Width": 20, "DurationSeconds": 2.1}}
CONTENT = json.dumps({"streams": [{"codec": "h264"}], "seconds": 2.05}).encode()


@pytest.mark.parametrize(
    ("expected", "objection"),
    [
        ({"Type": "application/json"}, None),
        ({"Type": "text/plain"}, "is application/json, not text/plain"),
        ({"Facts": {"Width": 20, "DurationSeconds": 2.0}}, None),
        ({"Facts": {"Width": 21}}, "Width is 20, not 21"),
        ({"Facts": {"Width": {"Min": 10, "Max": 20}}}, None),
        ({"Facts": {"Width": {"Min": 21}}}, "Width is 20, not 21 to anything"),
        ({"JSON": {"streams.0.language": None}}, None),
        ({"JSON": {"streams.0.codec": None}}, "streams.0.codec is 'h264', not None"),
        ({"Facts": {"Pages": 1}}, "Pages is not told, not 1"),
        ({"Facts": {"DurationSeconds": 2.4}}, "DurationSeconds is 2.1, not 2.4"),
        ({"Bytes": {"Min": len(CONTENT), "Max": len(CONTENT)}}, None),
        ({"Bytes": {"Min": 1000}}, f"has {len(CONTENT)} bytes, not 1000 to anything"),
        ({"Contains": "h264"}, None),
        ({"Contains": ["h264", "vp9"]}, "does not contain 'vp9'"),
        ({"JSON": {"streams.0.codec": "h264", "seconds": {"Min": 2, "Max": 2.1}}}, None),
        ({"JSON": {"streams.0.codec": "vp9"}}, "streams.0.codec is 'h264', not 'vp9'"),
        ({"JSON": {"streams.1.codec": "vp9"}}, "has no streams.1.codec"),
        ({"JSON": {"seconds.more": 1}}, "has no seconds.more"),
        ({"JSON": {"seconds": {"Max": 2}}}, "seconds is 2.05, not anything to 2"),
        ({"JSON": {"streams": {"Max": 2}}}, "streams is [{'codec': 'h264'}], not anything to 2"),
    ],
)
def test_outputs_are_held_to_what_is_expected(expected: dict[str, Any], objection: str | None) -> None:
    assert list(cases.objections(expected, ARTIFACT, CONTENT)) == ([objection] if objection else [])


def test_files_are_compared_byte_for_byte(folder: Path) -> None:
    expected = {"File": folder / "sample/words.txt"}
    assert not list(cases.objections(expected, ARTIFACT, b"some words"))
    assert list(cases.objections(expected, ARTIFACT, b"some word")) == ["is not byte for byte words.txt"]
    assert list(cases.objections({"JSON": {"a": 1}}, ARTIFACT, b"no")) == ["is no JSON"]


STATE = {"StartedAt": "2026-01-01T00:00:00Z", "ExitCode": 65, "Error": "exit code 65: not a picture"}


def test_a_failure_has_to_be_the_one_that_is_expected() -> None:
    assert not list(cases.failure_objections({"ExitCode": 65, "Says": "a picture"}, STATE, ""))
    assert not list(cases.failure_objections({"Says": "in the log"}, STATE, "it is in the log"))
    (code, words) = cases.failure_objections({"ExitCode": 64, "Says": "a flag"}, STATE, "")
    assert code == "ended with 65, not 64: exit code 65: not a picture"
    assert words == "does not say 'a flag' but: exit code 65: not a picture"


def test_what_the_gate_refused_is_refused_all_the_better() -> None:
    assert not list(cases.failure_objections({"ExitCode": 64}, {**STATE, "StartedAt": None, "ExitCode": None}, ""))
