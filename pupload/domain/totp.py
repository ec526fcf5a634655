"""
One-time passwords that grow with time, as authenticator programs show them: RFC 6238, over RFC 4226.

Six digits, of HMAC-SHA-1, new every thirty seconds: what every such program takes without being told.
"""

import base64
import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
"""As long as what HMAC-SHA-1 gives: RFC 4226, section 4, R6."""

WINDOW = 1
"""Steps before and after this one whose codes still count: clocks differ, and typing takes time (RFC 6238, 5.2)."""


def step_at(now: datetime) -> int:
    """Which step of thirty seconds since 1970 it is."""
    return int(now.timestamp() // STEP_SECONDS)


def code(secret: bytes, step: int, *, digits: int = DIGITS) -> str:
    """What an authenticator shows in this step: RFC 4226, section 5.3."""
    told = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = told[-1] & 0x0F
    number = int.from_bytes(told[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"


def matching_step(secret: bytes, text: str, now: datetime, *, after: int = -1) -> int | None:
    """
    The step whose code the text is, None where it is none that counts now.

    Steps up to `after` were used: a code that somebody looked over a shoulder for opens nothing a second time.
    """
    here = step_at(now)
    found = None
    for step in range(here - WINDOW, here + WINDOW + 1):
        same = hmac.compare_digest(code(secret, step).encode(), text.encode(errors="replace"))
        if same and step > after and found is None:
            found = step
    return found


def written(secret: bytes) -> str:
    """The secret as people and authenticators copy it: base 32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def read(text: str) -> bytes:
    """The secret that is written so. Raises `ValueError`."""
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def provisioning_uri(secret: bytes, *, issuer: str, account: str) -> str:
    """What an authenticator reads from a square code: the key URI format that all of them follow."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return f"otpauth://totp/{label}?{urlencode({'secret': written(secret), 'issuer': issuer})}"
