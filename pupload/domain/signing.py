"""
Signatures of webhooks, as the Standard Webhooks specification (1.0.0) writes them.

What is signed is `id.timestamp.body`, with HMAC-SHA256 and a secret that both sides have. While a secret is being
exchanged for another, a message carries a signature by each.
"""

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

PREFIX = "whsec_"
"""Before a secret that is bytes in base64; any other text is taken as it stands."""

LEAST_BYTES, MOST_BYTES = 16, 512
"""Of a secret. The specification wants 24 to 64; what many have in use is shorter, or a longer text."""

WINDOW_SECONDS = 300.0
"""A message whose time is further away is not believed: it may be an old one, sent once more."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def key_of(secret: str) -> bytes:
    """What is signed with. Raises `ValueError`, which does not quote the secret."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True) if secret.startswith(PREFIX) else secret.encode()
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError(f"it has {len(key)} bytes; {LEAST_BYTES} to {MOST_BYTES} are needed")
    return key


def signature(key: bytes, *, message_id: str, timestamp: int, body: bytes | memoryview) -> str:
    """`v1,` and the signature in base64."""
    made = hmac.new(key, f"{message_id}.{timestamp}.".encode(errors="replace"), sha256)
    made.update(body)  # never copied: it may be large
    return f"v1,{b64encode(made.digest()).decode()}"


def objection(
    keys: Iterable[bytes], *, message_id: str, timestamp: str, signatures: str, body: bytes | memoryview, now: datetime
) -> str | None:
    """
    Why a message that came in is not believed, None where one of its signatures is by one of the keys.

    `message_id`, `timestamp` and `signatures` are the headers `webhook-id`, `webhook-timestamp` and
    `webhook-signature`, empty where they are missing.
    """
    if not message_id or not signatures or not _SECONDS.fullmatch(timestamp):
        return "webhook-id, webhook-timestamp and webhook-signature are needed"
    if abs(int(timestamp) - now.timestamp()) > WINDOW_SECONDS:
        return f"its webhook-timestamp is more than {WINDOW_SECONDS:g} s from this server's time"
    wanted = [signature(key, message_id=message_id, timestamp=int(timestamp), body=body).encode() for key in keys]
    given = [one.encode(errors="replace") for one in signatures.split(" ")]
    # All are compared, whatever the first came to: how long it takes tells nothing.
    matches = [hmac.compare_digest(one, other) for one in wanted for other in given]
    return None if any(matches) else "the signature is not that of this body"
