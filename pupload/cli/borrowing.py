"""A server for a command that needs one for a while: the one that answers, else one of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pupload import errors
from pupload.cli import logins
from pupload.cli.output import Output
from pupload.cli.servers import Address


@asynccontextmanager
async def a_server(
    out: Output, address: Address, *, project: Path | None, every_type: bool = False
) -> AsyncIterator[str]:
    """
    A server's URL: the one at the address; where none was named and none answers, one for the time.

    That one knows the node types in the project's folder; with `every_type` it runs those too that operators have to
    turn on, unless its user has a policy of their own. Raises `errors.ServerUnreachable`.
    """
    try:
        async with logins.client(address.url) as client:
            await client.health()
    except errors.ServerUnreachable:
        if address.chosen:
            raise
    else:
        yield address.url
        return
    out.note(f"no server answers at {address.url}: starting one for this, which takes some seconds")
    async with own_server(project, every_type=every_type) as url:
        yield url


@asynccontextmanager
async def own_server(project: Path | None, *, every_type: bool = False, **settings: Any) -> AsyncIterator[str]:
    """As `a_server` has of its own, with a data folder gone with it; `settings` over those of the environment."""
    # Assembling a server takes seconds to import, and most commands find one that runs.
    from pupload import wiring  # noqa: PLC0415
    from pupload.cli import serving  # noqa: PLC0415

    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    with TemporaryDirectory(prefix="pup-test-", ignore_cleanup_errors=True) as data:
        folders = (project / "nodes",) if project is not None and (project / "nodes").is_dir() else None
        chosen = serving.settings(port=0, store_port=0, data=Path(data), node_folders=folders, **settings)
        if every_type and chosen.policy is None:
            opened = Path(data, "every-type.yaml")
            await asyncio.to_thread(opened.write_text, "Types: {Deny: []}\n", encoding="utf-8")
            chosen = chosen.model_copy(update={"policy": opened})
        serving_it = asyncio.ensure_future(wiring.serve(chosen, on_ready=ready.set_result, stop=stop, dev=True))
        try:
            awaited: set[asyncio.Future[Any]] = {ready, serving_it}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await serving_it
            yield await ready
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await serving_it
