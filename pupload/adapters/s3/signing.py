"""
Signature Version 4 for S3, both sides of it: signing requests and URLs, and checking the signatures of others.

Everything here is arithmetic on its arguments; the time comes in. A path is the decoded one (`/bucket/key`), and is
encoded exactly once; a path from the wire is decoded once and encoded once before it is compared. What is signed is
what S3 signs: no path normalisation, every query pair (duplicates too), header values folded to single spaces.

The wire's own words are in "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()
STREAMING_PAYLOADS = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)
LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600
ALLOWED_SKEW = timedelta(minutes=15)

Pairs = Iterable[tuple[str, str]]

_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch
_TIMESTAMP_SHAPE = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
# Proxies and HTTP libraries add or change these on the way: a signature over them would break.
_NEVER_SIGNED = frozenset({"authorization", "expect", "transfer-encoding", "connection", "user-agent"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of keys, with a token when they are temporary."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


# ── Signing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def presign(
    credentials: Credentials,
    *,
    method: str,
    scheme: str,
    host: str,
    path: str,
    query: Pairs = (),
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
    timestamp, scope = _timestamp_and_scope(now, region)
    host = wire_host(scheme, host)
    signed = _signed_headers({**headers, "host": host})
    pairs = [
        *query,
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key}/{scope}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires_seconds)),
        ("X-Amz-SignedHeaders", ";".join(name for name, _ in signed)),
    ]
    if credentials.session_token is not None:
        pairs.append(("X-Amz-Security-Token", credentials.session_token))
    path, canonical = encode_path(path), encode_query(pairs)
    request = _canonical_request(method, path, canonical, signed, UNSIGNED_PAYLOAD)
    key = _signing_key(credentials.secret_key, scope)
    return f"{scheme}://{host}{path}?{canonical}&X-Amz-Signature={_sign_request(key, timestamp, scope, request)}"


def sign(
    credentials: Credentials,
    *,
    method: str,
    host: str,
    path: str,
    query: Pairs = (),
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
    timestamp, scope = _timestamp_and_scope(now, region)
    added = {"X-Amz-Date": timestamp, "X-Amz-Content-Sha256": payload_hash}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    signed = _signed_headers({**headers, **added, "host": host})
    request = _canonical_request(method, encode_path(path), encode_query(query), signed, payload_hash)
    signature = _sign_request(_signing_key(credentials.secret_key, scope), timestamp, scope, request)
    names = ";".join(name for name, _ in signed)
    added["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def wire_host(scheme: str, host: str) -> str:
    """The `Host` header every HTTP client sends for this name: lower case, without the scheme's own port."""
    return host.lower().removesuffix(_DEFAULT_PORT.get(scheme, "\n"))


def encode_path(path: str | bytes) -> str:
    """The decoded path as it is signed and sent."""
    if isinstance(path, str) and _PLAIN_PATH(path):
        return path
    return quote(path, safe="/")


def encode_query(pairs: Pairs) -> str:
    """The decoded pairs as they are signed and sent: encoded, then sorted."""
    return "&".join(f"{name}={value}" for name, value in sorted((_encode(n), _encode(v)) for n, v in pairs))


def _encode(text: str) -> str:
    return text if _PLAIN(text) else quote(text, safe="", errors="surrogateescape")


def _timestamp_and_scope(now: datetime, region: str) -> tuple[str, str]:
    timestamp = now.astimezone(UTC).strftime(_TIMESTAMP)
    return timestamp, f"{timestamp[:8]}/{region}/s3/aws4_request"


def _signed_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    folded = ((name.lower(), _fold(value)) for name, value in headers.items())
    return sorted((name, value) for name, value in folded if name not in _NEVER_SIGNED)


def _fold(value: str) -> str:
    return _BLANKS.sub(" ", value).strip(" ")


def _canonical_request(
    method: str, path: str, query: str, headers: Sequence[tuple[str, str]], payload_hash: str
) -> str:
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    names = ";".join(name for name, _ in headers)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}"


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, scope: str) -> bytes:
    """One key serves a whole day, region and secret: four HMACs less for every request but the first."""
    key = b"AWS4" + secret_key.encode()
    for word in scope.split("/"):
        key = hmac_digest(key, word.encode(), "sha256")
    return key


def _sign_request(key: bytes, timestamp: str, scope: str, request: str) -> str:
    # Header bytes that are no UTF-8 arrive as surrogates; they are signed as the bytes they were.
    hashed = sha256(request.encode(errors="surrogateescape")).hexdigest()
    return _sign_text(key, f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}")


