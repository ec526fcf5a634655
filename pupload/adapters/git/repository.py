"""
`ports.SourceReader` over git repositories.

The commit that the source names is looked up, and where it is a new one fetched alone, into an empty repository that
is thrown away afterwards. Nothing is checked out: files are read from the object store, so that no link, no odd name
and no filter of theirs means anything.
"""

import asyncio
import base64
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pupload import errors
from pupload.adapters.git.program import Git
from pupload.domain import sources
from pupload.domain.sources import File, Problem, Source, Tree

LOOK_SECONDS = 60.0
"""For the remote to say where a branch stands."""

FETCH_SECONDS = 300.0
READ_SECONDS = 60.0

_MOST_LIST_BYTES = 64 << 20
"""Of the list of all files."""
_AT = "refs/pupload/at"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ENTRY = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]+) +(\d+|-)\t(.+)", re.DOTALL)

Reveal = Callable[[str], Awaitable[str | None]]
"""The value of a secret; None where there is none of the name."""


@dataclass(frozen=True, slots=True)
class _Blob:
    path: str
    id: str
    size: int


class GitSource:
    """Reads sources that are git repositories."""

    def __init__(self, *, scratch: Path, reveal: Reveal) -> None:
        """`scratch` is a folder for this alone, made when missing, and emptied of what an earlier start left."""
        self._scratch = scratch
        self._reveal = reveal
        self._is_empty = False
        self._emptying = asyncio.Lock()

    async def read(self, source: Source, *, known: str = "") -> Tree | None:
        home = await self._make_home(source)
        try:
            git = Git(source=source.name, home=home, config=await self._credentials(source))
            return await _read(git, source, known)
        except OSError as error:
            raise errors.SourceUnavailable(source=source.name, reason=error.strerror or str(error)) from error
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, home, ignore_errors=True))

    async def _make_home(self, source: Source) -> Path:
        async with self._emptying:
            if not self._is_empty:
                await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._is_empty = True
        try:
            return await asyncio.to_thread(self._made_home)
        except OSError as error:
            raise errors.SourceUnavailable(source=source.name, reason=error.strerror or str(error)) from error

    def _made_home(self) -> Path:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="git-", dir=self._scratch))

    async def _credentials(self, source: Source) -> dict[str, str]:
        """What opens the repository, for its own server alone."""
        if not source.secret:
            return {}
        value = await self._reveal(source.secret)
        if value is None:
            reason = f"secret {source.secret} is not set: set it with `pup secret set {source.secret}`"
            raise errors.SourceUnavailable(source=source.name, reason=reason)
        url = urlsplit(source.path)
        pair = value if ":" in value else f"{url.username or 'git'}:{value}"
        header = base64.b64encode(pair.encode()).decode()
        place = f"{url.scheme}://{url.netloc.rpartition('@')[2]}/"
        return {f"http.{place}.extraHeader": f"Authorization: Basic {header}"}


async def _read(git: Git, source: Source, known: str) -> Tree | None:
    pinned = source.ref if _COMMIT.fullmatch(source.ref) else ""
    if known and known == (pinned or (await _look_up(git, source))[1]):
        return None
    wanted = pinned or (await _look_up(git, source))[0]
    await git.ask("init", "--quiet", "--bare", "--template=", ".", seconds=READ_SECONDS)
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    await git.ask(*fetch, "--end-of-options", source.path, f"+{wanted}:{_AT}", seconds=FETCH_SECONDS)
    told = await git.ask("log", "-1", "--no-show-signature", "--format=%H%n%s", _AT, "--", seconds=READ_SECONDS)
    commit, _, message = told.decode(errors="replace").strip().partition("\n")
    paths, problems = _listed(await _list(git, source, commit))
    project = sources.is_project([each.path for each in paths])
    chosen, large = _chosen(source, paths)
    return Tree(
        revision=commit,
        commit=commit,
        message="".join(letter if letter.isprintable() else " " for letter in message),
        files=tuple(_files(chosen, await _contents(git, chosen))),
        problems=sources.relevant((*problems, *large), project=project),
    )


async def _look_up(git: Git, source: Source) -> tuple[str, str]:
    """The whole name of the ref, and the commit that it leads to now."""
    names = [source.ref] if source.ref == "HEAD" or source.ref.startswith("refs/") else _spellings(source.ref)
    asked = [pattern for name in names for pattern in (name, f"{name}^{{}}")]
    told = await git.ask("ls-remote", "--quiet", "--end-of-options", source.path, *asked, seconds=LOOK_SECONDS)
    lines = (line.partition("\t") for line in told.decode(errors="replace").splitlines())
    there = {name: commit for commit, _, name in lines}
    for name in names:
        if name in there:
            return name, there.get(f"{name}^{{}}", there[name])
    reason = f"it has no branch or tag {source.ref}; a commit is given with all its digits"
    raise errors.SourceUnavailable(source=source.name, reason=reason)


