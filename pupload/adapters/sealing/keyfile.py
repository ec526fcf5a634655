"""
The file that holds the keys: one in each line, in Base64.

The first key seals, all of them open; an older one stays for what was sealed with it, in backups above all. A key is
known by an id that follows from it, so the file says nothing but keys. It is made when the first thing is sealed, and
refused when anybody but its owner may read it.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pupload import errors, ports

KEY_BYTES = 32
ID_BYTES = 8

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_HEAD = (
    "# The keys that pupload's database is encrypted with, the newest first. Without them it is lost: back them up.\n"
)


def id_of(key: bytes) -> bytes:
    """The id of a key: tells nothing of it."""
    return sha256(b"pupload key\0" + key).digest()[:ID_BYTES]


def read(path: Path) -> Mapping[bytes, bytes]:
    """The keys by their ids, in the order of the file; none where there is no file. Raises `errors.Misconfigured`."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _OTHERS:
                raise _wrong(path, f"others may read it (mode {mode:04o}): run chmod 600 {path}, and change its keys")
            lines = file.read().decode("ascii").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _wrong(path, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise _wrong(path, "it is no list of keys") from error
    keys = [_key(path, number, line) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    return {id_of(key): key for key in keys}


def add(path: Path) -> Mapping[bytes, bytes]:
    """A new key comes first, in a file that is made when there is none. Returns all. Raises `errors.Misconfigured`."""
    fresh = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    try:
        if read(path):
            _replace(path, f"{_HEAD}{fresh}\n{_keys_in(path)}")
        else:
            _make(path, f"{_HEAD}{fresh}\n")
    except FileExistsError:
        pass  # somebody else made it just now, and theirs is as good
    except OSError as error:
        raise _wrong(path, f"it cannot be written: {error.strerror}") from error
    return read(path)


def check(path: Path) -> ports.ProbeLine:
    """For `pup doctor`: whether the file can be used."""
    try:
        count = len(read(path))
    except errors.Misconfigured as error:
        return ports.ProbeLine(what="key file", ok=False, detail=str(error))
    said = f"{count} key{'s' if count > 1 else ''} at {path}" if count else f"{path} is made when it is needed"
    return ports.ProbeLine(what="key file", ok=True, detail=said)


def _key(path: Path, number: int, line: str) -> bytes:
    with suppress(binascii.Error):
        key = base64.b64decode(line.strip(), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise _wrong(path, f"line {number} is no key: {KEY_BYTES} bytes in Base64 are wanted")


def _keys_in(path: Path) -> str:
    """The file as it is, without our own remark."""
    return path.read_text(encoding="ascii").removeprefix(_HEAD)


def _make(path: Path, text: str) -> None:
    """Appears whole or not at all, and in nobody's place."""
    partial = _write_beside(path, text)
    try:
        os.link(partial, path)
    finally:
        partial.unlink()
    _sync(path.parent)


def _replace(path: Path, text: str) -> None:
    partial = _write_beside(path, text)
    partial.replace(path)
    _sync(path.parent)


def _write_beside(path: Path, text: str) -> Path:
    """A file that only we may read, on the disk."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return partial


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _wrong(path: Path, reason: str) -> errors.Misconfigured:
    return errors.Misconfigured(reason=f"the key file {path} cannot be used: {reason}")
