"""How full a disk may be."""

import pytest

from pupload.domain.watermark import GIB, Level, Space, level, reserve_bytes


def a_space(free: int, total: int = 1000 * GIB) -> Space:
    return Space(what="the data folder", path="/data", free_bytes=free, total_bytes=total)


@pytest.mark.parametrize(("total", "reserve"), [(1000 * GIB, 2 * GIB), (20 * GIB, GIB), (0, 0)])
def test_the_usual_reserve_is_a_share_of_a_small_disk_and_bounded_on_a_large_one(total: int, reserve: int) -> None:
    assert reserve_bytes(a_space(0, total), None) == reserve


def test_the_operators_reserve_counts_whatever_the_size() -> None:
    assert reserve_bytes(a_space(0, 20 * GIB), 5 * GIB) == 5 * GIB
    assert level(a_space(0), 0) is Level.ENOUGH, "none is a reserve, too"


@pytest.mark.parametrize(
    ("free", "expected"),
    [(4000, Level.ENOUGH), (3999, Level.LOW), (1000, Level.LOW), (999, Level.FULL), (0, Level.FULL)],
)
def test_below_the_reserve_it_is_low_and_below_a_quarter_of_it_full(free: int, expected: Level) -> None:
    assert level(a_space(free), 4000) is expected
