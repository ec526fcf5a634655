"""
Asking the engine by its SDK, with an end to every wait.

For what is asked now and then; what every container needs is asked by `asking`, which costs a tenth. The SDK blocks,
so its calls run in two bounded pools: one for questions that are answered at once, one for work the engine needs time
for, so that the first never queue behind the second. An engine that accepts and never answers costs one time limit, not
one per call: what was queued meanwhile fails with the first. Whatever the SDK raises is turned into one of our errors
here and nowhere else.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker
import docker.errors
import docker.utils
import requests.exceptions

from pupload import errors, ports

_T = TypeVar("_T")

_QUICK_THREADS = 4

Sdk = Any
"""`docker.APIClient`: its published types lack half of its methods."""


class Refusal(errors.ExecutorUnavailable):
    """The container engine at {host} answered {status}: {reason}"""


class Calls:
    """The engine's SDK, asynchronous and bounded."""

    def __init__(
        self, *, host: str | None, pool_size: int, quick_seconds: float, slow_seconds: float, clock: ports.Clock
    ) -> None:
        self._arguments: dict[str, Any] = {**({"base_url": host} if host else docker.utils.kwargs_from_env())}
        self._clock = clock
        self._quick_seconds = quick_seconds
        self._slow_seconds = slow_seconds
        self._quick = ThreadPoolExecutor(_QUICK_THREADS, thread_name_prefix="engine-quick")
        self._slow = ThreadPoolExecutor(pool_size, thread_name_prefix="engine-slow")
        self._clients: dict[float, docker.APIClient] = {}
        self._making = threading.Lock()
        self._silent_at = float("-inf")
        self._pool_size = pool_size

    @property
    def host(self) -> str:
        """Where the engine is, for a person."""
        return str(self._arguments.get("base_url") or "unix:///var/run/docker.sock")

    @property
    def local(self) -> bool:
        """Whether the engine is, as far as one can tell, on this machine."""
        return "unix://" in self.host

    @property
    def tls(self) -> Any:
        """The SDK's TLS settings, or None."""
        return self._arguments.get("tls")

    async def quick(self, ask: Callable[[Sdk], _T]) -> _T:
        """What `ask` returns. Raises `Refusal` when the engine says no, `errors.ExecutorUnavailable` otherwise."""
        return await self._in(self._quick, self._quick_seconds, ask)

    async def slow(self, ask: Callable[[Sdk], _T]) -> _T:
        """The same for work that may take the engine long: create, start, kill, remove."""
        return await self._in(self._slow, self._slow_seconds, ask)

    async def _in(self, pool: ThreadPoolExecutor, seconds: float, ask: Callable[[Sdk], _T]) -> _T:
        asked_at = self.now()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._ask, seconds, ask, asked_at)
        except RuntimeError as error:
            raise self.unavailable("the executor is closed") from error

    def _ask(self, seconds: float, ask: Callable[[Sdk], _T], asked_at: float) -> _T:
        self.give_up_if_silent_since(asked_at)
        try:
            try:
                return ask(self.client(seconds, asked_at=asked_at))
            except requests.exceptions.ConnectionError as error:
                if isinstance(error, requests.exceptions.Timeout):
                    raise
                # A kept connection that the engine closed in between; each of our calls may be repeated.
                return ask(self.client(seconds, asked_at=asked_at))
        except docker.errors.APIError as error:
            raise self._refusal(error) from None
        except requests.exceptions.Timeout:
            raise self.silent(seconds) from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise self.unavailable(told(error)) from error

    def client(self, seconds: float, *, asked_at: float | None = None) -> docker.APIClient:
        """The SDK's client whose calls may last so long; blocking. The first one settles the API version."""
        with self._making:
            if asked_at is not None:
                self.give_up_if_silent_since(asked_at)
            client = self._clients.get(seconds)
            if client is None:
                client = self._clients[seconds] = self._connect(seconds)
            return client

    def _connect(self, seconds: float) -> docker.APIClient:
        arguments = {
            **self._arguments,
            "version": "auto",
            "timeout": seconds,
            "max_pool_size": max(self._pool_size, _QUICK_THREADS) + 1,
        }
        try:
            client = docker.APIClient(**arguments)
        except docker.errors.DockerException as error:
            self._silent_at = self.now()
            raise self.unavailable(told(error)) from None
        # The environment's proxies and .netrc are not for the engine, and cost time on every call.
        client.trust_env = False
        return client

    def unavailable(self, reason: str) -> errors.ExecutorUnavailable:
        """To be raised."""
        return errors.ExecutorUnavailable(host=self.host, reason=reason)

    def now(self) -> float:
        """By which silence is timed."""
        return self._clock.monotonic()

    def silent(self, seconds: float) -> errors.ExecutorUnavailable:
        """To be raised when the engine has not answered for so long; who asked before now gives up as well."""
        self._silent_at = self.now()
        return self.unavailable(f"no answer within {seconds:g} s")

    def give_up_if_silent_since(self, asked_at: float) -> None:
        """Raises `errors.ExecutorUnavailable` when the engine has kept somebody waiting in vain since then."""
        if self._silent_at > asked_at:
            raise self.unavailable("it does not answer")

    def _refusal(self, error: docker.errors.APIError) -> Refusal:
        reason = str(error.explanation or error).strip()
        return Refusal(host=self.host, status=error.status_code or 0, reason=reason)

    async def close(self) -> None:
        """Gives up threads and connections. Does not wait for calls under way."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        with self._making:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()


def told(error: BaseException) -> str:
    """The cause of an error chain, in its own words: libraries wrap it in theirs."""
    seen: BaseException = error
    while (cause := seen.__cause__ or seen.__context__) is not None:
        seen = cause
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen) or type(seen).__name__
