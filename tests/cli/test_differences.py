"""What is different between two texts, and between two values of JSON."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.cli import differences
from pupload.cli.differences import Change


def changes(old: str, new: str) -> list[tuple[str, str | None, str | None]]:
    found = differences.of_json(json.loads(old), json.loads(new))
    assert (found.more, found.uncounted) == (0, False)
    return [(each.path, each.old, each.new) for each in found.changes]


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_texts_difference_reads_like_that_of_diff() -> None:
    old = "".join(f"line {n}\n" for n in range(100))
    found = differences.of_texts(old, old.replace("line 50\n", "line fifty\n").replace("line 60\n", ""))
    assert (found.removed, found.added, found.more) == (2, 1, 0)
    assert found.lines[:7] == [
        "--- old",
        "+++ new",
        "@@ -48,7 +48,7 @@",
        " line 47",
        " line 48",
        " line 49",
        "-line 50",
    ]
    assert found.lines[7] == "+line fifty"
    assert "-line 60" in found.lines


@pytest.mark.parametrize(
    ("old", "new", "removed", "added"),
    [
        ("", "", 0, 0),
        ("", "a", 0, 1),
        ("a", "", 1, 0),
        ("a\r\nb", "a\nb\n", 0, 0),
        ("a\na", "a", 1, 0),
        ("b", "a\nb", 0, 1),
    ],
)
def test_lines_are_counted(old: str, new: str, removed: int, added: int) -> None:
    found = differences.of_texts(old, new)
    assert (found.removed, found.added) == (removed, added)
    assert bool(found.lines) == bool(removed + added)


def test_only_so_much_of_a_difference_is_told() -> None:
    found = differences.of_texts("\n".join(map(str, range(500))), "\n".join(map(str, range(1000, 1500))))
    assert (len(found.lines), found.removed, found.added) == (
        differences.MOST_LINES and differences.MOST_TOLD,
        500,
        500,
    )
    assert found.more == 3 + 1000 - differences.MOST_TOLD
    assert differences.of_texts("x" * 10_000, "y").lines[3].endswith("…")


def test_too_much_is_counted_and_not_laid_side_by_side() -> None:
    count = differences.MOST_LINES + 1
    found = differences.of_texts("same\n" + "a\n" * count + "end", "same\n" + "b\n" * 3 + "end")
    assert (found.removed, found.added, found.lines) == (count, 3, ())


def test_the_worst_texts_take_no_time() -> None:
    words = ["a", "b"] * (differences.MOST_LINES // 2)
    began = time.thread_time()
    differences.of_texts("\n".join(["x", *words[2:], "y"]), "\n".join(["y", *reversed(words[2:]), "x"]))
    assert time.thread_time() - began < 20


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_the_counts_are_those_of_the_texts(old: list[str], new: list[str]) -> None:
    found = differences.of_texts("\n".join(old), "\n".join(new))
    assert len(old) - found.removed + found.added == len(new)
    assert bool(found.removed + found.added) == (old != new)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b": [1, 2.0], "a": 1}', []),
        ('{"a": 1}', '{"a": 2}', [("/a", "1", "2")]),
        ('{"a": {"b/c": 1}}', '{"a": {"b/c": "1"}}', [("/a/b~1c", "1", '"1"')]),
        ("[1, 2, 3]", "[1, 4]", [("/1", "2", "4"), ("/2", "3", None)]),
        ('{"a": null}', '{"b": null}', [("/a", "null", None), ("/b", None, "null")]),
        ("true", "1", [("", "true", "1")]),
        ("NaN", "NaN", []),
        ('{"a": [1, 2]}', '{"a": {"x": 1}}', [("/a", "a list of 2", "an object of 1")]),
    ],
)
def test_places_are_told_with_their_values(
    old: str, new: str, expected: list[tuple[str, str | None, str | None]]
) -> None:
    assert changes(old, new) == expected


def test_of_many_places_the_first_are_told_and_the_others_counted() -> None:
    found = differences.of_json(list(range(100)), list(range(100, 200)))
    assert found.changes[0] == Change(path="/0", old="0", new="100")
    assert (len(found.changes), found.more, found.uncounted) == (
        differences.MOST_TOLD,
        100 - differences.MOST_TOLD,
        False,
    )
    found = differences.of_json([0] * 20_000, [1] * 20_000)
    assert (found.more, found.uncounted) == (differences.MOST_COUNTED - differences.MOST_TOLD, True)


def test_what_is_deep_is_no_trouble() -> None:
    def deep(value: object) -> object:
        for _ in range(100_000):
            value = [value]
        return value

    (change,) = differences.of_json(deep(1), deep(2)).changes
    assert (len(change.path), change.old, change.new) == (differences.LONGEST, "1", "2")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_is_the_same_as_itself(value: object) -> None:
    assert differences.of_json(value, json.loads(json.dumps(value))).changes == []
