"""Commands about accounts and keys. Passwords, codes and tokens come from a prompt or stdin, never as arguments."""

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pupload import errors
from pupload.cli import failures, logins
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Answer

_FLOW = "/api/v1/flow"

_PAGE = 1000


# ── Coming in ────────────────────────────────────────────────────────────────────────────────────────────────────


def setup(out: Output, url: str, name: str, *, with_token: bool) -> int:
    """Makes the first account on a server that runs; its token is kept."""
    headers = {"X-Setup-Token": ask("set-up token")} if with_token else {}
    asked = {"Name": name, "Password": ask("password", twice=True)}

    async def work() -> Answer:
        async with logins.client(url) as client:
            return await client.ask("POST", f"{_FLOW}/setup", asked, headers=headers)

    return _kept(out, url, name, asyncio.run(work())["Token"])


def setup_here(out: Output, name: str, **given: Any) -> int:
    """Makes the first account in this machine's data folder, while no server runs on it. Its token is not shown."""
    password = ask("password", twice=True)

    async def work(callers: Any) -> None:
        await callers.set_up(name, password)

    _here(work, **given)
    if out.as_json:
        out.json({"Name": name})
    else:
        out.say(f"{name} is administrator; `pup login {name}` lets them in once a server runs")
    return failures.OK


def reset_code_here(out: Output, name: str, **given: Any) -> int:
    """Has no codes asked for of an account any more, in this machine's data folder, while no server runs on it."""

    async def work(callers: Any) -> None:
        await callers.reset_code_of(name)

    _here(work, **given)
    return _done(out, f"no codes are asked for of {name} any more")


def _here(work: Callable[[Any], Coroutine[Any, Any, None]], **given: Any) -> None:
    from pupload import wiring  # noqa: PLC0415 - takes seconds to import
    from pupload.cli import serving  # noqa: PLC0415

    async def main() -> None:
        async with wiring.callers_here(serving.settings(**given)) as callers:
            await work(callers)

    asyncio.run(main())


def log_in(out: Output, url: str, name: str) -> int:
    """Exchanges a name and a password, and a code where one is due, for a token, which is kept."""
    name = name or ask("name", shown=True)
    asked = {"Name": name, "Password": ask("password")}
    login = _ask(url, "POST", f"{_FLOW}/login", asked)
    token = login["Token"]
    if login["NeedsCode"]:
        token = _ask(url, "POST", f"{_FLOW}/login/code", {"Name": name, "Code": ask("code")})["Token"]
    return _kept(out, url, name, token)


def log_out(out: Output, url: str) -> int:
    """Has the token of the login open nothing any more, and forgets it."""
    if logins.token(url):
        try:
            keys = _ask(url, "GET", f"{_FLOW}/keys")["Keys"]
            for key in (each for each in keys if not each["Name"] and "RevokedAt" not in each):
                _ask(url, "DELETE", f"{_FLOW}/keys/{key['ID']}")
        except errors.Refused as error:
            out.note(f"the server does not know the token any more: {error.message}")
    logins.forget(url)
    return _done(out, f"logged out of {url}")


def _kept(out: Output, url: str, name: str, token: str) -> int:
    path = logins.keep(url, token)
    if out.as_json:
        out.json({"Name": name, "URL": url, "KeptIn": str(path)})
    else:
        out.say(f"{name} is logged in to {url}; the token is in {path}")
    return failures.OK


# ── One's own account ────────────────────────────────────────────────────────────────────────────────────────────


def show(out: Output, url: str) -> int:
    """Shows who one is, and what one may do."""
    answer = _ask(url, "GET", f"{_FLOW}/me")
    if out.as_json:
        out.json(answer)
        return failures.OK
    account = answer["Account"]
    out.say(f"{account['Name']}, {account['Role']}, account {account['ID']}")
    out.say(f"codes are {'' if account['AsksCode'] else 'not '}asked for")
    out.say(f"may: {', '.join(answer['Permissions'])}")
    return failures.OK


def change_password(out: Output, url: str) -> int:
    """Changes one's password; whoever is logged in logs in again."""
    asked = {"Old": ask("password so far"), "New": ask("new password", twice=True)}
    _ask(url, "PUT", f"{_FLOW}/me/password", asked)
    logins.forget(url)
    return _done(out, "the password is changed; log in again")


def ask_for_codes(out: Output, url: str, *, on: bool) -> int:
    """Switches the second factor on, by an authenticator's first code, or off."""
    if not on:
        _ask(url, "POST", f"{_FLOW}/me/code/disable", {"Code": ask("code")})
        return _done(out, "no code is asked for any more")
    proposal = _ask(url, "POST", f"{_FLOW}/me/code")
    out.note(f"tell your authenticator: {proposal['URI']}")
    out.note(f"or, by hand: {proposal['Secret']}")
    _ask(url, "POST", f"{_FLOW}/me/code/enable", {"Code": ask("the code that it shows")})
    return _done(out, "a code is asked for after the password from now on")


# ── Everybody's ──────────────────────────────────────────────────────────────────────────────────────────────────


def listing(out: Output, url: str, *, services: bool | None) -> int:
    """Lists accounts, by number."""
    found = _accounts(url, services)
    if out.as_json:
        out.json({"Accounts": found})
        return failures.OK
    rows = [
        (str(each["ID"]), each["Name"], each["Role"], _kind(each), moment(each["CreatedAt"]), each["Purpose"])
        for each in found
    ]
    out.table(("ID", "ACCOUNT", "ROLE", "IS", "SINCE", "PURPOSE"), rows)
    return failures.OK


