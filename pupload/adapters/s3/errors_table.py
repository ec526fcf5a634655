"""
The one table from what a store answers to what it means for us.

Absent, forbidden, unreachable and slow are four things, and a missing bucket is not a missing object: an answer that
the table does not know is `errors.StoreRefused` with the store's own words, never "absent".
"""

from dataclasses import dataclass

from pupload import errors
from pupload.adapters.s3 import xml

_ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion"})
_FORBIDDEN = {
    "AccessDenied": "the keys do not allow it",
    "AllAccessDisabled": "the store has disabled all access",
    "AccountProblem": "the account has a problem",
    "ExpiredToken": "the session token has expired",
    "InvalidAccessKeyId": "the store does not know the access key",
    "InvalidToken": "the session token is not valid",
    "RequestTimeTooSkewed": "the clocks of this machine and the store are more than 15 minutes apart",
    "SignatureDoesNotMatch": "the secret key is wrong, or a proxy changed the request",
}
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_FULL = frozenset({"InsufficientStorage", "XMinioStorageFull", "QuotaExceeded"})
_AGAIN = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_AGAIN_STATUS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which store was asked for what: the facts of an error."""

    store: str
    endpoint: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A store's answer that was not the wanted one."""

    status: int
    code: str
    """S3's name for it; empty where the answer had no body (HEAD) or none of S3's."""
    message: str = ""

    @property
    def is_worth_another_try(self) -> bool:
        """The same request may well succeed in a moment."""
        return self.code in _AGAIN or (self.status in _AGAIN_STATUS and self.code not in _FULL)


def read_refusal(status: int, body: bytes, *, is_head: bool = False) -> Refusal:
    """What the answer says. HEAD has no body: what its status means follows from the status alone."""
    found = xml.read_error(body)
    if found is not None:
        return Refusal(status=status, code=found.code, message=found.message)
    if is_head:
        return Refusal(status=status, code=_HEAD_CODES.get(status, ""))
    return Refusal(status=status, code="")


# Whether a 404 means the key or its bucket is for the caller to find out: HEAD cannot tell.
_HEAD_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}


def to_error(refusal: Refusal, asked: Asked) -> errors.PuploadError:
    """The error that says so; to be raised by the caller."""
    code = refusal.code
    if code in _ABSENT:
        return errors.ObjectAbsent(key=asked.key, store=asked.store)
    if code in _CHANGED or (refusal.status == 412 and not code):
        return errors.PreconditionFailed(key=asked.key, store=asked.store)
    if code in _FULL or refusal.status == 507:
        return errors.DiskFull(path=f"store {asked.store}")
    if code in _FORBIDDEN or (refusal.status in (401, 403) and not code):
        reason = _FORBIDDEN.get(code, f"HTTP status {refusal.status}")
        return errors.ObjectForbidden(key=asked.key or asked.bucket, store=asked.store, reason=reason)
    if refusal.is_worth_another_try:
        reason = f"it answers {code or 'with HTTP status'} ({refusal.status})"
        return errors.StoreUnavailable(store=asked.store, endpoint=asked.endpoint, reason=reason)
    return errors.StoreRefused(store=asked.store, code=code or f"HTTP {refusal.status}", reason=_reason(refusal, asked))


def _reason(refusal: Refusal, asked: Asked) -> str:
    if refusal.code == "NoSuchBucket":
        return f"bucket {asked.bucket} does not exist"
    if refusal.status in (301, 302, 307, 308):
        return f"bucket {asked.bucket} is at another endpoint or in another region"
    if not refusal.code:
        return f"HTTP status {refusal.status} without an S3 error; is {asked.endpoint} an S3 endpoint?"
    return refusal.message[:300] or f"HTTP status {refusal.status}"
