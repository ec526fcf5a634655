"""Key templates."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import template

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", ()),
        ("${RUN_ID}/$EDGE.jpg", ("RUN_ID", "EDGE")),
        ("$RUN_ID/$RUN_ID", ("RUN_ID",)),
        ("${param.user}", ("param.user",)),
        ("$$RUN_ID $${RUN_ID}", ()),
        ("100$ $1 $-", ()),
        ("${}", ("",)),
        ("a/${RUN_ID", ("RUN_ID",)),
    ],
)
def test_names_in_a_template(text: str, names: tuple[str, ...]) -> None:
    assert template.variables(text) == names


def test_values_are_put_in_once() -> None:
    assert template.expand("$A/${B}/$$A", {"A": "${B}", "B": "b"}) == "${B}/b/$A"


def test_unknown_names_come_back_as_a_value() -> None:
    assert template.expand("$A/${nope}/${also.nope}", {"A": "a"}) == template.Unknown(("nope", "also.nope"))


def test_what_stands_between() -> None:
    assert template.literals("a$$b/${X}$Y/c") == ("a$b/", "", "/c")


@pytest.mark.parametrize(("name", "known"), [("RUN_ID", True), ("param.x", True), ("param.", False), ("run_id", False)])
def test_what_a_key_may_name(name: str, known: bool) -> None:
    assert template.known_in_key(name) is known


def test_moments_are_utc() -> None:
    evening = datetime(2026, 12, 31, 20, 5, 6, tzinfo=timezone(-timedelta(hours=5)))
    assert template.moment(evening) == {
        "TIMESTAMP": "2027-01-01T01:05:06Z",
        "DATE": "2027-01-01",
        "YEAR": "2027",
        "MONTH": "01",
        "DAY": "01",
    }
    assert template.moment(datetime(2026, 3, 3, tzinfo=UTC))["DAY"] == "03"


@given(st.text())
def test_doubling_dollars_keeps_any_text(text: str) -> None:
    assert template.expand(text.replace("$", "$$"), {}) == text


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="$")), NAMES, st.text())))
def test_text_and_values_come_out_as_they_went_in(parts: list[tuple[str, str, str]]) -> None:
    values = {name: value for _, name, value in parts}
    text = "".join(f"{literal}${{{name}}}" for literal, name, _ in parts)
    assert template.expand(text, values) == "".join(literal + values[name] for literal, name, _ in parts)
