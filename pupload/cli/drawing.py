# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup drawing`: graphs that are drawn piece by piece, and run."""

from pathlib import Path
from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url

drawings = typer.Typer(help="Graphs that are drawn on a server, judged and run.", no_args_is_help=True)

Drawing = Annotated[str, typer.Argument(metavar="DRAWING", help="Its slug.", show_default=False)]


@drawings.command("list")
def drawing_list(
    limit: Annotated[int, typer.Option("--limit", help="So many at most.")] = 100,
    offset: Annotated[int, typer.Option("--offset", help="So many are passed over.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List your drawings, and public ones."""
    from pupload.cli import drawings

    return drawings.listing(words.out(as_json), words.url(url).url, limit=limit, offset=offset)


@drawings.command("show")
def drawing_show(drawing: Drawing, url: Url = "", as_json: Json = False) -> int:
    """Show a drawing as YAML, as it can be saved again."""
    from pupload.cli import drawings

    return drawings.show(words.out(as_json), words.url(url).url, drawing)


@drawings.command("save")
def drawing_save(
    drawing: Drawing,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON; - for stdin.", show_default=False)],
    if_revision: Annotated[
        int | None, typer.Option("--if-revision", help="Only where this is its revision; 0: where there is none.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Save a drawing from a file, new or in place of what it was."""
    from pupload.cli import drawings

    return drawings.save(words.out(as_json), words.url(url).url, drawing, file, if_revision=if_revision)


@drawings.command("validate")
def drawing_validate(drawing: Drawing, url: Url = "", as_json: Json = False) -> int:
    """Say whether a drawing can run, and everything that keeps it from that."""
    from pupload.cli import drawings

    return drawings.validate(words.out(as_json), words.url(url).url, drawing)


@drawings.command("run")
def drawing_run(
    drawing: Drawing,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is given; - reads stdin.")] = "",
    as_value: Annotated[bool, typer.Option("--value", help="TEXT is JSON, and is given as that.")] = False,
    trigger: Annotated[str, typer.Option("--trigger", metavar="NODE", help="The node that begins it.")] = "",
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="What to know the run by. Once for each."),
    ] = None,
    key: Annotated[str, typer.Option("--key", help="Asked again with this key, it is the same run.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Run a drawing as it is now."""
    from pupload.cli import drawings

    at, out = words.url(url).url, words.out(as_json)
    return drawings.run(out, at, drawing, text, as_value=as_value, trigger=trigger, labels=labels or [], key=key)


@drawings.command("remove")
def drawing_remove(drawing: Drawing, url: Url = "", as_json: Json = False) -> int:
    """Remove a drawing; its runs go on."""
    from pupload.cli import drawings

    return drawings.remove(words.out(as_json), words.url(url).url, drawing)
