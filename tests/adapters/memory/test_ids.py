"""Ids from a seed."""

from pupload.adapters.memory.ids import SeededIds
from pupload.domain import ids


def test_the_same_seed_gives_the_same_again() -> None:
    one, other = SeededIds(7), SeededIds(7)
    assert [(one.new_run_id(), one.token(), one.fraction()) for _ in range(20)] == [
        (other.new_run_id(), other.token(), other.fraction()) for _ in range(20)
    ]
    assert SeededIds(7).token() != SeededIds(8).token()


def test_run_ids_are_canonical_and_grow() -> None:
    source = SeededIds()
    made = [source.new_run_id() for _ in range(50)]
    assert made == sorted(set(made))
    assert all(ids.canonical_run_id(one) == one for one in made)
