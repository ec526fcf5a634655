"""
What a measurement came to: a figure beside its goal, with all that it was made from.

Pure: the clock is read elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table."""

    key: str
    """Of the measure, such as `P1`; a part of one is named behind a blank, such as `P3 p99`."""
    what: str
    unit: str
    """Of the value, or `x` for a ratio to the baseline."""
    value: float | None
    """None where it could not be measured; `note` says why."""
    goal: float | None = None
    """None: nothing is promised."""
    at_least: bool = False
    """Whether the goal is a floor. Else it is what must not be exceeded."""
    runs: Sequence[float] = ()
    """What the value was made from, in `runs_unit`, in the order in which it was measured."""
    runs_unit: str = ""
    """Empty: that of the value."""
    baseline: Sequence[float] = ()
    """What was measured in between without pupload, in the same unit as the runs."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        if self.value is None:
            return False
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "what": self.what,
            "value": _rounded(self.value),
            "unit": self.unit,
            "goal": self.goal,
            "at_least": self.at_least,
            "met": self.met,
            "baseline": _rounded(median(self.baseline)) if self.baseline else None,
            "p50": _rounded(percentile(self.runs, 50)),
            "p99": _rounded(percentile(self.runs, 99)),
            "runs_unit": self.runs_unit or self.unit,
            "runs": [_rounded(one) for one in self.runs],
            "baseline_runs": [_rounded(one) for one in self.baseline],
            "note": self.note,
        }


def _rounded(value: float | None) -> float | None:
    """To five digits: more were never measured."""
    return None if value is None else float(f"{value:.5g}")


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that so many percent of them do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = -(-len(ordered) * share // 100)  # rounded up
    return ordered[max(int(place), 1) - 1]


def ratio(runs: Sequence[float], baseline: Sequence[float]) -> float | None:
    """That of the medians; None where one side was not measured."""
    if not runs or not baseline or not median(baseline):
        return None
    return median(runs) / median(baseline)


def compared(
    key: str,
    what: str,
    runs: Sequence[float],
    baseline: Sequence[float],
    *,
    goal: float | None = None,
    unit: str = "ms",
    note: str = "",
) -> Figure:
    """A ratio of medians, of times in `unit`."""
    return Figure(
        key=key,
        what=what,
        unit="x",
        value=ratio(runs, baseline),
        goal=goal,
        runs=tuple(runs),
        runs_unit=unit,
        baseline=tuple(baseline),
        note=note,
    )


def spread(
    key: str,
    what: str,
    runs: Sequence[float],
    *,
    p50: float | None = None,
    p99: float | None = None,
    unit: str = "ms",
    baseline: Sequence[float] = (),
    note: str = "",
) -> list[Figure]:
    """Two rows, of the median and of the 99th percentile, with their goals."""
    common: dict[str, Any] = {"unit": unit, "runs": tuple(runs), "baseline": tuple(baseline)}
    return [
        Figure(key=key, what=f"{what}, p50", value=percentile(runs, 50), goal=p50, note=note, **common),
        Figure(key=f"{key} p99", what=f"{what}, p99", value=percentile(runs, 99), goal=p99, **common),
    ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits best. Raises `ValueError` where there are not two different x."""
    if len({x for x, _ in points}) < 2:
        raise ValueError("a slope needs two points")
    mean_x, mean_y = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def by_key(found: Sequence[Figure]) -> Mapping[str, Figure]:
    """The figures by their keys, in order."""
    return {one.key: one for one in found}
