"""What a signer may say of a body: its hash, that it is not signed, or that its chunks are signed one by one."""

import re
from hashlib import sha256

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()
STREAMING_PAYLOADS = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch


def is_known(text: str) -> bool:
    """Whether `x-amz-content-sha256` may say this."""
    return text == UNSIGNED_PAYLOAD or text in STREAMING_PAYLOADS or _HEX_SHA256(text) is not None
