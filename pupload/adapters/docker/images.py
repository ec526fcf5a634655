"""
Images: from the name a definition gives to an id that never means anything else.

A name that was given to a new image a moment ago means the new one: so the engine is asked, and the answer holds for
others who ask within a moment, if the engine has not told meanwhile that anything happened to an image. Nothing but the
named image is ever used in its place.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import docker
import docker.auth
import msgspec

from pupload import errors, ports
from pupload.adapters.docker import asking, calls, events, streams

_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")

_REASONS = (
    (("no space left",), "disk"),
    (("toomanyrequests", "too many requests", "rate limit"), "rate"),
    (("unexpected http status: 5", "service unavailable", "bad gateway", "handshake timeout"), "rate"),
    (("verification failed", "unexpected eof", "unexpected digest", "digest mismatch"), "bytes"),
    (("no matching manifest", "does not match the specified platform"), "platform"),
    (("unauthorized", "access denied", "denied:", "authentication required", "no basic auth"), "denied"),
    (("invalid reference format", "invalid repository name", "must be lowercase"), "name"),
    (("manifest unknown", "not found", "no such image", "does not exist"), "unknown"),
)
"""What engines and registries say, in the order of looking."""

_NOBODY = "e30="
"""An empty JSON object, as the engine wants credentials encoded."""

_SENTENCES = {
    "platform": "the registry has it, but not for this machine's processor",
    "denied": "the registry does not give it to us; if it is private run `docker login`, if it is your own build it "
    "with `pup node build`",
    "unknown": "the registry does not have it; check the name, or build it with `pup node build`",
    "name": "that is no valid image name",
    "bytes": "what the registry sent is not what it said it would be, and was not used; whoever runs the registry must "
    "push the image again",
}


_MOMENT_SECONDS = 2.0
"""
How long an answer holds at most, should the engine's word that an image changed be late. Of fifty nodes that start at
once one asks.
"""

_REMEMBERED = 1000
"""Images about which something is remembered; what is forgotten is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What never changes about an image."""

    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    volumes: tuple[str, ...]
    """Places that it declares to be writable."""
    architecture: str
    """Of the processors that it is for, such as `amd64`."""


class _Settings(msgspec.Struct):
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    Volumes: dict[str, Any] | None = None


class _Image(msgspec.Struct):
    """As the engine describes one, as far as it matters."""

    Id: str
    Architecture: str = ""
    Config: _Settings | None = None


class Images:
    """The engine's images."""

    def __init__(
        self,
        asks: calls.Calls,
        ask: asking.Asking,
        stream: streams.Streams,
        *,
        clock: ports.Clock,
        pull_seconds: float,
    ) -> None:
        self._calls = asks
        self._ask = ask
        self._streams = stream
        self._changes = events.Images(stream, clock)
        self._fresh: dict[str, tuple[int, float, str]] = {}
        """What names mean: as of which state of the images, until when, the id."""
        self._looking: dict[str, asyncio.Lock] = {}
        self._pull_seconds = pull_seconds
        self._pulling: dict[str, asyncio.Task[None]] = {}
        self._pulled: Counter[str] = Counter()
        """How often each image was pulled: a handful of names."""
        self._meant: dict[str, set[str]] = {}
        self._facts: dict[str, Facts] = {}

    async def resolve(self, reference: str) -> str:
        """See `ports.Executor.resolve_image`."""
        name = normalised(reference)
        if found := self._fresh_id(name):
            return found
        before = self._pulled[name]
        found = await self._look_up(name)
        if found is None:
            # A pull that others wanted may have come to its end between the engine's answer and now.
            if self._pulled[name] == before:
                await self._pull_once(name)
            found = await self._look_up(name)
        if found is None:
            raise errors.ImageMissing(image=name, reason="it was pulled and then removed again")
        return found

    async def _look_up(self, name: str) -> str | None:
        """The id that the engine has for the name. For one that it had before it is asked once by all who ask now."""
        if name not in self._meant:
            return await self._ask_for(name)
        came_at = self._calls.now()
        lock = self._looking.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                if found := self._fresh_id(name):
                    return found
                self._calls.give_up_if_silent_since(came_at)
                return await self._ask_for(name)
        finally:
            if not lock.locked():
                self._looking.pop(name, None)

    async def _ask_for(self, name: str) -> str | None:
        state, asked_at = self._changes.state, self._calls.now()
        found = await self._local_id(name)
        if found is not None:
            self._note(name, found, state, asked_at)
        return found

    def _note(self, name: str, found: str, state: int | None, asked_at: float) -> None:
        while len(self._meant) >= _REMEMBERED and name not in self._meant:
            del self._meant[next(iter(self._meant))]
        self._meant.setdefault(name, set()).add(found)
        if state is not None:
            while len(self._fresh) >= _REMEMBERED:
                del self._fresh[next(iter(self._fresh))]
            self._fresh[name] = state, asked_at + _MOMENT_SECONDS, found

    def _fresh_id(self, name: str) -> str | None:
        state, until, found = self._fresh.get(name, (-1, 0.0, ""))
        return found if state == self._changes.state and self._calls.now() < until else None

    async def _local_id(self, name: str) -> str | None:
        try:
            return (await self._inspect(name)).Id
        except calls.Refusal as refusal:
            if refusal.status == 404:
                return None
            raise _error(name, str(refusal.reason)) or refusal from None

    async def _inspect(self, image: str) -> "_Image":
        return await self._ask.quick("GET", f"/images/{quote(image)}/json", into=_Image)

    async def _pull_once(self, name: str) -> None:
        """However many want the image there is one pull; it goes on when all of them have given up."""
        if _ID.fullmatch(name):
            raise errors.ImageMissing(image=name, reason="an id cannot be pulled; give a name")
        task = self._pulling.get(name)
        if task is None:
            task = self._pulling[name] = asyncio.create_task(self._pull(name))
            task.add_done_callback(lambda done: self._ended(name, done))
        await asyncio.shield(task)

    def _ended(self, name: str, pull: "asyncio.Task[None]") -> None:
        del self._pulling[name]
        if not pull.cancelled() and pull.exception() is None:
            self._pulled[name] += 1

    async def _pull(self, name: str) -> None:
        credentials = await self._calls.quick(lambda client: _credentials(client, name))
        try:
            async with (
                asyncio.timeout(self._pull_seconds),
                self._streams.open(
                    "POST", "/images/create", query=_address(name), headers={"X-Registry-Auth": credentials}
                ) as body,
            ):
                async for line in _json_lines(body):
                    if failure := line.get("error"):
                        raise _error(name, str(failure)) or _unreachable(name, str(failure))
        except calls.Refusal as refusal:
            raise _error(name, str(refusal.reason)) or _unreachable(name, str(refusal.reason)) from None
        except TimeoutError:
            reason = f"the registry was too slow: not done after {self._pull_seconds:g} s; try `docker pull {name}`"
            raise errors.ImageMissing(image=name, reason=reason) from None

    def named(self, reference: str, image: str) -> bool:
        """Whether the reference was found to mean the image of this id, now or before."""
        return image in self._meant.get(normalised(reference), ())

    async def facts(self, image: str) -> Facts:
        """What the image of this id brings along. Raises `calls.Refusal` when it is not there."""
        if image not in self._facts:
            found = await self._inspect(image)
            config = found.Config or _Settings()
            while len(self._facts) >= _REMEMBERED:
                del self._facts[next(iter(self._facts))]
            self._facts[image] = Facts(
                entry_point=tuple(config.Entrypoint or ()),
                command=tuple(config.Cmd or ()),
                volumes=tuple(config.Volumes or ()),
                architecture=found.Architecture,
            )
        return self._facts[image]

    async def close(self) -> None:
        """Gives up pulls under way; the engine keeps the layers it has."""
        await self._changes.close()
        tasks = list(self._pulling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def normalised(reference: str) -> str:
    """The reference with the tag that it means: `latest` where it names none (never: all of them)."""
    last = reference.rpartition("/")[2]
    if ":" in last or "@" in last or _ID.fullmatch(reference):
        return reference
    return f"{reference}:latest"


def _address(name: str) -> dict[str, str]:
    """As the engine's pull wants it. A digest goes where a tag would."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return {"fromImage": repository, "tag": digest}
    repository, _, tag = name.rpartition(":")
    return {"fromImage": repository, "tag": tag}


def _credentials(client: docker.APIClient, name: str) -> str:
    """What `docker login` left for the image's registry."""
    try:
        registry, _ = docker.auth.resolve_repository_name(_address(name)["fromImage"])
        header = docker.auth.get_config_header(client, registry)
    except docker.errors.DockerException:
        # No valid name, or a broken credential helper: the engine tells it better, or pulls without.
        header = None
    return header.decode() if header else _NOBODY


async def _json_lines(body: aiohttp.StreamReader) -> AsyncIterator[dict[str, object]]:
    async for line in body:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told


def _error(name: str, said: str) -> errors.PuploadError | None:
    """The engine's words as our error; None when they are of no known kind."""
    kind = next((kind for phrases, kind in _REASONS if any(phrase in said.lower() for phrase in phrases)), None)
    if kind == "disk":
        return errors.DiskFull(path="the engine's images")
    if kind == "rate":
        return errors.ImageRateLimited(image=name, reason=_without_body(said))
    if kind is not None:
        return errors.ImageMissing(image=name, reason=_SENTENCES[kind])
    return None


_LONGEST_SAID = 500


def _without_body(said: str) -> str:
    """
    The engine's words without the answer that it quotes.

    An image's name may lead to any host that the engine reaches. What that answers, when it is no registry, is not for
    whoever wrote the name.
    """
    return said.partition(" response body")[0][:_LONGEST_SAID]


def _unreachable(name: str, said: str) -> errors.ImageMissing:
    reason = (
        f"the registry cannot be reached ({_without_body(said)}); "
        f"run `docker pull {name}` where there is a network, or build it with `pup node build`"
    )
    return errors.ImageMissing(image=name, reason=reason)
