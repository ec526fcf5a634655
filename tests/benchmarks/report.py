"""The figures as people and programs read them: a table, JSON, and the part of a page between two marks."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, percentile

HEADS = ("measure", "what", "value", "unit", "goal", "met", "baseline", "p50", "p99", "range", "runs")
_LEFT = frozenset({"measure", "what", "unit", "range"})

PLACE = re.compile(r"(<!-- bench -->\n).*?(<!-- end of bench -->)", re.DOTALL)
"""Where in a page the table goes."""


def table(figures: Sequence[Figure]) -> str:
    """For a terminal; what needs words is said below it."""
    rows = [HEADS, *(_cells(one) for one in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(_put(*cell) for cell in zip(HEADS, row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], *_notes(figures)])


def _put(head: str, text: str, width: int) -> str:
    return text.ljust(width) if head in _LEFT else text.rjust(width)


def _notes(figures: Sequence[Figure]) -> list[str]:
    noted = [f"{one.key}: {one.note}" for one in figures if one.note]
    return ["", *noted] if noted else []


def _cells(one: Figure) -> tuple[str, ...]:
    goal = "" if one.goal is None else f"{'≥' if one.at_least else '≤'} {number(one.goal)}"
    met = {True: "yes", False: "NO", None: ""}[one.met]
    several = len(one.runs) > 1
    return (
        one.key,
        one.what,
        number(one.value),
        one.unit,
        goal,
        met,
        _with_unit(percentile(one.baseline, 50), one),
        _with_unit(percentile(one.runs, 50), one),
        _with_unit(percentile(one.runs, 99), one) if several else "",
        f"{number(min(one.runs))} - {number(max(one.runs))}" if several else "",
        str(len(one.runs)) if one.runs else "",
    )


def _with_unit(value: float | None, one: Figure) -> str:
    return "" if value is None else f"{number(value)} {one.runs_unit}".rstrip()


def number(value: float | None) -> str:
    """Three digits, and never an exponent; `-` for what could not be measured."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if "e" in text else text


def as_json(figures: Sequence[Figure], machine: Mapping[str, Any]) -> str:
    """Every measure by its name, and `machine`: where it was."""
    found: dict[str, Any] = {one.key: one.as_json() for one in figures}
    return json.dumps({**found, "machine": dict(machine)}, indent=2, ensure_ascii=False) + "\n"


def markdown(figures: Sequence[Figure], machine: Mapping[str, Any]) -> str:
    """For a page: the same rows with fewer columns."""
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    lines = [f"Measured on: {about}.", "", "| | measure | value | goal | met | baseline | p50 | p99 | runs |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for one in figures:
        key, what, value, unit, goal, met, baseline, p50, p99, _, runs = _cells(one)
        lines.append(f"| {key} | {what} | {value} {unit} | {goal} | {met} | {baseline} | {p50} | {p99} | {runs} |")
    notes = [f"* {one.key}: {one.note}" for one in figures if one.note]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def put_into(page: Path, text: str) -> None:
    """Writes the text between the page's two marks. Raises `ValueError` where it has none."""
    whole = page.read_text(encoding="utf-8")
    if not PLACE.search(whole):
        raise ValueError(f"{page} has no place for it: <!-- bench --> and <!-- end of bench -->")
    page.write_text(PLACE.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", whole), encoding="utf-8")
