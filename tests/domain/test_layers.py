"""Values that share what did not change."""

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import layers

NAMES = [f"n{number}" for number in range(layers.SMALL * 4)]

STEPS = st.lists(st.dictionaries(st.sampled_from([*NAMES, "new", "newer"]), st.integers(), max_size=60), max_size=12)
MOVES = st.lists(st.dictionaries(st.sampled_from([*NAMES, "new", "newer"]), st.booleans(), max_size=40), max_size=12)


@given(size=st.sampled_from([0, 3, layers.SMALL, layers.SMALL + 1, len(NAMES)]), steps=STEPS)
def test_a_mapping_that_changes_is_what_a_dict_would_be(size: int, steps: list[dict[str, int]]) -> None:
    expected = dict.fromkeys(NAMES[:size], 0)
    earlier = [(layers.changed(expected, {}), dict(expected))]
    for step in steps:
        expected.update(step)
        found = layers.changed(earlier[-1][0], step)
        assert found == expected
        assert expected == found
        assert len(found) == len(expected)
        assert list(found.items()) == list(expected.items()), "in the same order"
        assert list(found.values()) == list(expected.values())
        assert all(found[name] == value and name in found for name, value in expected.items())
        assert found.get("nobody") is None
        earlier.append((found, dict(expected)))
    assert all(found == then for found, then in earlier), "no value changes any more"


@given(size=st.sampled_from([0, 3, layers.SMALL, layers.SMALL + 1, len(NAMES)]), steps=MOVES)
def test_a_set_that_changes_is_what_a_set_would_be(size: int, steps: list[dict[str, bool]]) -> None:
    expected = set(NAMES[:size])
    earlier = [(layers.moved(frozenset(expected), {}), frozenset(expected))]
    for step in steps:
        expected = (expected - step.keys()) | {name for name, there in step.items() if there}
        found = layers.moved(earlier[-1][0], step)
        assert found == expected
        assert len(found) == len(expected)
        assert sorted(found) == sorted(expected)
        assert bool(found) == bool(expected)
        assert all((name in found) == (name in expected) for name in [*NAMES, "new", "nobody"])
        assert found | {"more"} == expected | {"more"}
        earlier.append((found, frozenset(expected)))
    assert all(found == then for found, then in earlier), "no value changes any more"


def test_a_change_copies_no_more_than_the_root_of_the_size() -> None:
    size = 100_000
    found = layers.changed(dict.fromkeys(map(str, range(size)), 0), {"0": 1})
    bases = 0
    for number in range(10_000):
        before, found = found, layers.changed(found, {str(number): 2})
        bases += found._base is not before._base  # type: ignore[attr-defined]
        assert len(found._over) <= layers.ROOTS * size**0.5  # type: ignore[attr-defined]
    assert 0 < bases <= 10_000 / (layers.ROOTS * size**0.5) + 1
