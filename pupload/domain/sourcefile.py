"""
The operator's sources as a document: which there are, of what kind, and where.

It is read strictly: a field that is not known is a mistake in something that somebody relies on.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pupload.domain import duration, saved, secret
from pupload.domain.sources import Kind, Source

MOST_SOURCES = 100

LEAST_SECONDS = 1.0
"""Between two looks at a source."""

FIELDS: Mapping[str, str] = {
    "Name": "What its flows are known to be from.",
    "Type": "`fs`: a folder on the server's machine. `git`: a git repository.",
    "Path": "The folder, absolute. Of a git repository its URL (`https://…`, `ssh://…`, `git@host:path`, `file://…`) "
    "or folder.",
    "Ref": "Of a git repository: a branch, a tag, or a commit with all its digits. `HEAD` when not given.",
    "Folder": "Only what is below this folder of it counts.",
    "Namespace": "Stands before the names of all its flows.",
    "Interval": "How often it is looked at, such as `60s`. When not given: when the server starts, and when somebody "
    "asks.",
    "Secret": "The name of the secret that opens a git repository over HTTPS: a token, or `user:password`.",
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,254}")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9_./~-][^\s]*")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Wrong(ValueError):
    """A place in a document that cannot be; the message is the sentence."""

    def __init__(self, pointer: str, sentence: str) -> None:
        super().__init__(sentence)
        self.pointer = pointer
        """A JSON pointer into the document."""


def read(document: Any) -> tuple[Source, ...]:
    """The sources in plain values, in order. Raises `Wrong` at the first place that cannot be."""
    if document is None:
        return ()
    if not isinstance(document, dict) or set(document) - {"Sources"}:
        raise Wrong("", "the file holds Sources, a list, and nothing else")
    listed = document.get("Sources") or []
    if not isinstance(listed, list) or len(listed) > MOST_SOURCES:
        raise Wrong("/Sources", f"Sources is a list of {MOST_SOURCES} at most")
    found = tuple(_source(each, f"/Sources/{index}") for index, each in enumerate(listed))
    names = [source.name for source in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Wrong(f"/Sources/{index}/Name", f"two sources have the name {name}")
    return found


def _source(document: Any, place: str) -> Source:
    if not isinstance(document, dict):
        raise Wrong(place, f"a source is an object with {', '.join(FIELDS)}")
    for name, value in document.items():
        if name not in FIELDS:
            raise Wrong(f"{place}/{name}", f"{str(name)[:80]} is no field of a source: {', '.join(FIELDS)}")
        if not isinstance(value, str):
            raise Wrong(f"{place}/{name}", f"{name} must be a text")
    for name in ("Name", "Type", "Path"):
        if not document.get(name):
            raise Wrong(place, f"a source needs {name}")
    try:
        return _checked(document, place)
    except ValueError as error:
        raise error if isinstance(error, Wrong) else Wrong(place, str(error)) from error


def _checked(document: Mapping[str, str], place: str) -> Source:
    def wrong(name: str, sentence: str) -> Wrong:
        return Wrong(f"{place}/{name}", f"{name} {sentence}")

    name, folder = document["Name"], document.get("Folder", "").strip("/")
    namespace = document.get("Namespace", "").strip("/")
    if not _NAME.fullmatch(name) or name == saved.API:
        raise wrong("Name", f"must be of letters, digits, '.', '_' and '-', and not {saved.API}")
    if document["Type"] not in list(Kind):
        raise wrong("Type", f"must be {' or '.join(Kind)}")
    kind = Kind(document["Type"])
    if objection := _objection(kind, document["Path"]):
        raise wrong("Path", objection)
    if folder and not _is_below(folder):
        raise wrong("Folder", "must be a path below the source, without '..'")
    if namespace and (objection := saved.objection(namespace, "flow")):
        raise wrong("Namespace", f"cannot be: {objection}")
    for each in ("Ref", "Secret"):
        if each in document and kind is not Kind.GIT:
            raise wrong(each, "is for sources of type git")
    ref = document.get("Ref") or "HEAD"
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith(("/", ".lock", ".")):
        raise wrong("Ref", "must be a branch, a tag, or a commit with all its digits")
    if objection := _secret_objection(document.get("Secret", ""), document["Path"]):
        raise wrong("Secret", objection)
    return Source(
        name=name,
        type=kind,
        path=document["Path"],
        ref=ref,
        folder=folder,
        namespace=namespace,
        interval_seconds=_interval(document.get("Interval", ""), place),
        secret=document.get("Secret", ""),
    )


def _interval(text: str, place: str) -> float:
    if not text:
        return 0.0
    try:
        seconds = duration.positive(text)
    except ValueError as error:
        raise Wrong(f"{place}/Interval", f"Interval is not a valid duration: {error}") from error
    if seconds < LEAST_SECONDS:
        raise Wrong(f"{place}/Interval", f"Interval must be {LEAST_SECONDS:g} s or more")
    return seconds


def _is_below(folder: str) -> bool:
    return folder.isprintable() and all(part not in ("", ".", "..") for part in folder.split("/")) and ":" not in folder


def _objection(kind: Kind, path: str) -> str:
    """Why a source cannot be there; empty where it can. It quotes nothing, for there may be a password in it."""
    if not path.isprintable() or "\0" in path:
        return "must be a path or URL without control characters"
    if kind is Kind.FS or path.startswith("/"):
        return "" if path.startswith("/") else "must be an absolute path"
    if _SCP.fullmatch(path):
        return ""
    try:
        url = urlsplit(path)
        password, host, _ = url.password, url.hostname or "", url.port
    except ValueError:
        return "is no URL"
    if password is not None or (url.scheme in ("http", "https") and url.username and ":" in url.username):
        return "has a password: put it into a secret, and name that in Secret"
    if url.query or url.fragment:
        return "must have no query and no fragment"
    if url.scheme == "file":
        return "" if not host and url.path.startswith("/") else "must be file:///…, an absolute path"
    if url.scheme == "http" and host in _LOOPBACK:
        return ""
    if url.scheme in ("https", "ssh") and host and not host.startswith("-"):
        return ""
    return "must be an absolute path, or a URL with https, ssh or file"


def _secret_objection(name: str, path: str) -> str:
    if name and not secret.is_name(name):
        return "must be the name of a secret"
    if name and not path.startswith(("https://", "http://")):
        return "is for repositories with an https URL; ssh has keys of its own"
    return ""
