"""
Which token is shown to which server.

The one of PUPLOAD_TOKEN, else in the file of `pup --token-file`, else the one that `pup login` kept for that server: in
a file of the user's own, which nobody else may read. A token is shown to no other server.
"""

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

from pupload.cli.failures import Usage
from pupload.client import Client

TOKEN_FILE: ContextVar[Path | None] = ContextVar("token_file", default=None)
"""What `--token-file` named."""

MOST_BYTES = 4096
"""Of a file that holds a token."""


def client(url: str, **more: Any) -> Client:
    """A client of the server that shows it the token. Raises `failures.Usage` for a file without one."""
    return Client(url, token=token(url), **more)


def token(url: str) -> str:
    """What is shown to the server; empty where there is nothing to show."""
    if given := os.environ.get("PUPLOAD_TOKEN", "").strip():  # noqa: TID251 - the command line's own environment
        return given
    if (named := TOKEN_FILE.get()) is not None:
        return _read(named)
    return _kept().get(_origin(url), "")


def keep(url: str, given: str) -> Path:
    """Keeps a token for the server, in place of another; where."""
    return _write({**_kept(), _origin(url): given})


def forget(url: str) -> bool:
    """Whether there was one for the server; there is none any more."""
    kept = dict(_kept())
    was = kept.pop(_origin(url), None)
    if was is not None:
        _write(kept)
    return was is not None


def place() -> Path:
    """The file in which tokens are kept."""
    root = os.environ.get("XDG_CONFIG_HOME", "")  # noqa: TID251 - as above
    return (Path(root) if root else Path.home() / ".config") / "pup" / "tokens.json"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("ascii").strip()
    except OSError as error:
        raise Usage(reason=f"--token-file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        text = ""
    if not text or len(text.split()) != 1:
        raise Usage(reason=f"--token-file {path} holds no token: that is one word")
    return text


def _kept() -> Mapping[str, str]:
    try:
        found = json.loads(place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(each): str(text) for each, text in found.items()} if isinstance(found, dict) else {}


def _write(kept: Mapping[str, str]) -> Path:
    """Puts a whole new file in place of the last, so that none is ever half written or open to others."""
    path = place()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:  # of mode 0600
            json.dump(kept, file)
        Path(file.name).replace(path)
    except OSError as error:
        raise Usage(reason=f"{path} cannot be written: {error.strerror}") from None
    return path
