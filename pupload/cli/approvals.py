"""Commands about runs that ask somebody to say yes or no."""

import asyncio

from pupload.cli import failures, logins
from pupload.cli.output import Output
from pupload.client import Answer


def answer(out: Output, url: str, run_id: str, edge: str, *, approve: bool, comment: str) -> int:
    """Says yes or no to a run; without an edge, on the only one on which it asks."""

    async def main() -> int:
        async with logins.client(url) as client:
            asked = edge or _only(await client.status(run_id))
            run = await client.approve(run_id, asked, approve=approve, comment=comment)
        if out.as_json:
            out.json(run)
        else:
            out.say(f"run {run['ID']} was told {'yes' if approve else 'no'} on edge {asked}; it is {run['Status']}")
        return failures.OK

    return asyncio.run(main())


def _only(run: Answer) -> str:
    """The edge on which the run asks. Raises `failures.Usage` where there is none, or more than one."""
    asked = [each["Edge"] for each in run.get("AwaitedApprovals", ())]
    if len(asked) != 1:
        named = f"asks on {', '.join(asked)}: name one" if asked else "asks nobody anything"
        raise failures.Usage(reason=f"run {run['ID']} {named}")
    return str(asked[0])
