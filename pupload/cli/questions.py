"""Commands that ask a saved flow something."""

import asyncio
import json
import sys
from typing import Any

from pupload import errors
from pupload.cli import failures, logins
from pupload.cli.output import Output


def ask(out: Output, url: str, flow: str, text: str, *, as_value: bool, keep: bool, wait_seconds: int) -> int:
    """Asks, and prints the answer."""

    async def main() -> int:
        said = await asyncio.to_thread(sys.stdin.read) if text == "-" else text
        async with logins.client(url) as client:
            answer = await client.question(flow, _value(said, as_value), keep=keep, wait_seconds=wait_seconds)
        if out.as_json:
            out.json(answer)
        elif answer["Status"] == "COMPLETE":
            result = answer["Result"]
            out.say(_written(result))
        else:
            out.note(f"run {answer['ID']} is {answer['Status']}{': ' * bool(answer['Error'])}{answer['Error']}")
        return failures.OK if answer["Status"] == "COMPLETE" else failures.FAILED

    return asyncio.run(main())


def _value(said: str, as_value: bool) -> Any:
    if not as_value:
        return said
    try:
        return json.loads(said)
    except ValueError as error:
        raise errors.Malformed(reason=f"what is asked is no JSON: {error}") from None


def _written(result: dict[str, Any]) -> str:
    if result["Kind"] == "reference":
        return str(result["URL"])
    return result["Value"] if result["Kind"] == "text" else json.dumps(result["Value"], ensure_ascii=False)
