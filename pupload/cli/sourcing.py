# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup flow sources` and `pup flow sync`: where saved flows come from beside the API."""

from typing import Annotated

import typer

from pupload.cli import saving, words
from pupload.cli.words import Json, Url

flows = saving.flows


@flows.command("sources")
def flow_sources(url: Url = "", as_json: Json = False) -> int:
    """List the sources of saved flows, and what keeps files in them from being used."""
    from pupload.cli import sources

    return sources.listing(words.out(as_json), words.url(url).url)


@flows.command("sync")
def flow_sync(
    source: Annotated[str, typer.Argument(help="The source's name; without it, all of them.", show_default=False)] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Let the server look at its sources now, and save what is new. Fails where anything in them cannot be used."""
    from pupload.cli import sources

    return sources.sync(words.out(as_json), words.url(url).url, source)
