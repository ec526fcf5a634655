"""The names of runs in their three forms."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import ids

BITS = st.integers(min_value=0, max_value=(1 << 128) - 1)
EXAMPLE = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@given(BITS)
def test_every_form_of_an_id_means_the_same_run(bits: int) -> None:
    canonical = ids.run_id(bits)
    forms = [
        canonical,
        canonical.removeprefix("run_"),
        canonical.removeprefix("run_").lower(),
        "run_" + canonical.removeprefix("run_").lower(),
        str(uuid.UUID(int=bits)),
        str(uuid.UUID(int=bits)).upper(),
    ]
    assert {ids.canonical_run_id(form) for form in forms} == {canonical}
    assert ids.uuid_of(canonical) == str(uuid.UUID(int=bits))


@given(BITS, BITS)
def test_ids_sort_like_their_bits(one: int, other: int) -> None:
    assert (ids.run_id(one) < ids.run_id(other)) == (one < other)


@given(st.text(max_size=40))
def test_what_names_no_run_is_none_and_never_an_error(text: str) -> None:
    canonical = ids.canonical_run_id(text)
    assert canonical is None or ids.canonical_run_id(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run_",
        "run_run_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "RUN_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "run_01ARZ3NDEKTSV4RRFFQ69G5FA",
        "run_01ARZ3NDEKTSV4RRFFQ69G5FAVV",
        "run_81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "run_O1ARZ3NDEKTSV4RRFFQ69G5FAV",
        "run_01ARZ3NDEKTSV4RRFFQ69G5FA\n",
        "run_01ARZ3NDEKTSV4RRFFQ69G5FAV\n",
        "run_01563e3a-b5d3-d676-4c61-efb99302bd5b",
        "01563e3ab5d3d6764c61efb99302bd5b",
        "{01563e3a-b5d3-d676-4c61-efb99302bd5b}",
        "../../etc/passwd",
        "0\u017fARZ3NDEKTSV4RRFFQ69G5FAVX",
        "\u06601ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_near_misses_name_no_run(text: str) -> None:
    assert ids.canonical_run_id(text) is None


def test_the_example_of_the_ulid_specification() -> None:
    assert ids.uuid_of(EXAMPLE) == "01563e3a-b5d3-d676-4c61-efb99302bd5b"
    assert ids.milliseconds_of(EXAMPLE) == 1469922850259
    assert ids.canonical_run_id("01563E3A-b5d3-d676-4c61-efb99302bd5b") == EXAMPLE


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match="128 bits"):
        ids.run_id(1 << 128)
    with pytest.raises(ValueError, match="no run id"):
        ids.uuid_of("run_1")
    with pytest.raises(ValueError, match="no run id"):
        ids.milliseconds_of("run_1")


def test_an_artifact_has_an_id_of_the_moment_of_its_run() -> None:
    found = ids.artifact_id(EXAMPLE, "small")
    assert found.startswith(f"artifact_{EXAMPLE.removeprefix('run_')[:10]}")
    assert len(found) == len("artifact_") + 26
    assert found == ids.artifact_id(EXAMPLE, "small")
    assert len({found, ids.artifact_id(EXAMPLE, "Small"), ids.artifact_id(EXAMPLE[:-1] + "W", "small")}) == 3
    first, last = ids.runs_of_artifact(found)
    assert first <= EXAMPLE <= last
    assert ids.milliseconds_of(first) == ids.milliseconds_of(last) == ids.milliseconds_of(EXAMPLE)


def test_an_artifact_is_named_in_any_spelling_and_by_no_run() -> None:
    found = ids.artifact_id(EXAMPLE, "small")
    bare = found.removeprefix("artifact_")
    spellings = [found, bare, bare.lower(), ids.uuid_of(f"run_{bare}")]
    assert {ids.canonical_artifact_id(each) for each in spellings} == {found}
    for text in ("", "artifact_", EXAMPLE, f"artifact_{EXAMPLE}", "artifact_x", f"{found}0"):
        assert ids.canonical_artifact_id(text) is None
