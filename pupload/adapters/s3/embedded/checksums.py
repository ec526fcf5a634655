"""
The checksums that clients send beside a body, by S3's names for them.

CRC32, SHA-1 and SHA-256 come with Python. CRC32C and CRC64NVME do not, and in pure Python they would be slower than
the disk by far: they are taken from `awscrt` where it is installed (`pip install "boto3[crt]"`) and refused with a
clear answer where it is not. A checksum is never accepted without being checked.
"""

import base64
import binascii
import hashlib
import importlib
import zlib
from collections.abc import Callable
from typing import Protocol

from pupload.adapters.s3.embedded.refusals import Refusal

PREFIX = "x-amz-checksum-"


class Running(Protocol):
    """A checksum that grows with the bytes."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = self._step(data, self._value)  # type: ignore[arg-type]  # any buffer will do

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


SIZES = {"crc32": 4, "sha1": 20, "sha256": 32, "crc32c": 4, "crc64nvme": 8}


def start(name: str) -> Running:
    """A new checksum. Raises `Refusal`: NotImplemented for one we cannot compute, InvalidRequest for an unknown."""
    if name == "crc32":
        return _Crc(zlib.crc32, SIZES[name])
    if name == "sha1":
        return hashlib.sha1(usedforsecurity=False)
    if name == "sha256":
        return hashlib.sha256()
    if name in SIZES:
        return _Crc(_from_crt(name), SIZES[name])
    raise Refusal(
        "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with CRC32 or SHA256."
    )


def _from_crt(name: str) -> Callable[[bytes, int], int]:
    try:
        step: Callable[[bytes, int], int] = getattr(importlib.import_module("awscrt.checksums"), name)
    except (ImportError, AttributeError):
        raise Refusal(
            "NotImplemented",
            f"This store checks {name.upper()} only where awscrt is installed. Use CRC32 or SHA256.",
        ) from None
    return step


def combiner(name: str) -> Callable[[int, int, int], int] | None:
    """Makes the CRC of two runs of bytes from theirs and the size of the second; None where nobody can."""
    if name not in ("crc32c", "crc64nvme"):
        return None
    try:
        combine: Callable[[int, int, int], int] = getattr(
            importlib.import_module("awscrt.checksums"), f"combine_{name}"
        )
    except (ImportError, AttributeError):
        return None
    return combine


def read(name: str, value: str) -> str:
    """The value of a checksum header in its one spelling. Raises `Refusal` where it is none of this kind."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != SIZES.get(name, -1):
        raise Refusal("InvalidRequest", f"Value for {PREFIX}{name} header is invalid.")
    return write(raw)


def read_md5(value: str) -> str:
    """A Content-MD5 in hex. Raises `Refusal` InvalidDigest."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 16:
        raise Refusal("InvalidDigest")
    return raw.hex()


def write(raw: bytes) -> str:
    """As headers carry it."""
    return base64.b64encode(raw).decode()