def _spellings(ref: str) -> list[str]:
    return [f"refs/tags/{ref}", f"refs/heads/{ref}"]


async def _list(git: Git, source: Source, commit: str) -> bytes:
    where = f"{commit}:{source.folder}"
    listed = ("ls-tree", "-r", "-z", "-l", "--full-tree", where)
    try:
        return await git.ask(*listed, seconds=READ_SECONDS, most_bytes=_MOST_LIST_BYTES)
    except errors.SourceUnavailable as error:
        if source.folder and "valid object name" in str(error):
            reason = f"commit {commit[:12]} has no folder {source.folder}"
            raise errors.SourceUnavailable(source=source.name, reason=reason) from error
        raise


def _listed(told: bytes) -> tuple[list[_Blob], list[Problem]]:
    """The files that may matter."""
    found: list[_Blob] = []
    problems: list[Problem] = []
    for line in filter(None, told.split(b"\0")):
        entry = _ENTRY.fullmatch(line)
        assert entry is not None, "git writes so"
        mode, kind, blob, size, name = entry.groups()
        path, rest = _text_of(name)
        if rest:
            problems += [Problem(path=path, text="a name in it is not UTF-8")] if sources.may_matter(rest) else []
            continue
        if kind == b"commit" and not sources.is_hidden(path):
            problems.append(Problem(path=path, text="it is a submodule, which is not read"))
        elif mode == b"120000" and not sources.is_hidden(path):
            problems += sources.unread_link(path)
        elif kind == b"blob" and sources.may_matter(path):
            problem = _objection(path)
            problems += [Problem(path=path, text=problem)] if problem else []
            found += [] if problem else [_Blob(path, blob.decode(), int(size))]
    return found, problems


def _text_of(name: bytes) -> tuple[str, str]:
    """The name, or the last folder above it that is UTF-8 and what follows then."""
    parts = name.split(b"/")
    for at, part in enumerate(parts):
        try:
            part.decode()
        except UnicodeDecodeError:
            return b"/".join(parts[:at]).decode(), b"/".join(parts[at:]).decode(errors="replace")
    return name.decode(), ""


def _objection(path: str) -> str:
    if not path.isprintable() or any(part in ("", ".", "..") for part in path.split("/")):
        return "no file may be called so"
    if path.count("/") > sources.MOST_DEPTH:
        return f"it is more than {sources.MOST_DEPTH} folders deep"
    return ""


def _chosen(source: Source, blobs: Sequence[_Blob]) -> tuple[list[_Blob], list[Problem]]:
    """Those that are read. Raises `errors.SourceUnavailable` where they are too many."""
    known = {blob.path: blob for blob in blobs}
    picked = [known[path] for path in sources.pick([*known])]
    large = [blob for blob in picked if blob.size > sources.MOST_FILE_BYTES]
    problems = [Problem(path=blob.path, text=f"it is larger than {sources.MOST_FILE_BYTES} bytes") for blob in large]
    chosen = [blob for blob in picked if blob.size <= sources.MOST_FILE_BYTES]
    total = sum(blob.size for blob in chosen)
    if len(chosen) > sources.MOST_FILES or total > sources.MOST_BYTES:
        said = f"it has {len(chosen)} files with {total} bytes; {sources.MOST_FILES} with {sources.MOST_BYTES} at most"
        raise errors.SourceUnavailable(source=source.name, reason=f"{said} are read; name a folder in it")
    return chosen, problems


async def _contents(git: Git, blobs: Sequence[_Blob]) -> bytes:
    asked = "".join(f"{blob.id}\n" for blob in blobs).encode()
    most = sum(blob.size + 128 for blob in blobs)
    return await git.ask("cat-file", "--batch", seconds=READ_SECONDS, most_bytes=most, given=asked) if blobs else b""


def _files(blobs: Sequence[_Blob], told: bytes) -> Iterator[File]:
    at = 0
    for blob in blobs:
        end = told.index(b"\n", at)
        assert told[at:end] == f"{blob.id} blob {blob.size}".encode(), "git writes them in order"
        yield File(path=blob.path, data=told[end + 1 : end + 1 + blob.size])
        at = end + 1 + blob.size + 1
