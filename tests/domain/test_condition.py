"""The language of conditions: what it means, what is refused and where."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import condition, truth
from pupload.domain.condition import Json, Mistaken, Name, Text, Word

META = {"format": {"duration": 95.5, "codec": "h264"}, "streams": [{"width": 1920}], "odd key": True, "tags": ["cat"]}
KNOWN: Mapping[str, Any] = {
    "input.image.type": "image/png",
    "input.image.size": 5_000_000,
    "input.image.width": 800,
    "input.image.present": True,
    "input.other.width": None,
    "input.a.b-c.pages": 3,
    "flag.width": Word("800"),
    "flag.force": Word("true"),
    "flag.mode": Word("fast"),
    "flag.unset": None,
    "param.limit": Word("1000"),
    "node.probe.status": "COMPLETE",
    "node.probe.exit_code": 0,
}


def look(name: Name | Json | Text) -> Any:
    if isinstance(name, Text):
        return truth.as_text(truth.legible(b" 12\n") or "")
    if isinstance(name, Json):
        return truth.at_path(json.dumps(META), name.path)
    return KNOWN[name.text]


def holds(text: str) -> bool:
    return truth.holds(condition.parse(text), look)


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "not false",
        "not not true",
        "true or false and false",
        "(true or false) and not (false or false)",
        "input.image.type == 'image/png'",
        'input.image.type startswith "image/"',
        "input.image.type endswith '/png' and input.image.type contains 'age/'",
        "input.image.type in ['image/jpeg', 'image/png']",
        "input.image.type not in ['video/mp4']",
        "input.image.size == 5MB and input.image.size < 5MiB and input.image.size >= 5000KB",
        "input.image.present",
        "input.a.b-c.pages == 3",
        "input.other.width == null",
        "not (input.other.width < 100)",
        "not (input.other.width > 100)",
        "input.other.width != 100",
        "json(input.meta).format.duration > 90s",
        "json(input.meta).format.duration < 1m36s",
        "json(input.meta).streams[0].width >= 1920",
        "json(input.meta)['odd key']",
        "json(input.meta).streams[7].width == null",
        "json(input.meta).format.codec.deeper == null",
        "json(input.meta).tags contains 'cat'",
        "text(input.meta) == '12' and text(input.meta) > 11.5",
        "flag.width == 800",
        "flag.width == '800'",
        "flag.width < param.limit",
        "flag.width in [400, 800]",
        "flag.force",
        "flag.force == true and flag.force != false",
        "flag.mode == 'fast'",
        "flag.mode != 1",
        "flag.unset == null",
        "not flag.unset",
        "node.probe.status == 'COMPLETE' and node.probe.exit_code == 0",
        "'it\\'s' == \"it's\"",
        "-1 < 0 and 1.5 > 1",
        "false or\n  true",
    ],
)
def test_it_is_met(text: str) -> None:
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("", 1, "not the end"),
        ("input.image.size >", 19, "not the end"),
        ("true true", 6, "'true' is not expected here; join"),
        ("(true", 6, "')' is expected here, not the end"),
        ("input.image.size > 10X", 22, "'X' is no unit"),
        ("size > 10", 1, "'size' is no name"),
        ("input.size > 10", 1, "'input.size' is no name"),
        ("input.image.type == 'x", 21, "not closed"),
        ("input.image.type == 'a\\n'", 23, "behind a backslash"),
        ("input.image.type in 'x'", 21, "'[' is expected"),
        ("input.image.type in []", 22, "a name or a value"),
        ("input.image.type not 'x'", 22, "behind not there is in"),
        ("json(size).a", 6, "json() takes an input"),
        ("json(input.meta)[x]", 18, "a place or a quoted key"),
        ("json(input.meta).a == and", 23, "not 'and'"),
        ("true && true", 6, "'&' is not expected"),
        ("__import__('os')", 1, "is no name"),
        ("(" * 40 + "true" + ")" * 40, 33, "deeper than 32"),
        ("not " * 40 + "true", 129, "deeper than 32"),
        ("x" * 3000, 2001, "3000 characters"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, at: int, words: str) -> None:
    with pytest.raises(Mistaken, match=f"at character {at}: ") as raised:
        condition.parse(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("input.image.size", 1, "is a number, where something true or false"),
        ("true and 'x'", 10, "is a text, where"),
        ("input.image.size == 'big'", 1, "one side of == is a number and the other is a text"),
        ("true or input.image.type < 5", 9, "one side of < is a text"),
        ("input.image.present > true", 1, "> is between numbers or texts"),
        ("input.image.size startswith 'x'", 1, "startswith is between texts"),
        ("input.image.size < null", 1, "nothing is < null"),
        ("input.image.size in [1, 'x']", 25, "one side of =="),
        ("flag.width == 'wide'", 1, "one side of == is a number"),
    ],
)
def test_what_can_never_be_worked_out_is_found_beforehand(text: str, at: int, words: str) -> None:
    found = list(truth.mistakes(condition.parse(text), lambda name: condition.NUMBER))
    assert [mistake.at + 1 for mistake in found] == [at]
    assert words in found[0].reason


@pytest.mark.parametrize(
    "text",
    [
        "json(input.meta).format",
        "json(input.meta).format > 5",
        "json(input.meta).format.codec > 5",
        "json(input.meta).format.duration startswith 'x'",
        "flag.mode > 5",
        "flag.mode",
    ],
)
def test_values_that_cannot_be_compared_are_told(text: str) -> None:
    with pytest.raises(truth.Impossible, match=r"(json|flag)"):
        holds(text)


def test_what_need_not_be_known_is_not_asked() -> None:
    assert holds("true or json(input.meta).format > 5")
    assert not holds("false and json(input.meta).format > 5")


def test_names_are_given_in_order_with_their_places() -> None:
    found = list(condition.named(condition.parse("input.a.size > 1 or json(input.b).c in [flag.x] and not param.p")))
    assert [(name.text, name.at) for name in found] == [
        ("input.a.size", 0),
        ("json(input.b).c", 20),
        ("flag.x", 40),
        ("param.p", 56),
    ]


# ── Whatever it is ───────────────────────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        *KNOWN,
        *("and", "or", "not", "in", "(", ")", "[", "]", ",", "==", "<", "contains", "'x'", "5MB", "1.5h", "null"),
        *("true", "json(input.meta)", "text(input.meta)", ".a", "['b']", "[0]", "\\", '"', "-", "input.", "9" * 400),
    ]
)
ANY_TEXT = st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=60)


def parsed(text: str) -> condition.Term | Mistaken:
    try:
        return condition.parse(text)
    except Mistaken as error:
        return error


def worked_out(term: condition.Term) -> bool | str:
    try:
        return truth.holds(term, look)
    except truth.Impossible as error:
        return str(error)


@given(ANY_TEXT)
def test_any_text_is_a_condition_or_refused_within_it(text: str) -> None:
    term = parsed(text)
    if isinstance(term, Mistaken):
        assert 0 <= term.at <= len(text)
        assert term.reason
        return
    list(truth.mistakes(term, lambda name: condition.ANY))
    assert worked_out(term) != ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON)
def test_json_is_kept_in_one_form_that_means_the_same(value: Any) -> None:
    text = truth.canonical(json.dumps(value, indent=3).encode())
    assert text is not None
    assert text.isascii()
    assert truth.canonical(text.encode()) == text
    assert truth.at_path(text, ()) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain words",
        b"{",
        b"\xff\xfe\x00",
        b"NaN",
        b"[1e999]",
        b"[" * 60_000,
        b'"' + b"x" * 65536 + b'"',
        b"9" * 9999,
    ],
)
def test_what_is_no_json_or_too_much_has_no_value(data: bytes) -> None:
    assert truth.canonical(data) is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b" yes\n", "yes"),
        (b"it's", "it's"),
        (b"'quoted'", "'quoted'"),
        (b'"yes"', "yes"),
        (b"12.5\n", "12.5"),
        (b"true", "true"),
        (b'{"b": 1, "a": [2]}', '{"a":[2],"b":1}'),
        ("für".encode(), "für"),
    ],
)
def test_a_file_is_read_as_people_read_it(data: bytes, text: str) -> None:
    assert truth.as_text(truth.legible(data) or "") == text


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\x00b", b"x" * 65537])
def test_what_is_no_text_or_too_much_says_nothing(data: bytes) -> None:
    assert truth.legible(data) is None


@given(st.binary(max_size=40))
def test_what_is_json_is_told_from_other_text(data: bytes) -> None:
    assert truth.is_json(truth.legible(data) or "") == (truth.canonical(data) is not None)