def _sign_text(key: bytes, text: str) -> str:
    return hmac_digest(key, text.encode(), "sha256").hex()


# ── Verifying ────────────────────────────────────────────────────────────────────────────────────────────────────


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


class SignatureRefused(Exception):
    """A request that nobody allowed has signed, as S3 words it: `code`, `message` and the HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature."""

    access_key: str
    scope: str
    timestamp: str
    signed_names: tuple[str, ...]
    signature: str
    payload_hash: str
    presigned: bool


def verify(request: WireRequest, *, secret_of: Callable[[str], str | None], region: str, now: datetime) -> Verified:
    """
    Who signed the request. Raises `SignatureRefused`.

    `secret_of` gives an access key's secret, or None where there is no such key.
    """
    headers = _gather(request.headers)
    pairs = _decode_query(request.raw_query)
    claim = _read_claim(headers, pairs, region=region, now=now)
    _check_names(claim, headers)
    secret = secret_of(claim.access_key)
    if secret is None:
        raise SignatureRefused("InvalidAccessKeyId", "The access key Id you provided does not exist in our records.")
    canonical = _canonical_request(
        request.method,
        encode_path(_unquote(request.raw_path)),
        encode_query((n, v) for n, v in pairs if not (claim.presigned and n == "X-Amz-Signature")),
        [(name, headers.get(name, "")) for name in claim.signed_names],
        claim.payload_hash,
    )
    key = _signing_key(secret, claim.scope)
    expected = _sign_request(key, claim.timestamp, claim.scope, canonical)
    if not compare_digest(expected.encode(), claim.signature.encode(errors="surrogateescape")):
        raise SignatureRefused(
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


def chunk_signature(verified: Verified, previous: str, chunk_sha256: str) -> str:
    """The signature of a chunk of an `aws-chunked` body; `previous` is that of the chunk before, or the request's."""
    return _chain(verified, "AWS4-HMAC-SHA256-PAYLOAD", previous, f"{EMPTY_SHA256}\n{chunk_sha256}")


def trailer_signature(verified: Verified, previous: str, trailer_sha256: str) -> str:
    """The signature of the trailing headers, after the last (empty) chunk's."""
    return _chain(verified, "AWS4-HMAC-SHA256-TRAILER", previous, trailer_sha256)


def _chain(verified: Verified, algorithm: str, previous: str, rest: str) -> str:
    text = f"{algorithm}\n{verified.timestamp}\n{verified.scope}\n{previous}\n{rest}"
    return _sign_text(verified.signing_key, text)


def _gather(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names in lower case, values folded, those of one name joined by commas in their order."""
    gathered: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        gathered[name] = f"{gathered[name]},{_fold(value)}" if name in gathered else _fold(value)
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


def _read_claim(headers: Mapping[str, str], pairs: Sequence[tuple[str, str]], *, region: str, now: datetime) -> _Claim:
    in_query = any(name in ("X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential") for name, _ in pairs)
    authorization = headers.get("authorization")
    if in_query and authorization is not None:
        raise SignatureRefused(
            "InvalidArgument", "Only one auth mechanism allowed; both a header and a query string were given.", 400
        )
    if in_query:
        return _read_query_claim(headers, pairs, region=region, now=now)
    if authorization is None:
        raise SignatureRefused("AccessDenied", "Access Denied: the request is not signed.")
    return _read_header_claim(headers, authorization, region=region, now=now)


def _read_header_claim(headers: Mapping[str, str], authorization: str, *, region: str, now: datetime) -> _Claim:
    fields = _authorization_fields(authorization)
    timestamp = _header_timestamp(headers)
    access_key, scope = _read_credential(
        fields["Credential"], timestamp, region=region, code="AuthorizationHeaderMalformed"
    )
    signed_at = datetime.strptime(timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    if abs(now - signed_at) > ALLOWED_SKEW:
        raise SignatureRefused(
            "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large."
        )
    if "x-amz-content-sha256" not in headers:
        raise SignatureRefused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256.", 400)
    return _Claim(
        access_key=access_key,
        scope=scope,
        timestamp=timestamp,
        signed_names=_read_names(fields["SignedHeaders"]),
        signature=fields["Signature"],
        payload_hash=_read_payload_hash(headers["x-amz-content-sha256"]),
        presigned=False,
    )


def _authorization_fields(authorization: str) -> Mapping[str, str]:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise SignatureRefused(
            "InvalidRequest",
            f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.",
            400,
        )
    fields = {}
    for piece in rest.split(","):
        name, _, value = piece.strip(" ").partition("=")
        fields[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise SignatureRefused(
                "AuthorizationHeaderMalformed", f"The authorization header is malformed; it lacks {name}.", 400
            )
    return fields


def _header_timestamp(headers: Mapping[str, str]) -> str:
    timestamp = headers.get("x-amz-date")
    if timestamp is None and "date" in headers:
        timestamp = _basic_timestamp(headers["date"])
    if timestamp is None or not _is_timestamp(timestamp):
        raise SignatureRefused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header.")
    return timestamp


def _basic_timestamp(date: str) -> str | None:
    if _TIMESTAMP_SHAPE(date):
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime(_TIMESTAMP)
    except (ValueError, TypeError, OverflowError):
        return None


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP_SHAPE(text):
        return False
    try:
        datetime.strptime(text, _TIMESTAMP)  # noqa: DTZ007 - only whether it is one
    except ValueError:
        return False
    return True


def _read_query_claim(
    headers: Mapping[str, str], pairs: Sequence[tuple[str, str]], *, region: str, now: datetime
) -> _Claim:
    fields = _query_fields(pairs)
    timestamp = fields["X-Amz-Date"]
    access_key, scope = _read_credential(
        fields["X-Amz-Credential"], timestamp, region=region, code="AuthorizationQueryParametersError"
    )
    signed_at = datetime.strptime(timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    if signed_at - now > ALLOWED_SKEW:
        raise SignatureRefused("AccessDenied", "Request is not valid yet")
    if now > signed_at + timedelta(seconds=_read_expiry(fields["X-Amz-Expires"])):
        raise SignatureRefused("AccessDenied", "Request has expired")
    payload_hash = fields.get("X-Amz-Content-Sha256", headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD))
    return _Claim(
        access_key=access_key,
        scope=scope,
        timestamp=timestamp,
        signed_names=_read_names(fields["X-Amz-SignedHeaders"]),
        signature=fields["X-Amz-Signature"],
        payload_hash=_read_payload_hash(payload_hash),
        presigned=True,
    )


def _query_fields(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        if not name.startswith("X-Amz-"):
            continue
        if name in fields:
            raise _bad_query(f"{name} is given more than once.")
        fields[name] = value
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    for name in ("Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if not fields.get(f"X-Amz-{name}"):
            raise _bad_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
            )
    if not _is_timestamp(fields["X-Amz-Date"]):
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    return fields


def _bad_query(message: str) -> SignatureRefused:
    return SignatureRefused("AuthorizationQueryParametersError", message, 400)


def _read_expiry(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise _bad_query("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise _bad_query("X-Amz-Expires must be non-negative")
    if seconds > LONGEST_EXPIRY_SECONDS:
        raise _bad_query(
            f"X-Amz-Expires must be less than a week (in seconds) that is, less than {LONGEST_EXPIRY_SECONDS} seconds"
        )
    return seconds


def _read_credential(credential: str, timestamp: str, *, region: str, code: str) -> tuple[str, str]:
    """The access key and the scope, which must be of this day, this region and this service."""
    access_key, *words = credential.rsplit("/", 4)
    if len(words) != 4 or not access_key:
        raise SignatureRefused(code, "The Credential is malformed; it is ACCESS-KEY/DATE/REGION/s3/aws4_request.", 400)
    wanted = (timestamp[:8], region, "s3", "aws4_request")
    for what, found, expected in zip(("date", "region", "service", "terminator"), words, wanted, strict=True):
        if found != expected:
            raise SignatureRefused(code, f"The {what} of the Credential is wrong; expecting '{expected}'.", 400)
    return access_key, "/".join(words)


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.lower() for name in text.split(";")}))


def _read_payload_hash(text: str) -> str:
    if text == UNSIGNED_PAYLOAD or text in STREAMING_PAYLOADS or _HEX_SHA256(text):
        return text
    raise SignatureRefused(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING type, or a valid sha256 value.",
        400,
    )


def _check_names(claim: _Claim, headers: Mapping[str, str]) -> None:
    """A header that is not signed could be added by anybody who saw the URL; `host` ties it to this store."""
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.signed_names]
    if "host" not in claim.signed_names:
        unsigned.append("host")
    if unsigned:
        raise SignatureRefused(
            "AccessDenied",
            f"There were headers present in the request which were not signed: {', '.join(sorted(unsigned))}",
        )
