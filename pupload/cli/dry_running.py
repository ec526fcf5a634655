# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup dry-run`."""

from typing import Annotated

import typer

from pupload.cli.words import Json, Url, out


def dry_run(
    flow: Annotated[
        str,
        typer.Argument(help="A flow of the project, by name or file; else one that the server keeps.", metavar="FLOW"),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="EDGE=PATH", help="A small file for an edge. Once for each."),
    ] = None,
    earlier: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="EDGE=RUN:EDGE", help="What lies on an edge of an earlier run. Once for each."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A value for a parameter. Once for each."),
    ] = None,
    version: Annotated[int, typer.Option("--version", help="Of a saved flow, in place of the latest.")] = 0,
    saved: Annotated[bool, typer.Option("--saved", help="The one that the server keeps, whatever is here.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="It is stopped after so long.")] = 0,
    server: Url = "",
    as_json: Json = False,
) -> int:
    """Try a flow out on the first ten rows of what it takes; nothing of it is kept. Fails where a node does."""
    from pupload.cli import dry_runs

    return dry_runs.run(
        out(as_json),
        flow,
        inputs=inputs or [],
        earlier=earlier or [],
        params=params or [],
        version=version,
        saved=saved or version > 0,
        seconds=seconds,
        server=server,
    )
