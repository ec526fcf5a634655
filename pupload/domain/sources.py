"""
Where saved flows come from beside the API: folders and git repositories, and what is found in them.

A source is read whole: a tree of files, from which those that matter are picked. A file's path says what its flow is
called: the flow of `backup/daily.yaml` is `backup/daily`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pupload.domain import saved

PROJECT = "pup.yaml"
"""The file at the root that makes a tree a project: its flows are in `flows/`."""

MOST_FILES = 2000
"""Files of one source."""
MOST_FILE_BYTES = 1 << 20
MOST_BYTES = 16 << 20
"""Of all files together."""
MOST_ENTRIES = 200_000
"""Files and folders that are looked at to find them."""
MOST_DEPTH = 16
"""Folders in each other."""
MOST_PROBLEMS = 200
"""Told of one source; beyond, how many more there are."""

_SUFFIXES = (".yaml", ".yml", ".json")
_FLOWS = "flows"
_DEFINITIONS = ("node_defs", "tasks")
_NODES = "nodes"


class Kind(StrEnum):
    """What a source is."""

    FS = "fs"
    GIT = "git"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that flows are found in, as the operator names it."""

    name: str
    type: Kind
    path: str
    """A folder; of a git repository its URL or folder. It holds no password."""
    ref: str = "HEAD"
    """The branch, tag or whole commit of a git repository."""
    folder: str = ""
    """Below the root of the source: what is beside it does not count."""
    namespace: str = ""
    """Before the names of all its flows."""
    interval_seconds: float = 0.0
    """How often it is looked at; 0: when the server starts, and when somebody asks."""
    secret: str = ""
    """The secret that opens a git repository: a token, or `user:password`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What keeps a file, or all below a folder, from being used."""

    path: str
    """In the source's folder; empty: all of it."""
    text: str
    line: int = 0
    """From 1; 0 where none can be told."""

    @property
    def place(self) -> str:
        """`path:line`."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a source."""

    path: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All of a source that matters, at one moment."""

    revision: str
    """Another where the files are others. Shown to nobody: files may hold secrets, and it may be made of them."""
    commit: str = ""
    message: str = ""
    """What the author of the commit says of it."""
    files: tuple[File, ...] = ()
    problems: tuple[Problem, ...] = ()
    """With what could not be read: what was known of it stays so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A flow in a file."""

    path: str
    name: str
    """Segments between slashes, without the namespace of the source."""
    content: saved.Content
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    label: str | None = None
    warnings: tuple[str, ...] = ()
    place: Callable[[str], tuple[str, int]] = field(repr=False, compare=False)
    """The file and the line that a JSON pointer into the flow's request leads to."""


class Interpreter(Protocol):
    """Tells what the files of one tree mean, which it is given one by one. It calculates, and raises nothing."""

    def take(self, file: File) -> None:
        """One more file."""

    def reading(self) -> "Reading":
        """What all of them mean together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the files of a source mean."""

    flows: tuple[Found, ...] = ()
    problems: tuple[Problem, ...] = ()
    passed: tuple[str, ...] = ()
    """Files that hold something else than a flow."""


def is_project(paths: Iterable[str]) -> bool:
    """Whether files with these paths are a project's."""
    return PROJECT in paths


def pick(paths: Sequence[str]) -> list[str]:
    """Those of the files that are read, in order."""
    project = is_project(paths)
    return sorted(
        path
        for path in paths
        if (project and path == PROJECT) or is_definition(path) or name_of(path, project=project) is not None
    )


def may_matter(path: str) -> bool:
    """Whether a file of this path may be one that is read."""
    return path.endswith(_SUFFIXES) and not is_hidden(path)


def is_hidden(path: str) -> bool:
    """Whether the file, or a folder that it is in, is hidden."""
    return any(part.startswith(".") for part in path.split("/"))


def unread_link(path: str) -> list[Problem]:
    """What is told of a link: something where a flow, or a folder of them, may be meant."""
    last = path.rpartition("/")[2]
    return (
        [Problem(path=path, text="it is a link, which is not followed")] if may_matter(path) or "." not in last else []
    )


def relevant(problems: Iterable[Problem], *, project: bool) -> tuple[Problem, ...]:
    """Those in folders that flows are looked for in, in order."""
    rooms = ("", PROJECT, _FLOWS, _NODES, *_DEFINITIONS)
    here = (each for each in problems if not project or each.path.partition("/")[0] in rooms)
    return tuple(sorted(here, key=lambda each: (each.path, each.line, each.text)))


def is_definition(path: str) -> bool:
    """Whether a file of this path holds a node definition for the flows of the source."""
    parts = path.split("/")
    if parts[0] in _DEFINITIONS:
        return len(parts) == 2 and path.endswith(_SUFFIXES[:2]) and not is_hidden(path)
    return parts[0] == _NODES and len(parts) == 4 and parts[3] == "node.yaml"


def name_of(path: str, *, project: bool) -> str | None:
    """What the flow in a file of this path is called in its source; None where none is looked for there."""
    first, _, rest = path.partition("/")
    if not may_matter(path) or (rest and first in (*_DEFINITIONS, _NODES)):
        return None
    if project:
        if first != _FLOWS or not rest:
            return None
        path = rest
    return path.rpartition(".")[0]


def full_name(source: Source, name: str) -> str:
    """`namespace/name` of a flow that is called so in the source."""
    return "/".join(saved.split("/".join(filter(None, (source.namespace, name)))))


def concerned(source: Source, full: str, problems: Iterable[str], *, project: bool) -> bool:
    """Whether the flow of this full name may be what is in a file, or below a folder, of these paths."""
    known = {base for path in problems for base in _bases(source, path, project=project)}
    return any(base == "" or full == base or full.startswith(f"{base}/") for base in known)


def _bases(source: Source, path: str, *, project: bool) -> Iterator[str]:
    if project:
        first, _, rest = path.partition("/")
        if path and first != _FLOWS:
            return
        path = rest
    plain = path.rpartition(".")[0] if path.endswith(_SUFFIXES) else path
    whole = "/".join(filter(None, (source.namespace, plain)))
    yield whole
    if whole:
        yield full_name(source, plain)
