# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup fact`: what runs leave behind for later ones."""

from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url

facts = typer.Typer(help="What runs leave behind for later ones, by keys.", no_args_is_help=True)


@facts.command("list")
def fact_list(
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="Only those of session, user, agent or global.")
    ] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List what is known, the last said first."""
    from pupload.cli import facts

    return facts.listing(words.out(as_json), words.url(url).url, scope)


@facts.command("set")
def fact_set(
    key: Annotated[str, typer.Argument(metavar="KEY", help="What it is known under.", show_default=False)],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, or else text.", show_default=False)],
    everybody: Annotated[bool, typer.Option("--global", help="To everybody's runs; for administrators.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Say what runs know from now on."""
    from pupload.cli import facts

    return facts.say(words.out(as_json), words.url(url).url, key, value, everybody=everybody)


@facts.command("remove")
def fact_remove(
    fact: Annotated[str, typer.Argument(metavar="FACT", help="Its id.", show_default=False)],
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Forget a fact."""
    from pupload.cli import facts

    return facts.forget(words.out(as_json), words.url(url).url, fact)
