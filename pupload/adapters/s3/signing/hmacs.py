"""From a secret to a signature: the key of a day, region and service, and the HMACs made with it."""

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256

ALGORITHM = "AWS4-HMAC-SHA256"
TIMESTAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of keys, with a token when they are temporary."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def timestamp_and_scope(now: datetime, region: str) -> tuple[str, str]:
    """The moment as the wire writes it, and where and when a signature made then holds."""
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP)
    return timestamp, f"{timestamp[:8]}/{region}/s3/aws4_request"


@lru_cache(maxsize=64)
def signing_key(secret_key: str, scope: str) -> bytes:
    """One key serves a whole day, region and secret: four HMACs less for every request but the first."""
    key = b"AWS4" + secret_key.encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def sign_request(key: bytes, timestamp: str, scope: str, request: str) -> str:
    """The signature of a request in its canonical form."""
    # Header bytes that are no UTF-8 arrive as surrogates; they are signed as the bytes they were.
    hashed = sha256(request.encode(errors="surrogateescape")).hexdigest()
    return sign_text(key, f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}")


def sign_text(key: bytes, text: str) -> str:
    """The signature of a text that is complete already."""
    mac = _keyed(key).copy()
    mac.update(text.encode())
    return mac.hexdigest()


@lru_cache(maxsize=64)
def _keyed(key: bytes) -> hmac.HMAC:
    """Copied for every text: to make it anew takes OpenSSL longer than all the rest of a signature."""
    return hmac.new(key, digestmod="sha256")
