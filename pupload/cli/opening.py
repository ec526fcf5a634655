# ruff: noqa: PLC0415 - see `pupload.cli.main`
"""The words of `pup credential`: what opens things elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url

credentials = typer.Typer(
    help="What opens things elsewhere: kept on a server, named by flows, shown masked.", no_args_is_help=True
)

Credential = Annotated[str, typer.Argument(metavar="CREDENTIAL", help="Its number, or its name.", show_default=False)]
Detail = Annotated[
    Path | None,
    typer.Option("--detail", metavar="FILE", help="An object of JSON with its keys and values; - for stdin."),
]


@credentials.command("add")
def credential_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.", show_default=False)],
    type_: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="llm, telegram, gateway, git, tool or login.")
    ] = "login",
    detail: Detail = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Keep a credential: what it consists of is asked for, or read from stdin, as JSON."""
    from pupload.cli import credentials

    return credentials.add(words.out(as_json), words.url(url).url, name, type_, detail)


@credentials.command("change")
def credential_change(
    credential: Credential,
    name: Annotated[str | None, typer.Option("--name", help="What it is called from now on.")] = None,
    detail: Detail = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Let a credential be otherwise; what is not said, or comes back masked, stays as it was."""
    from pupload.cli import credentials

    return credentials.change(words.out(as_json), words.url(url).url, credential, name, detail)


@credentials.command("list")
def credential_list(url: Url = "", as_json: Json = False) -> int:
    """List the credentials."""
    from pupload.cli import credentials

    return credentials.listing(words.out(as_json), words.url(url).url)


@credentials.command("show")
def credential_show(credential: Credential, url: Url = "", as_json: Json = False) -> int:
    """Show a credential, masked."""
    from pupload.cli import credentials

    return credentials.show(words.out(as_json), words.url(url).url, credential)


@credentials.command("test")
def credential_test(credential: Credential, url: Url = "", as_json: Json = False) -> int:
    """Ask the provider of a language model whether it takes the credential, and what models there are."""
    from pupload.cli import credentials

    return credentials.try_out(words.out(as_json), words.url(url).url, credential)


@credentials.command("remove")
def credential_remove(credential: Credential, url: Url = "", as_json: Json = False) -> int:
    """Remove a credential."""
    from pupload.cli import credentials

    return credentials.remove(words.out(as_json), words.url(url).url, credential)
