"""Commands about known facts."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pupload.cli import failures, logins
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Answer

_FACTS = "/api/v1/flow/facts"

MOST = 1000
"""Listed; a server gives no more at once."""


def listing(out: Output, url: str, scope: str) -> int:
    """Lists what is known."""
    answer = _ask(url, "GET", f"{_FACTS}?limit={MOST}{f'&scope={quote(scope)}' if scope else ''}")
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [
        (each["ID"], each["Scope"], each["Key"], _short(each["Value"]), moment(each["UpdatedAt"]))
        for each in answer["Facts"]
    ]
    out.table(("ID", "SCOPE", "KEY", "VALUE", "SAID"), rows)
    return failures.OK


def say(out: Output, url: str, key: str, value: str, *, everybody: bool) -> int:
    """Says what is known: JSON, or else text."""
    try:
        meant = json.loads(value)
    except ValueError:
        meant = value
    body = {"Value": meant, "Scope": "global" if everybody else "user"}
    answer = _ask(url, "PUT", f"{_FACTS}/{quote(key, safe='')}", body)
    if out.as_json:
        out.json(answer)
    else:
        out.say(f"fact {answer['ID']}: {key} is known")
    return failures.OK


def forget(out: Output, url: str, fact: str) -> int:
    """Forgets one."""
    _ask(url, "DELETE", f"{_FACTS}/{quote(fact, safe='')}")
    if out.as_json:
        out.json({"ID": fact})
    else:
        out.say(f"fact {fact} is forgotten")
    return failures.OK


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body)

    return asyncio.run(main())
