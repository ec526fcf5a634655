"""
Answers of the engine that take their time: logs, pulls and events.

They are read in the event loop: a hundred live logs need no hundred threads, a slow reader slows the engine's sending
and nothing piles up in between, and each can be given up at any moment.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from pupload.adapters.docker import asking, calls


class Streams:
    """One HTTP connection per stream, to the engine that `Calls` talks to."""

    def __init__(self, asks: calls.Calls, connections: asking.Asking, *, answer_seconds: float) -> None:
        self._calls = asks
        self._connections = connections
        self._answer_seconds = answer_seconds

    @asynccontextmanager
    async def open(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """
        The body of the answer, as it comes.

        Raises `calls.Refusal` when the engine says no, and `errors.ExecutorUnavailable` when it does not answer or the
        connection breaks, also while the body is read.
        """
        version = await self._connections.version()
        try:
            async with asyncio.timeout(self._answer_seconds) as limit:
                async with self._connections.session().request(
                    method, f"/v{version}{path}", params=query, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status >= 400:
                        raise self._connections.refusal(answer.status, await answer.read(), answer.reason)
                    limit.reschedule(None)
                    yield answer.content
        except TimeoutError:
            raise self._calls.unavailable(f"no answer within {self._answer_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._calls.unavailable(str(error) or type(error).__name__) from error
