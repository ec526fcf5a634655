"""
Commands about credentials.

What opens something is read from a file or stdin as JSON, or asked for: never from the command line, which others see.
"""

import asyncio
import getpass
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pupload.cli import failures, logins
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Answer
from pupload.domain import credential

_CREDENTIALS = "/api/v1/flow/credentials"

MOST = 1000
"""Listed; a server gives no more at once."""

MOST_BYTES = 1 << 20
"""Read of a file or of stdin; a server takes less."""


def add(out: Output, url: str, name: str, type_: str, detail: Path | None) -> int:
    """Keeps one: its detail is read from the file, or from stdin; at a terminal each key is asked for."""
    if type_ not in credential.TYPES:
        raise failures.Usage(reason=f"--type is one of {', '.join(credential.TYPES)}")
    said = _detail(detail, type_)
    return _shown(out, _ask(url, "POST", _CREDENTIALS, {"Name": name, "Type": type_, "Detail": said}))


def change(out: Output, url: str, named: str, name: str | None, detail: Path | None) -> int:
    """Lets one be otherwise: what the file, or stdin where it is `-`, does not name stays as it was."""
    said = {**({} if name is None else {"Name": name}), **({} if detail is None else {"Detail": _read(detail)})}
    return _shown(out, _ask(url, "PATCH", _place(named), said))


def listing(out: Output, url: str) -> int:
    """Lists them, without what opens anything."""
    answer = _ask(url, "GET", f"{_CREDENTIALS}?limit={MOST}")
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [(str(each["ID"]), each["Name"], each["Type"], moment(each["UpdatedAt"])) for each in answer["Credentials"]]
    out.table(("ID", "CREDENTIAL", "TYPE", "CHANGED"), rows)
    return failures.OK


def show(out: Output, url: str, named: str) -> int:
    """Shows one, masked."""
    return _shown(out, _ask(url, "GET", _place(named)))


def remove(out: Output, url: str, named: str) -> int:
    """Removes one."""
    _ask(url, "DELETE", _place(named))
    if out.as_json:
        out.json({"Name": named})
    else:
        out.say(f"credential {named} is removed")
    return failures.OK


def try_out(out: Output, url: str, named: str) -> int:
    """Finds out whether one opens what it is for."""
    answer = _ask(url, "POST", f"{_place(named)}/test")
    if out.as_json:
        out.json(answer)
    elif answer["OK"]:
        out.say(f"credential {named} is taken; there are {len(answer['Models'])} models")
        out.table(("MODEL", "NAME"), [(each["ID"], each["Name"]) for each in answer["Models"]])
    else:
        out.say(f"credential {named} opens nothing: {answer['Error']}")
    return failures.OK if answer["OK"] else failures.FAILED


def _shown(out: Output, answer: Answer) -> int:
    if out.as_json:
        out.json(answer)
        return failures.OK
    out.say(f"credential {answer['ID']}, {answer['Name']} ({answer['Type']})")
    out.table(("KEY", "VALUE"), [(key, _text(value)) for key, value in answer["Detail"].items()])
    return failures.OK


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _detail(path: Path | None, type_: str) -> Mapping[str, Any]:
    if path is None and sys.stdin.isatty():
        return _asked(credential.TYPES[type_])
    return _read(path or Path("-"))


def _asked(keys: Mapping[str, credential.Known]) -> Mapping[str, str]:
    """Each text that the type knows; what opens something without an echo. Nothing said: the default."""
    said = {}
    for key, known in keys.items():
        if isinstance(known.default, str):
            ask: Callable[[str], str] = input if known.shown else getpass.getpass
            said[key] = ask(f"{key}{f' [{known.default}]' if known.default else ''}: ")
    return {key: text for key, text in said.items() if text}


def _read(path: Path) -> Mapping[str, Any]:
    """The object of JSON in a file, or on stdin. Raises `failures.Usage`, which tells nothing of it."""
    where = "stdin" if str(path) == "-" else str(path)
    try:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if where == "stdin" else path.read_bytes()[: MOST_BYTES + 1]
    except OSError as error:
        raise failures.Usage(reason=f"{where} cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise failures.Usage(reason=f"{where} is too long for a credential")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise failures.Usage(reason=f'{where} holds no object of JSON, such as {{"api_key": "..."}}')
    return found


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body)

    return asyncio.run(main())


def _place(named: str) -> str:
    return f"{_CREDENTIALS}/{quote(named, safe='')}"
