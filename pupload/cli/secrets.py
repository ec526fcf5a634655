"""Commands about secrets. A value comes from a prompt or stdin, never from the command line, which others see."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pupload.cli import failures, logins
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Client

T = TypeVar("T")

MOST_BYTES = 1 << 20
"""Read of stdin; a server takes less."""


def put(out: Output, url: str, name: str) -> int:
    """Sets a secret."""
    value = _value(name)
    answer = _with_client(url, lambda client: client.put_secret(name, value))
    if out.as_json:
        out.json(answer)
    else:
        out.say(f"secret {name} is set")
    return failures.OK


def listing(out: Output, url: str) -> int:
    """Lists their names."""
    answer = _with_client(url, lambda client: client.secrets())
    if out.as_json:
        out.json(answer)
    else:
        out.table(("SECRET", "SET"), [(each["Name"], moment(each["ChangedAt"])) for each in answer["Secrets"]])
    return failures.OK


def remove(out: Output, url: str, name: str) -> int:
    """Removes a secret."""
    _with_client(url, lambda client: client.remove_secret(name))
    if out.as_json:
        out.json({"Name": name})
    else:
        out.say(f"secret {name} is removed")
    return failures.OK


def rotate(out: Output, url: str, *, new_key: bool) -> int:
    """Has everything that is kept secret encrypted anew."""
    answer = _with_client(url, lambda client: client.rotate_secrets(new_key=new_key))
    if out.as_json:
        out.json(answer)
    else:
        out.say(f"everything secret is encrypted with key {answer['KeyID']}")
        if new_key:
            out.note("back up the server's key file: backups of the database from now on need it")
    return failures.OK


def _value(name: str) -> str:
    """What the secret is to be. Raises `failures.Usage` for what is no text."""
    if sys.stdin.isatty():
        return getpass.getpass(f"value of {name}: ")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise failures.Usage(reason="the value on stdin is too long for a secret")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        reason = "the value on stdin is no text in UTF-8; encode it, in Base64 for instance"
        raise failures.Usage(reason=reason) from None


def _with_client(url: str, work: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        async with logins.client(url) as client:
            return await work(client)

    return asyncio.run(main())
