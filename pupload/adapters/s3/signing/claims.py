"""
What a request says about its own signature, in its `Authorization` header or in its query.

Read, held against the clock and against what may be left unsigned; whether the signature is right is `verifier`'s.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pupload.adapters.s3.signing import hmacs, payloads, signer

ALLOWED_SKEW = timedelta(minutes=15)

_TIMESTAMP_SHAPE = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch


class SignatureRefused(Exception):
    """A request that nobody allowed has signed, as S3 words it: `code`, `message` and the HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature."""

    access_key: str
    scope: str
    timestamp: str
    signed_names: tuple[str, ...]
    signature: str
    payload_hash: str
    presigned: bool


def read(headers: Mapping[str, str], pairs: Sequence[tuple[str, str]], *, region: str, now: datetime) -> Claim:
    """The claim, of this time, region and service. Raises `SignatureRefused`."""
    in_query = any(name in ("X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential") for name, _ in pairs)
    authorization = headers.get("authorization")
    if in_query and authorization is not None:
        raise SignatureRefused(
            "InvalidArgument", "Only one auth mechanism allowed; both a header and a query string were given.", 400
        )
    if in_query:
        return _read_query_claim(headers, pairs, region=region, now=now)
    if authorization is None:
        if any(name == "AWSAccessKeyId" for name, _ in pairs):  # version 2, which boto3 makes where it is not told
            raise _not_supported()
        raise SignatureRefused("AccessDenied", "Access Denied: the request is not signed.")
    return _read_header_claim(headers, authorization, region=region, now=now)


def _read_header_claim(headers: Mapping[str, str], authorization: str, *, region: str, now: datetime) -> Claim:
    fields = _authorization_fields(authorization)
    timestamp = _header_timestamp(headers)
    access_key, scope = _read_credential(
        fields["Credential"], timestamp, region=region, code="AuthorizationHeaderMalformed"
    )
    signed_at = _moment(timestamp)
    if abs(now - signed_at) > ALLOWED_SKEW:
        raise SignatureRefused(
            "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large."
        )
    if "x-amz-content-sha256" not in headers:
        raise SignatureRefused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256.", 400)
    return Claim(
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
    if algorithm != hmacs.ALGORITHM:
        raise _not_supported()
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


def _not_supported() -> SignatureRefused:
    return SignatureRefused(
        "InvalidRequest",
        f"The authorization mechanism you have provided is not supported. Please use {hmacs.ALGORITHM}.",
        400,
    )


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
        return parsedate_to_datetime(date).astimezone(UTC).strftime(hmacs.TIMESTAMP)
    except (ValueError, TypeError, OverflowError):
        return None


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP_SHAPE(text):
        return False
    try:
        _moment(text)
    except ValueError:
        return False
    return True


def _moment(text: str) -> datetime:
    """What `strptime` would give, which takes ten times as long and stands in the way of every request."""
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    return datetime(year, month, day, int(text[9:11]), int(text[11:13]), int(text[13:15]), tzinfo=UTC)


def _read_query_claim(
    headers: Mapping[str, str], pairs: Sequence[tuple[str, str]], *, region: str, now: datetime
) -> Claim:
    fields = _query_fields(pairs)
    timestamp = fields["X-Amz-Date"]
    access_key, scope = _read_credential(
        fields["X-Amz-Credential"], timestamp, region=region, code="AuthorizationQueryParametersError"
    )
    signed_at = _moment(timestamp)
    if signed_at - now > ALLOWED_SKEW:
        raise SignatureRefused("AccessDenied", "Request is not valid yet")
    if now > signed_at + timedelta(seconds=_read_expiry(fields["X-Amz-Expires"])):
        raise SignatureRefused("AccessDenied", "Request has expired")
    payload_hash = fields.get("X-Amz-Content-Sha256", headers.get("x-amz-content-sha256", payloads.UNSIGNED_PAYLOAD))
    return Claim(
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
    if fields.get("X-Amz-Algorithm") != hmacs.ALGORITHM:
        raise _bad_query(f'X-Amz-Algorithm only supports "{hmacs.ALGORITHM}"')
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
    if seconds > signer.LONGEST_EXPIRY_SECONDS:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds) that is, "
            f"less than {signer.LONGEST_EXPIRY_SECONDS} seconds"
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
    if payloads.is_known(text):
        return text
    raise SignatureRefused(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING type, or a valid sha256 value.",
        400,
    )


def check_names(claim: Claim, headers: Mapping[str, str]) -> None:
    """
    Raises `SignatureRefused` where something must be signed and is not.

    A header that is not signed could be added by anybody who saw the URL; `host` ties it to this store.
    """
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.signed_names]
    if "host" not in claim.signed_names:
        unsigned.append("host")
    if unsigned:
        raise SignatureRefused(
            "AccessDenied",
            f"There were headers present in the request which were not signed: {', '.join(sorted(unsigned))}",
        )
