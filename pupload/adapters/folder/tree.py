"""
`ports.SourceReader` over a folder.

Every folder and file is opened below the one that it is in, never by a path from the root, and no link is followed:
what is changed meanwhile leads nowhere else. A file is read from what was opened and found to be a plain file.
"""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pupload import errors
from pupload.domain import sources
from pupload.domain.sources import File, Problem, Source, Tree

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A pipe that nobody writes to keeps nobody waiting."""
_LINK = frozenset({errno.ELOOP, errno.EMLINK})


class FolderSource:
    """Reads sources that are folders, each time anew."""

    async def read(self, source: Source, *, known: str = "") -> Tree | None:
        tree = await asyncio.to_thread(_read, source)
        return None if known and tree.revision == known else tree


@dataclass
class _Look:
    """What is found on the way."""

    paths: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    entries: int = 0


class _TooLarge(Exception):
    """The source is larger than sources may be."""


def _read(source: Source) -> Tree:
    look = _Look()
    try:
        with _root(source) as root:
            _walk(root, "", look, depth=0)
            files = tuple(_files(root, look))
    except _TooLarge as error:
        raise errors.SourceUnavailable(source=source.name, reason=f"{error}; name a folder in it") from error
    except OSError as error:
        said = f"the folder {source.path}/{source.folder}".rstrip("/")
        reason = f"{said} cannot be opened: {_said(error)}"
        raise errors.SourceUnavailable(source=source.name, reason=reason) from error
    problems = sources.relevant(look.problems, project=sources.is_project(look.paths))
    return Tree(revision=_revision(files, problems), files=files, problems=problems)


@contextmanager
def _root(source: Source) -> Iterator[int]:
    """The source's folder. Raises OSError."""
    # The operator's own path may have links in it; what is below it may not.
    descriptor = os.open(source.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in filter(None, source.folder.split("/")):
            inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _walk(folder: int, path: str, look: _Look, *, depth: int) -> None:
    """Notes the files that may matter in the folder and below. Raises OSError where the folder cannot be read."""
    inner: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            look.entries += 1
            if look.entries > sources.MOST_ENTRIES:
                raise _TooLarge(f"it has more than {sources.MOST_ENTRIES} files and folders")
            name = f"{path}/{entry.name}" if path else entry.name
            if sources.is_hidden(entry.name):
                continue
            if not _is_text(name):
                if sources.may_matter(entry.name) or entry.is_dir(follow_symlinks=False):
                    look.problems.append(Problem(path=path, text="a name in it is not UTF-8"))
            elif entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            elif entry.is_symlink():
                look.problems += sources.unread_link(name)
            elif sources.may_matter(name):
                look.paths.append(name)
    for each in sorted(inner):
        _descend(folder, each, f"{path}/{each}" if path else each, look, depth=depth + 1)


def _descend(folder: int, name: str, path: str, look: _Look, *, depth: int) -> None:
    if depth > sources.MOST_DEPTH:
        look.problems.append(Problem(path=path, text=f"it is more than {sources.MOST_DEPTH} folders deep"))
        return
    try:
        descriptor = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=folder)
    except OSError as error:
        look.problems.append(Problem(path=path, text=f"it cannot be opened: {_said(error)}"))
        return
    try:
        _walk(descriptor, path, look, depth=depth)
    except OSError as error:
        look.problems.append(Problem(path=path, text=f"it cannot be read: {_said(error)}"))
    finally:
        os.close(descriptor)


def _files(root: int, look: _Look) -> Iterator[File]:
    """Those that matter, read; what cannot be is a problem. Raises `_TooLarge`."""
    picked = sources.pick(look.paths)
    if len(picked) > sources.MOST_FILES:
        raise _TooLarge(f"it has {len(picked)} files, {sources.MOST_FILES} at most are read")
    total = 0
    for path in picked:
        try:
            data = _data(root, path)
        except OSError as error:
            look.problems.append(Problem(path=path, text=f"it cannot be read: {_said(error)}"))
            continue
        except ValueError as error:
            look.problems.append(Problem(path=path, text=str(error)))
            continue
        total += len(data)
        if total > sources.MOST_BYTES:
            raise _TooLarge(f"its files are larger than {sources.MOST_BYTES} bytes together")
        yield File(path=path, data=data)


def _data(root: int, path: str) -> bytes:
    """The bytes of the file. Raises OSError, and ValueError with a sentence for what is no plain file, or too large."""
    *folders, name = path.split("/")
    descriptor = os.dup(root)
    try:
        for each in folders:
            descriptor = _replaced(descriptor, os.open(each, _OPEN | os.O_DIRECTORY, dir_fd=descriptor))
        descriptor = _replaced(descriptor, os.open(name, _OPEN, dir_fd=descriptor))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        data = bytearray()
        while piece := os.read(descriptor, sources.MOST_FILE_BYTES + 1 - len(data)):
            data += piece
            if len(data) > sources.MOST_FILE_BYTES:
                raise ValueError(f"it is larger than {sources.MOST_FILE_BYTES} bytes")
        return bytes(data)
    finally:
        os.close(descriptor)


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _revision(files: Sequence[File], problems: Sequence[Problem]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    told = [(problem.path, problem.text.encode()) for problem in problems]
    for path, data in (*((file.path, file.data) for file in files), *told):
        for part in (path.encode(), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.isprintable()


def _said(error: OSError) -> str:
    return "it is a link" if error.errno in _LINK else error.strerror or str(error)