def add(out: Output, url: str, name: str, role: str) -> int:
    """Makes somebody an account."""
    asked = {"Name": name, "Password": ask(f"password of {name}", twice=True), "Role": role}
    return _told(out, _ask(url, "POST", f"{_FLOW}/accounts", asked))


def add_service(out: Output, url: str, name: str, *, purpose: str, role: str) -> int:
    """Makes a service an account; the token of its key is the one line of the result."""
    asked = {"Name": name, "Purpose": purpose, "Role": role}
    return _token(out, _ask(url, "POST", f"{_FLOW}/accounts/service", asked))


def change(out: Output, url: str, named: str, *, role: str | None, active: bool | None) -> int:
    """Changes an account's role, or opens or closes it."""
    asked = {"Role": role, "Active": active}
    if all(each is None for each in asked.values()):
        raise failures.Usage(reason="say what is to be otherwise: --role, --open or --close")
    return _told(out, _ask(url, "POST", _account(url, named), {k: v for k, v in asked.items() if v is not None}))


def reset_code(out: Output, url: str, named: str) -> int:
    """Has no codes asked for of an account any more."""
    _ask(url, "POST", f"{_account(url, named)}/code/reset")
    return _done(out, f"no codes are asked for of {named} any more")


def _kind(account: Mapping[str, Any]) -> str:
    if not account["Active"]:
        return "closed"
    return "a service" if account["Service"] else "a person with codes" if account["AsksCode"] else "a person"


def _told(out: Output, account: Answer) -> int:
    if out.as_json:
        out.json(account)
    else:
        out.say(f"{account['Name']} is {account['Role']}{'' if account['Active'] else ', and closed'}")
    return failures.OK


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def keys(out: Output, url: str, *, account: str) -> int:
    """Lists keys, by their first and last letters."""
    answer = _ask(url, "GET", f"{_account(url, account)}/keys")
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [
        (
            each["ID"],
            each["Name"] or "(login)",
            f"{each['First']}...{each['Last']}",
            ", ".join(each["Scopes"]) if "Scopes" in each else "all",
            moment(each["UsedAt"]) if "UsedAt" in each else "never",
            _state(each),
        )
        for each in answer["Keys"]
    ]
    out.table(("ID", "KEY", "TOKEN", "MAY", "USED", "IS"), rows)
    return failures.OK


def make_key(out: Output, url: str, name: str, *, account: str, scopes: Sequence[str], expires: str) -> int:
    """Makes a key; its token is the one line of the result."""
    asked: dict[str, Any] = {"Name": name, "ExpiresAt": expires}
    if scopes:
        asked["Scopes"] = list(scopes)
    return _token(out, _ask(url, "POST", f"{_account(url, account)}/keys", asked))


def revoke_key(out: Output, url: str, key: str, *, account: str) -> int:
    """Has a key open nothing any more."""
    _ask(url, "DELETE", f"{_account(url, account)}/keys/{quote(key, safe='')}")
    return _done(out, f"key {key} opens nothing any more")


def _state(key: Mapping[str, Any]) -> str:
    if "RevokedAt" in key:
        return "revoked"
    return f"open until {moment(key['ExpiresAt'])}" if "ExpiresAt" in key else "open"


def _token(out: Output, answer: Answer) -> int:
    if out.as_json:
        out.json(answer)
    else:
        out.say(answer["Token"])
        out.note("this is shown once: keep it where only who is to use it can read it")
    return failures.OK


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def ask(what: str, *, shown: bool = False, twice: bool = False) -> str:
    """What somebody types, or the next line of stdin. Raises `failures.Usage` where nothing or two things are said."""
    if not sys.stdin.isatty():
        said = sys.stdin.readline().rstrip("\r\n")
    elif shown:
        said = input(f"{what}: ")
    else:
        said = getpass.getpass(f"{what}: ")
        if twice and getpass.getpass("once more: ") != said:
            raise failures.Usage(reason=f"the {what} was not the same both times")
    if not said:
        raise failures.Usage(reason=f"no {what} was given: type it, or put it into a line of stdin")
    return said


def _done(out: Output, sentence: str) -> int:
    if out.as_json:
        out.json({})
    else:
        out.say(sentence)
    return failures.OK


def _account(url: str, named: str) -> str:
    """The path of an account, by its number or name; of one's own where none is named. Raises `failures.Failed`."""
    if not named:
        return _FLOW
    number = named if named.isascii() and named.isdecimal() else ""
    if not number:
        found = [each for each in _accounts(url, None) if each["Name"] == named]
        if not found:
            raise failures.Failed(reason=f"account {named} does not exist")
        number = str(found[0]["ID"])
    return f"{_FLOW}/accounts/{number}"


def _accounts(url: str, services: bool | None) -> list[Answer]:
    """All of them, or services alone, or people alone."""
    which = "" if services is None else f"&service={str(services).lower()}"
    found = list[Answer]()
    while True:
        page = _ask(url, "GET", f"{_FLOW}/accounts?limit={_PAGE}&offset={len(found)}{which}")
        found += page["Accounts"]
        if not page["Accounts"] or len(found) >= page["Total"]:
            return found


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body)

    return asyncio.run(main())


def data_given(here: bool, data: Path | None) -> Mapping[str, Any] | None:
    """The settings of a command that works on this machine's data folder; None where it asks a server."""
    return {"data": data} if here or data is not None else None
