"""Rules about callbacks: whom a flow may have told that its run is over."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pupload.domain import callbacks, reach, secret, signing
from pupload.domain.flow import Callback
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown

MOST = 10
"""Callbacks of one flow."""

MOST_SECRETS = 2
"""Of one callback: the one in use, and the one that takes its place."""

_LONGEST_URL = 2048
_LOCAL = "localhost"


def count(subject: Subject) -> Iterator[Finding]:
    """There are not too many."""
    if len(subject.flow.callbacks) > MOST:
        yield found("CALL_003", pointer(FLOW, "Callbacks"), count=len(subject.flow.callbacks), limit=MOST)


def urls(subject: Subject) -> Iterator[Finding]:
    """Every callback names a receiver that the server may be sent to."""
    for path, callback in _callbacks(subject):
        reason = url_objection(callback.url, http=subject.limits.callback_http, policy=subject.limits.callback_reach)
        if reason:
            yield found("CALL_001", pointer(path, "URL"), reason=reason)


def moments(subject: Subject) -> Iterator[Finding]:
    """`On` names ways in which a run can end."""
    for path, callback in _callbacks(subject):
        for position, moment in enumerate(callback.on):
            if moment.lower() not in callbacks.MOMENTS:
                yield found("CALL_002", pointer(path, "On", position), moment=shown(moment))


def secrets(subject: Subject) -> Iterator[Finding]:
    """Every callback has one or two secrets, and they can be signed with."""
    for path, callback in _callbacks(subject):
        if not callback.secrets:
            yield found("CALL_005", path)
        if len(callback.secrets) > MOST_SECRETS:
            reason = f"there are {len(callback.secrets)}, and {MOST_SECRETS} are in use at most"
            yield found("CALL_004", pointer(path, "Secrets"), reason=reason)
        for position, given in enumerate(callback.secrets):
            if not secret.is_mentioned(given) and (reason := _bad_secret(given)):
                yield found("CALL_004", pointer(path, "Secrets", position), reason=reason)


RULES = (count, urls, moments, secrets)


def url_objection(url: str, *, http: bool, policy: reach.Policy) -> str:
    """
    Why the server cannot or may not be sent to a URL; empty when it can, as far as its text tells.

    `http`: whether it may be sent there in plain text. What a name resolves to only connecting tells.
    """
    if len(url) > _LONGEST_URL:
        return f"it is longer than {_LONGEST_URL} characters"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "it holds characters that a URL does not have"
    if "${" in url:
        return "variables are not put into it; secrets belong into Secrets"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return "it cannot be read"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "it must begin with https:// and a host"
    if parts.scheme == "http" and not http:
        return "this server calls back by https:// only"
    if "@" in parts.netloc:
        return "it holds a user name or password; sign messages with Secrets instead"
    return _objection_to_host(parts.hostname, policy)


def _objection_to_host(host: str, policy: reach.Policy) -> str:
    """Why the server may not be sent to a host as it is written; empty for a name."""
    if host.rstrip(".").rpartition(".")[2] == _LOCAL:
        host = "127.0.0.1"
    address = reach.spelled(host)
    reason = policy.objection(address) if address is not None else None
    return f"its host is {reason}" if reason else ""


def _bad_secret(given: str) -> str:
    """Why nothing can be signed with it; empty when it can."""
    if given.startswith("${"):
        return "a reference to a secret looks like ${secret.NAME}"
    try:
        signing.key_of(given)
    except ValueError as error:
        return str(error)
    return ""


def _callbacks(subject: Subject) -> Iterator[tuple[str, Callback]]:
    given = subject.flow.callbacks[: MOST + 1]
    return ((pointer(FLOW, "Callbacks", position), callback) for position, callback in enumerate(given))
