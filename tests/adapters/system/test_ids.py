"""Ids of this machine."""

import itertools
import time

import pytest

from pupload.adapters.system.ids import SystemIds
from pupload.domain import ids


def test_run_ids_grow_and_are_canonical() -> None:
    source = SystemIds()
    made = [source.new_run_id() for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(ids.canonical_run_id(one) == one for one in made)


def test_run_ids_grow_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SystemIds()
    now = 1_772_539_200_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    first = source.new_run_id()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    second = source.new_run_id()
    assert ids.milliseconds_of(first) == now // 1_000_000
    assert first < second


def test_a_neighbour_of_the_same_millisecond_cannot_be_counted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_772_539_200_000_000_000)
    source = SystemIds()
    made = [int(ids.uuid_of(source.new_run_id()).replace("-", ""), 16) for _ in range(100)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert min(gaps) > 1 << 40


def test_tokens_are_letters_and_digits_and_new_each_time() -> None:
    source = SystemIds()
    tokens = {source.token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.isalnum() and len(token) == 32 for token in tokens)


def test_fractions_lie_between_nought_and_one() -> None:
    source = SystemIds()
    drawn = [source.fraction() for _ in range(200)]
    assert min(drawn) >= 0
    assert max(drawn) < 1
    assert len(set(drawn)) > 190
