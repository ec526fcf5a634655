"""Checksums that S3 wants and tells."""

import base64
import binascii
import hashlib
from collections.abc import Mapping


def read_sha256(headers: Mapping[str, str]) -> str | None:
    """The SHA-256 in hex that the store computed over the whole object; None where it tells none or one of parts."""
    told = headers.get("x-amz-checksum-sha256", "")
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT" or "-" in told:
        return None
    try:
        digest = base64.b64decode(told, validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 32 else None


def content_md5(body: bytes) -> str:
    """The `Content-MD5` header that S3 wants with some documents. A checksum on the way, no protection."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def in_header(digest: bytes) -> str:
    """A digest as the `x-amz-checksum-…` headers carry it."""
    return base64.b64encode(digest).decode()
