"""Collections, and what their items are called."""

from dataclasses import replace

import pytest

from pupload.domain import collection
from tests.contracts.states import an_artifact


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("photos.0", ("photos", 0)),
        ("a.b.17", ("a.b", 17)),
        ("photos", None),
        (".0", None),
        ("photos.00", None),
        ("photos.x", None),
        ("photos.\u0663", None),
    ],
)
def test_whose_item_a_name_may_be(name: str, found: tuple[str, int] | None) -> None:
    assert collection.part_of(name) == found


def test_the_items_come_in_their_order_and_empty_places_are_passed_over() -> None:
    there = {f"e.{place}": an_artifact(f"e.{place}") for place in (10, 2, 0)}
    whole = replace(an_artifact("e"), items=11)
    assert [one.edge for one in collection.items(whole, there)] == ["e.0", "e.2", "e.10"]


def test_what_is_no_collection_is_its_own_only_item() -> None:
    assert list(collection.items(an_artifact("e"), {})) == [an_artifact("e")]
