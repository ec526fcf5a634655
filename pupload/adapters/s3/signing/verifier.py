"""
Checking the signatures of others.

A path from the wire is decoded once and encoded once before it is compared, and so is every query pair.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from pupload.adapters.s3.signing import canonical, claims, hmacs


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it came in, nothing decoded."""

    method: str
    raw_path: str
    """As on the wire, without the query."""
    raw_query: str
    """As on the wire, without the question mark."""
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Verified:
    """Who signed a request, and what the signatures of its chunks go on from."""

    access_key: str
    presigned: bool
    payload_hash: str
    """What the signer said of the body: hex, `UNSIGNED-PAYLOAD` or one of `STREAMING_PAYLOADS`. Still to be checked."""
    signature: str
    signing_key: bytes = field(repr=False)
    scope: str
    timestamp: str


def verify(request: WireRequest, *, secret_of: Callable[[str], str | None], region: str, now: datetime) -> Verified:
    """
    Who signed the request. Raises `claims.SignatureRefused`.

    `secret_of` gives an access key's secret, or None where there is no such key.
    """
    headers = _gather(request.headers)
    pairs = _decode_query(request.raw_query)
    claim = claims.read(headers, pairs, region=region, now=now)
    claims.check_names(claim, headers)
    secret = secret_of(claim.access_key)
    if secret is None:
        raise claims.SignatureRefused(
            "InvalidAccessKeyId", "The access key Id you provided does not exist in our records."
        )
    text = canonical.request(
        request.method,
        canonical.encode_path(_unquote(request.raw_path)),
        canonical.encode_query((n, v) for n, v in pairs if not (claim.presigned and n == "X-Amz-Signature")),
        [(name, headers.get(name, "")) for name in claim.signed_names],
        claim.payload_hash,
    )
    key = hmacs.signing_key(secret, claim.scope)
    expected = hmacs.sign_request(key, claim.timestamp, claim.scope, text)
    if not compare_digest(expected.encode(), claim.signature.encode(errors="surrogateescape")):
        raise claims.SignatureRefused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
    return Verified(
        access_key=claim.access_key,
        presigned=claim.presigned,
        payload_hash=claim.payload_hash,
        signature=claim.signature,
        signing_key=key,
        scope=claim.scope,
        timestamp=claim.timestamp,
    )


def _gather(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names in lower case, values folded, those of one name joined by commas in their order."""
    gathered: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        gathered[name] = f"{gathered[name]},{canonical.fold(value)}" if name in gathered else canonical.fold(value)
    return gathered


def _decode_query(raw: str) -> list[tuple[str, str]]:
    """Bytes stay what they are: text that is no UTF-8 is carried as surrogates and would sign as nothing valid."""
    pairs = []
    for piece in raw.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: str) -> str:
    return _unquote(text.replace("+", " ")).decode(errors="surrogateescape")


def _unquote(text: str) -> bytes:
    return unquote_to_bytes(text.encode(errors="surrogateescape"))
