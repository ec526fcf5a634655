"""What is told of a measurement follows from it, and from nothing else."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import figures, report

MACHINE = {"cpus": 2, "engine": "20.10"}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [figures.percentile(hundred, share) for share in (50, 99, 100)] == [50, 99, 100]
    assert figures.percentile([3.0, 1.0, 2.0], 50) == 2
    assert figures.percentile([7.0], 99) == 7
    assert figures.percentile([], 50) is None


def test_a_ratio_is_that_of_the_medians() -> None:
    assert figures.ratio([1, 2, 90], [4, 400, 3]) == 0.5
    assert figures.ratio([], [1]) is None
    assert figures.ratio([1], []) is None
    assert figures.ratio([1], [0]) is None


def test_a_slope_is_that_of_the_line_which_fits_best() -> None:
    assert figures.slope([(1, 10), (2, 12), (3, 14)]) == pytest.approx(2)
    assert figures.slope([(1, 5), (2, 9), (3, 5)]) == pytest.approx(0)
    with pytest.raises(ValueError, match="two points"):
        figures.slope([(1, 1), (1, 2)])


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "met"),
    [
        (0.2, 0.2, False, True),
        (0.21, 0.2, False, False),
        (3000, 3000, True, True),
        (2999, 3000, True, False),
        (None, 1, False, False),
        (7, None, False, None),
    ],
)
def test_a_goal_is_met_up_to_its_own_value(
    value: float | None, goal: float | None, at_least: bool, met: bool | None
) -> None:
    found = figures.Figure(key="P1", what="", unit="x", value=value, goal=goal, at_least=at_least)
    assert found.met is met


def test_the_median_and_the_99th_percentile_have_goals_of_their_own() -> None:
    median, late = figures.spread("P3", "an upload → its node", [10.0] * 98 + [70.0, 70.0], p50=20, p99=60)
    assert (median.key, median.value, median.met) == ("P3", 10, True)
    assert (late.key, late.value, late.met) == ("P3 p99", 70, False)


def rows() -> list[figures.Figure]:
    """One of each kind."""
    return [
        figures.compared("P1", "a chain", [500, 400, 450], [2500, 2600, 2700], goal=0.2, note="Said so."),
        figures.Figure(key="P6", what="transitions", unit="/s", value=3100, goal=3000, at_least=True, runs=[3100]),
        figures.Figure(key="P9", what="idle", unit="%", value=None, goal=1),
    ]


def test_the_table_says_value_goal_baseline_and_spread() -> None:
    head, _, chain, many, none, *notes = report.table(rows()).splitlines()
    assert head.split() == list(report.HEADS)
    assert chain.split() == [
        *("P1", "a", "chain", "0.173", "x", "≤", "0.2", "yes", "2600", "ms", "450", "ms", "500", "ms"),
        *("400", "-", "500", "3"),
    ]
    assert many.split()[:7] == ["P6", "transitions", "3100", "/s", "≥", "3000", "yes"]
    assert none.split() == ["P9", "idle", "-", "%", "≤", "1", "NO"]
    assert notes == ["", "P1: Said so."]


def test_numbers_have_three_digits_and_no_exponent() -> None:
    given = (None, 0, 0.00002, 0.17345, 9.876, 99.94, 12345.6)
    assert [report.number(value) for value in given] == ["-", "0", "0", "0.173", "9.88", "99.9", "12346"]


def test_the_json_names_every_measure_with_its_runs() -> None:
    found = json.loads(report.as_json(rows(), MACHINE))
    assert list(found) == ["P1", "P6", "P9", "machine"]
    assert found["P1"] == {
        "what": "a chain",
        "value": 0.17308,
        "unit": "x",
        "goal": 0.2,
        "at_least": False,
        "met": True,
        "baseline": 2600,
        "p50": 450,
        "p99": 500,
        "runs_unit": "ms",
        "runs": [500, 400, 450],
        "baseline_runs": [2500, 2600, 2700],
        "note": "Said so.",
    }
    assert found["P9"]["value"] is None
    assert found["machine"] == MACHINE


def test_a_page_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Speed\n\n<!-- bench -->\nold\n<!-- end of bench -->\n\nThe rest.\n")
    for _ in range(2):  # again, and nothing is doubled
        report.put_into(page, report.markdown(rows(), MACHINE))
    text = page.read_text()
    assert text.startswith("# Speed\n\n<!-- bench -->\n")
    assert text.endswith("<!-- end of bench -->\n\nThe rest.\n")
    assert text.count("| P1 | a chain | 0.173 x | ≤ 0.2 | yes |") == 1
    assert "cpus 2, engine 20.10" in text
    assert "old" not in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Speed\n")
    with pytest.raises(ValueError, match="no place"):
        report.put_into(page, "text")
    assert page.read_text() == "# Speed\n"
