"""Commands about runs that ask somebody to say yes or no."""

import asyncio

from pupload.cli import failures, logins
from pupload.cli.output import Output


def answer(out: Output, url: str, run_id: str, edge: str, *, approve: bool, comment: str) -> int:
    """Says yes or no to a run."""

    async def main() -> int:
        async with logins.client(url) as client:
            run = await client.approve(run_id, edge, approve=approve, comment=comment)
        if out.as_json:
            out.json(run)
        else:
            out.say(f"run {run['ID']} was told {'yes' if approve else 'no'} on edge {edge}; it is {run['Status']}")
        return failures.OK

    return asyncio.run(main())
