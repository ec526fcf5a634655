"""
Secrets given to nodes, each in a file that lies in memory, and kept out of what nodes print.

An attempt takes the values as they are when it starts. They lie in a directory of its own, which its container sees
read-only; it goes with the attempt. A directory appears whole, so after a crash one that is there is what the container
was given, whatever became of the secrets since.
"""

import asyncio
import errno
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pupload import errors
from pupload.domain import credential, secret
from pupload.domain.events import AttemptFailed
from pupload.domain.masking import Masker
from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef
from pupload.ports import SecretStore

End = TypeVar("End")

_PARTIAL = "."
"""Begins the name of a directory that is being made; no attempt's id begins so."""


class Handout:
    """Gives secrets to attempts and takes them back."""

    def __init__(self, *, secrets: SecretStore, root: Path | None) -> None:
        """`root` holds the attempts' directories, in memory; None where there is no such place."""
        self._secrets = secrets
        self._root = root
        self._maskers: dict[str, Masker] = {}

    async def give(
        self, node: NodePlan, ref: AttemptRef, *, owner: tuple[int, int], account: int | None = None
    ) -> Path | None:
        """
        The directory with the node's secrets, made where it is missing; None for a node that names none.

        `owner` is the uid and gid that may read them; `account` whose secrets they are, nobody's where that is None.
        Raises `errors.SecretMissing`, `errors.CredentialMissing`, `errors.SecretsUnusable`, `errors.DiskFull`.
        """
        if not node.secrets:
            return None
        folder = self._folder(ref)
        if not await asyncio.to_thread(folder.is_dir):
            values = await self._values(node, account)
            try:
                await asyncio.to_thread(_make, folder, values, owner)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise errors.DiskFull(path=str(self._root)) from error
                raise errors.SecretsUnusable(reason=f"{folder.parent} cannot be used: {error.strerror}") from error
        return folder

    async def masker(self, node: NodePlan, ref: AttemptRef, *, account: int | None = None) -> Masker:
        """What the attempt prints goes through this: it knows the secrets that it was given."""
        if node.secrets and ref.id not in self._maskers:
            self._maskers[ref.id] = Masker(await self._given(node, ref, account))
        return self._maskers.get(ref.id, _PLAIN)

    def masked(self, ref: AttemptRef, end: End) -> End:
        """What an attempt came to, without the secrets that it was given in its sentence."""
        if not isinstance(end, AttemptFailed):
            return end
        return replace(end, reason=self._maskers.get(ref.id, _PLAIN)(end.reason))

    async def take_back(self, node: NodePlan, ref: AttemptRef) -> None:
        """Nothing of what the attempt was given is left afterwards. Nothing was, where its node names no secrets."""
        self._maskers.pop(ref.id, None)
        if self._root is not None and node.secrets:
            await asyncio.to_thread(_remove, self._root, (ref.id, f"{_PARTIAL}{ref.id}"))

    async def sweep(self, wanted: Callable[[str], Awaitable[bool]]) -> None:
        """
        Nothing is left afterwards of attempts that are not wanted; `wanted` is asked for each attempt's id.

        Controllers of one instance on one machine share the directory: it must know of the others' attempts as well.
        """
        if self._root is not None:
            for name in await asyncio.to_thread(_names_in, self._root):
                if not await wanted(name.removeprefix(_PARTIAL)):
                    await asyncio.to_thread(_remove, self._root, (name,))

    def _folder(self, ref: AttemptRef) -> Path:
        if self._root is None:
            reason = "this machine has no folder in memory that the server may write to; name one with secrets_folder"
            raise errors.SecretsUnusable(reason=reason)
        return self._root / ref.id

    async def _values(self, node: NodePlan, account: int | None) -> dict[str, str]:
        values: dict[str, str] = {}
        for name in node.secrets:
            value = await self._secrets.reveal(name, account=account)
            if value is None:
                raise _missing(name)
            values[name] = value
        return values

    async def _given(self, node: NodePlan, ref: AttemptRef, account: int | None) -> list[str]:
        """The values in the attempt's files; where those are gone (the machine was restarted), as they are set now."""
        if self._root is not None:
            given = await asyncio.to_thread(_read, self._root / ref.id)
            if given:
                return given
        found = [await self._secrets.reveal(name, account=account) for name in node.secrets]
        named = zip(node.secrets, found, strict=True)
        return [text for name, value in named if value is not None for text in _to_mask(name, value)]


_PLAIN = Masker()
"""Knows no secrets."""


def _missing(name: str) -> errors.AttemptFailed:
    of = secret.credential_of(name)
    return errors.SecretMissing(name=name) if of is None else errors.CredentialMissing(name=of[0], key=of[1])


def _to_mask(name: str, value: str) -> Iterator[str]:
    """The value, and where it is a credential's, each text in it: a node may print one of many headers."""
    yield value
    if secret.credential_of(name) is not None:
        yield from credential.texts_in(value)


def _make(folder: Path, values: Mapping[str, str], owner: tuple[int, int]) -> None:
    root = folder.parent
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.lstat().st_uid != os.geteuid() or root.is_symlink():
        raise PermissionError(errno.EPERM, "it belongs to somebody else")
    partial = root / f"{_PARTIAL}{folder.name}"
    with suppress(FileNotFoundError):
        partial.chmod(0o700)  # who is not root cannot empty it otherwise
        shutil.rmtree(partial)
    try:
        partial.mkdir(mode=0o700)
    except FileNotFoundError:  # the last attempt that had any took the directory away just now
        root.mkdir(mode=0o700, exist_ok=True)
        partial.mkdir(mode=0o700)
    # Without root nothing can be given away, but to oneself; the directory above lets nobody else in.
    ours = os.geteuid() == 0 or owner[0] == os.geteuid()
    for name, value in values.items():
        _write(partial / name, value.encode(), owner, mode=0o400 if ours else 0o444)
    if os.geteuid() == 0:
        os.chown(partial, *owner)
    partial.chmod(0o500 if ours else 0o555)
    partial.rename(folder)


def _write(path: Path, data: bytes, owner: tuple[int, int], *, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        if os.geteuid() == 0:
            os.fchown(handle, *owner)
        os.fchmod(handle, mode)


def _read(folder: Path) -> list[str]:
    try:
        found = ((path.name, path.read_bytes().decode(errors="replace")) for path in sorted(folder.iterdir()))
        return [text for name, value in found for text in _to_mask(name, value)]
    except OSError:
        return []


def _remove(root: Path, names: Iterable[str]) -> None:
    for name in names:
        folder = root / name
        try:
            folder.chmod(0o700)  # who is not root cannot empty it otherwise
        except FileNotFoundError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        root.rmdir()  # where it is empty


def _names_in(root: Path) -> list[str]:
    return [path.name for path in root.iterdir()] if root.is_dir() else []
