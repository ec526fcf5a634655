# ruff: noqa: PLC0415 - a command's module is imported when the command is given, so that `pup --help` is there at once
"""The words of the commands by which people come in: `pup login`, `pup logout`, `pup account` and `pup key`."""

from pathlib import Path
from typing import Annotated

import typer

from pupload.cli import words
from pupload.cli.words import Json, Url

accounts = typer.Typer(help="Accounts: who may do what.", no_args_is_help=True)
keys = typer.Typer(help="Keys: tokens for programs, which may do less than their owner.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the account is called.", show_default=False)]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name or number.", show_default=False)]
Of = Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="Of this account; without it, one's own.")]
Role = Annotated[str, typer.Option("--role", help="admin, editor, operator or viewer.")]
Here = Annotated[
    bool, typer.Option("--here", help="In this machine's data folder or database, while no server runs on it.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The data folder; means --here.")]


def login(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The account; asked for without.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Log in: the password, and a code where one is due, are asked for or read from lines of stdin."""
    from pupload.cli import accounts

    return accounts.log_in(words.out(as_json), words.url(url).url, name)


def logout(url: Url = "", as_json: Json = False) -> int:
    """Log out: the token of the login opens nothing any more, and is forgotten here."""
    from pupload.cli import accounts

    return accounts.log_out(words.out(as_json), words.url(url).url)


@accounts.command("setup")
def account_setup(
    name: Name,
    here: Here = False,
    data: Data = None,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Not on the server's machine: its set-up token is asked for first.")
    ] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Make the first account, an administrator's: from then on everybody is asked who they are."""
    from pupload.cli import accounts

    if (given := accounts.data_given(here, data)) is not None:
        return accounts.setup_here(words.out(as_json), name, **given)
    return accounts.setup(words.out(as_json), words.url(url).url, name, with_token=with_token)


@accounts.command("show")
def account_show(url: Url = "", as_json: Json = False) -> int:
    """Show who one is, and what one may do."""
    from pupload.cli import accounts

    return accounts.show(words.out(as_json), words.url(url).url)


@accounts.command("password")
def account_password(url: Url = "", as_json: Json = False) -> int:
    """Change one's password: both are asked for, or read from lines of stdin."""
    from pupload.cli import accounts

    return accounts.change_password(words.out(as_json), words.url(url).url)


@accounts.command("codes")
def account_codes(
    on: Annotated[bool, typer.Option("--on/--off", help="Whether codes are to be asked for.")] = True,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Have codes of an authenticator asked for after one's password, or not any more."""
    from pupload.cli import accounts

    return accounts.ask_for_codes(words.out(as_json), words.url(url).url, on=on)


@accounts.command("reset-code")
def account_reset_code(
    account: Account, here: Here = False, data: Data = None, url: Url = "", as_json: Json = False
) -> int:
    """Have no codes asked for of an account any more, whose authenticator is lost."""
    from pupload.cli import accounts

    if (given := accounts.data_given(here, data)) is not None:
        return accounts.reset_code_here(words.out(as_json), account, **given)
    return accounts.reset_code(words.out(as_json), words.url(url).url, account)


@accounts.command("list")
def account_list(
    services: Annotated[
        bool | None, typer.Option("--services/--people", help="Only services, or only people.", show_default=False)
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List accounts."""
    from pupload.cli import accounts

    return accounts.listing(words.out(as_json), words.url(url).url, services=services)


@accounts.command("add")
def account_add(name: Name, role: Role = "operator", url: Url = "", as_json: Json = False) -> int:
    """Make somebody an account: its password is asked for, or read from a line of stdin."""
    from pupload.cli import accounts

    return accounts.add(words.out(as_json), words.url(url).url, name, role)


@accounts.command("add-service")
def account_add_service(
    name: Name,
    purpose: Annotated[str, typer.Option("--purpose", help="What it is for.")] = "",
    role: Role = "operator",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Make a service an account that nobody logs in to, with one key, whose token is printed this once."""
    from pupload.cli import accounts

    return accounts.add_service(words.out(as_json), words.url(url).url, name, purpose=purpose, role=role)


@accounts.command("change")
def account_change(
    account: Account,
    role: Annotated[str | None, typer.Option("--role", help="admin, editor, operator or viewer.")] = None,
    active: Annotated[
        bool | None,
        typer.Option("--open/--close", help="Whether anything of it opens anything.", show_default=False),
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Change an account's role, or open or close it."""
    from pupload.cli import accounts

    return accounts.change(words.out(as_json), words.url(url).url, account, role=role, active=active)


@keys.command("list")
def key_list(account: Of = "", url: Url = "", as_json: Json = False) -> int:
    """List keys; no token is shown."""
    from pupload.cli import accounts

    return accounts.keys(words.out(as_json), words.url(url).url, account=account)


@keys.command("add")
def key_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.", show_default=False)],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--may", metavar="PERMISSION", help="Only this, such as runs.view. Once for each."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="When it opens nothing any more: 2026-12-01T00:00:00Z.")
    ] = "",
    account: Of = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Make a key; its token is printed this once."""
    from pupload.cli import accounts

    return accounts.make_key(
        words.out(as_json), words.url(url).url, name, account=account, scopes=scopes or [], expires=expires
    )


@keys.command("revoke")
def key_revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `pup key list` shows it.", show_default=False)],
    account: Of = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Have a key open nothing any more."""
    from pupload.cli import accounts

    return accounts.revoke_key(words.out(as_json), words.url(url).url, key, account=account)
