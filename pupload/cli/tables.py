"""The commands `pup preview` and `pup profile`: what a node made, as a table."""

import asyncio
import json
from typing import Any

from rich.text import Text

from pupload.cli import failures, logins, output
from pupload.cli.output import Output
from pupload.client import Answer

CELL = 60
"""Characters of a cell in a terminal."""

_SEVERITIES = {"critical": "red", "warning": "yellow"}


def preview(out: Output, url: str, run_id: str, node: str, *, edge: str, rows: int) -> int:
    """Shows the first rows."""
    found = asyncio.run(_ask(url, "preview", run_id, node=node, edge=edge, rows=rows))
    if out.as_json:
        out.json(found)
        return failures.OK
    shown = [[cell(row[name]) for name in found["Columns"]] for row in found["Rows"]]
    out.table([output.one_line(name) for name in found["Columns"]], shown)
    count = f"{len(shown)} row{'' if len(shown) == 1 else 's'} of {found['Kind']}"
    out.note(f"the first {count}; there are more" if found["Truncated"] else count)
    return failures.OK


def profile(out: Output, url: str, run_id: str, node: str, *, edge: str) -> int:
    """Shows what is told of the columns, and what is otherwise than before."""
    found = asyncio.run(_ask(url, "profile", run_id, node=node, edge=edge))
    if out.as_json:
        out.json(found)
        return failures.OK
    told = found["Profile"]
    out.table(
        ("COLUMN", "TYPE", "NULL", "DIFFERENT", "LEAST", "MOST", "MEAN", "SAMPLES"),
        [_row(column) for column in told["Columns"]],
    )
    of = "the beginning of the file" if told["Sampled"] else "the file"
    out.note(f"{told['RowCount']} rows, {told['ColumnCount']} columns in {of} ({told['Kind']})")
    if found["Drift"]:
        out.say()
        out.say(f"otherwise than in {found['ComparedWith']}:")
        out.table(
            ("COLUMN", "WHAT", "WAS", "IS", "SEVERITY"),
            [
                (
                    *(output.one_line(each[name]) for name in ("Column", "Type")),
                    *(each[name] or "-" for name in ("Previous", "Current")),
                    Text(each["Severity"], style=_SEVERITIES.get(each["Severity"], "")),
                )
                for each in found["Drift"]
            ],
        )
    return failures.OK


async def _ask(url: str, what: str, run_id: str, **which: str | int) -> Answer:
    async with logins.client(url) as client:
        return await client.told(what, run_id, **which)


def _row(column: Answer) -> list[str]:
    about = "about " if column["UniqueEstimated"] else ""
    mean = column.get("MeanVal")
    return [
        output.one_line(column["Name"]),
        column["Type"],
        f"{column['NullPct']:g} %",
        f"{about}{column['UniqueCount']} ({column['UniquePct']:g} %)",
        *(cell(column.get(name, "-")) for name in ("MinVal", "MaxVal")),
        "-" if mean is None else f"{mean:g}",
        ", ".join(cell(each) for each in column["SampleValues"]),
    ]


def cell(value: Any) -> str:
    """A value on one line, not too long."""
    if value is None:
        return "-"
    text = output.one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= CELL else text[: CELL - 1] + "…"
