# ruff: noqa: PLC0415 - as in `main`
"""The words of `pup` for what runs made, as tables."""

from typing import Annotated

import typer

from pupload.cli.words import Json, Url, out, url

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
Node = Annotated[str, typer.Argument(metavar="NODE", help="A node of the run; its first output.", show_default=False)]
Edge = Annotated[str, typer.Option("--edge", help="What lies on this edge instead.", show_default=False)]


def preview(
    run_id: Run,
    node: Node = "",
    edge: Edge = "",
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="So many at most.")] = 50,
    server: Url = "",
    as_json: Json = False,
) -> int:
    """Show the first rows of what a node made: CSV, TSV, JSON, Parquet or plain text."""
    from pupload.cli import tables

    return tables.preview(out(as_json), url(server).url, run_id, node, edge=edge, rows=rows)


def profile(run_id: Run, node: Node = "", edge: Edge = "", server: Url = "", as_json: Json = False) -> int:
    """Tell of the columns of what a node made, and what is otherwise than in the run before."""
    from pupload.cli import tables

    return tables.profile(out(as_json), url(server).url, run_id, node, edge=edge)
