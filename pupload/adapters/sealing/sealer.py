"""
`ports.Sealer` with AES-256-GCM.

Sealed bytes are a version, the id of the key, a random nonce and the ciphertext with its tag. What they are for is
authenticated with them, so that one sealed value cannot be put in the place of another. Random nonces are safe for some
four thousand million sealings with a key; a new one is made with `pup secret rotate`.
"""

import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pupload import errors
from pupload.adapters.sealing import keyfile

_VERSION = 1
_NONCE_BYTES = 12
_NONCE_AT = 1 + keyfile.ID_BYTES
_DATA_AT = _NONCE_AT + _NONCE_BYTES


class FileSealer:
    """Seals with the keys in a file, which is made when the first thing is sealed. May be used by many threads."""

    def __init__(self, path: Path) -> None:
        """Raises `errors.Misconfigured` when the file is there and cannot be used."""
        self._path = path
        self._lock = threading.Lock()
        self._take(keyfile.read(path))

    def _take(self, keys: Mapping[bytes, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    def seal(self, data: bytes, *, about: str) -> bytes:
        """See `ports.Sealer`."""
        if not self._ciphers:
            with self._lock:
                self._take(keyfile.read(self._path) or keyfile.add(self._path))
        key_id, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return bytes((_VERSION,)) + key_id + nonce + cipher.encrypt(nonce, data, about.encode())

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """See `ports.Sealer`."""
        if len(sealed) < _DATA_AT or sealed[0] != _VERSION:
            raise errors.Damaged(what=about, reason="it was not encrypted by this version")
        cipher = self._cipher(sealed[1:_NONCE_AT], about)
        try:
            return cipher.decrypt(sealed[_NONCE_AT:_DATA_AT], sealed[_DATA_AT:], about.encode())
        except InvalidTag as error:
            raise errors.Damaged(what=about, reason="it was changed, or is in the place of something else") from error

    def _cipher(self, key_id: bytes, about: str) -> AESGCM:
        if key_id not in self._ciphers:
            self._take(keyfile.read(self._path))  # another server may have got a new key meanwhile
        if key_id not in self._ciphers:
            raise errors.Misconfigured(
                reason=f"{about} is encrypted with key {key_id.hex()}, which is not in the key file {self._path}: "
                "restore the file that belongs to the database; servers that share a database share its keys"
            )
        return self._ciphers[key_id]

    def renew(self, *, new_key: bool) -> str:
        """See `ports.Sealer`."""
        with self._lock:
            self._take(keyfile.add(self._path) if new_key else keyfile.read(self._path) or keyfile.add(self._path))
        return next(iter(self._ciphers)).hex()
