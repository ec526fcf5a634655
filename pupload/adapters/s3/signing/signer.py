"""Signing: URLs that do one request for whoever holds them, and the headers of a request of our own."""

from collections.abc import Mapping
from datetime import datetime

from pupload.adapters.s3.signing import canonical, hmacs, payloads

LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600


def presign(
    credentials: hmacs.Credentials,
    *,
    method: str,
    scheme: str,
    host: str,
    path: str,
    query: canonical.Pairs = (),
    region: str,
    now: datetime,
    expires_seconds: int,
    headers: Mapping[str, str] = {},
) -> str:
    """
    A URL that does this one request until it expires.

    `path` and `query` are decoded. Whoever uses the URL must send exactly `headers`; its body is not signed. Raises
    `ValueError` when it would be valid for no time or for more than seven days.
    """
    if not 1 <= expires_seconds <= LONGEST_EXPIRY_SECONDS:
        raise ValueError(f"a URL is valid for 1 to {LONGEST_EXPIRY_SECONDS} seconds, not {expires_seconds}")
    timestamp, scope = hmacs.timestamp_and_scope(now, region)
    host = canonical.wire_host(scheme, host)
    signed = canonical.signed_headers({**headers, "host": host})
    pairs = [
        *query,
        ("X-Amz-Algorithm", hmacs.ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires_seconds)),
        ("X-Amz-SignedHeaders", ";".join(name for name, _ in signed)),
    ]
    if credentials.session_token is not None:
        pairs.append(("X-Amz-Security-Token", credentials.session_token))
    path, encoded = canonical.encode_path(path), canonical.encode_query(pairs)
    request = canonical.request(method, path, encoded, signed, payloads.UNSIGNED_PAYLOAD)
    key = hmacs.signing_key(credentials.secret_key, scope)
    return f"{scheme}://{host}{path}?{encoded}&X-Amz-Signature={hmacs.sign_request(key, timestamp, scope, request)}"


def sign(
    credentials: hmacs.Credentials,
    *,
    method: str,
    host: str,
    path: str,
    query: canonical.Pairs = (),
    headers: Mapping[str, str],
    payload_hash: str,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """
    The headers that authorize this request, to be sent beside `headers`.

    `host` is the `Host` header as it will be on the wire; `payload_hash` the body's SHA-256 in hex, or
    `UNSIGNED_PAYLOAD`.
    """
    timestamp, scope = hmacs.timestamp_and_scope(now, region)
    added = {"X-Amz-Date": timestamp, "X-Amz-Content-Sha256": payload_hash}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    signed = canonical.signed_headers({**headers, **added, "host": host})
    request = canonical.request(
        method, canonical.encode_path(path), canonical.encode_query(query), signed, payload_hash
    )
    signature = hmacs.sign_request(hmacs.signing_key(credentials.secret_key, scope), timestamp, scope, request)
    names = ";".join(name for name, _ in signed)
    added["Authorization"] = (
        f"{hmacs.ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added
