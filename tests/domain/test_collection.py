"""Collections, and what their items are called."""

from dataclasses import replace
from hashlib import sha256

import pytest

from pupload.domain import collection
from pupload.domain.artifact import Artifact
from tests.builders import NOON
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


def test_the_whole_tells_of_its_items() -> None:
    photos = [
        replace(an_artifact(f"e.{place}"), size=size, content_type="image/png", sha256=str(place) * 64, file_name=name)
        for place, (size, name) in enumerate([(3, "a.png"), (4, "b.png")])
    ]
    whole = collection.whole(photos, edge="e", store="default", key="run/e", created_at=NOON, node="n", attempt=2)
    lines = b"".join(b"%s %s\n" % (str(place).encode() * 64, name) for place, name in enumerate([b"a.png", b"b.png"]))
    assert whole == Artifact(
        edge="e", store="default", key="run/e", size=7, content_type="image/png", sha256=sha256(lines).hexdigest(),
        etag="", created_at=NOON, node="n", attempt=2, items=2,
    )  # fmt: skip


def test_an_empty_place_counts_and_makes_a_difference() -> None:
    one = an_artifact("e.1")
    first, second = (
        collection.whole(made, edge="e", store="default", key="k", created_at=NOON)
        for made in ([one, None], [None, one])
    )
    assert (first.items, first.size) == (2, one.size)
    assert first.sha256 != second.sha256


def test_items_of_several_types_have_none_in_common() -> None:
    text = replace(an_artifact("e.1"), content_type="text/plain")
    mixed = collection.whole([an_artifact("e.0"), text], edge="e", store="default", key="k", created_at=NOON)
    empty = collection.whole([], edge="e", store="default", key="k", created_at=NOON)
    assert (mixed.content_type, empty.content_type, empty.items) == (*["application/octet-stream"] * 2, 0)
