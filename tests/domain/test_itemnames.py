"""What the items of a collection are called."""

from dataclasses import replace

import pytest

from pupload.domain import itemnames
from pupload.domain.artifact import Artifact
from tests.contracts.states import an_artifact


def named(*names: str) -> list[tuple[int, Artifact]]:
    return [(place, replace(an_artifact(f"e.{place}"), file_name=name)) for place, name in enumerate(names)]


@pytest.mark.parametrize("name", ["a", "Bild 1.jpg", "\u00e4.png", "a\u202fb.png", "x" * 255, "$HOME; rm.txt"])
def test_most_names_are_plain(name: str) -> None:
    assert itemnames.is_plain(name)
    assert itemnames.objection(name) == ""


@pytest.mark.parametrize("name", ["", ".hidden", "..", "-rf", "a/b", "a\nb", "a\x00", "x" * 256, "\udc80"])
def test_what_programs_would_overlook_or_misunderstand_is_not(name: str) -> None:
    assert not itemnames.is_plain(name)


@pytest.mark.parametrize(("name", "word"), [("\udc80", "UTF-8"), ("a\nb", "line break"), ("\u00e4" * 200, "long")])
def test_some_names_no_item_can_have(name: str, word: str) -> None:
    assert word in itemnames.objection(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("photo.jpg", "000017-photo.jpg"),
        ("a/b", "000017-a%2Fb"),
        ("", "000017-"),
        ("x" * 300 + ".tiff", "000017-" + "x" * 115 + ".tiff"),
        ("\u00e4" * 30, "000017-" + "%C3%A4" * 20),
        ("ab" + "\u00e4" * 30, "000017-ab" + "%C3%A4" * 19 + "%C3"),
        ("abc" + "\u00e4" * 30, "000017-abc" + "%C3%A4" * 19 + "%C3"),
    ],
)
def test_a_numbered_name_is_short_and_safe(name: str, found: str) -> None:
    assert itemnames.numbered(17, name) == found


def test_files_have_their_own_names_where_those_tell_the_order() -> None:
    assert itemnames.of_files(named("B.png", "a.png", "\u00e4.png")) == ["B.png", "a.png", "\u00e4.png"]
    assert itemnames.of_files([]) == []


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a"), ("a", ".b"), ("-a", "b")])
def test_else_all_of_them_have_numbers(names: tuple[str, ...]) -> None:
    assert itemnames.of_files(named(*names)) == [f"{place:06}-{name}" for place, name in enumerate(names)]


def test_what_has_no_name_is_called_as_its_edge() -> None:
    assert itemnames.of_files([(0, replace(an_artifact("photo"), file_name="", content_type="image/png"))]) == [
        "photo.png"
    ]


def test_a_number_is_that_of_the_place() -> None:
    second, third = named("x", "b", "a")[1:]
    assert itemnames.of_files([second, third]) == ["000001-b", "000002-a"]
