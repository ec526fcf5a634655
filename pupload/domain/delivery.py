"""
A callback on its way: what was tried, and when it is tried again.

A delivery keeps its id for ever, so that a receiver that gets it twice can tell; it is tried until the receiver takes
it, says that it wants no more, or a little more than three days of trying are over. It never changes its run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import urlsplit

PAUSES_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Between one failed try and the next, as in the Standard Webhooks specification: ten tries in some 76 hours."""

JITTER = 0.1
"""A pause is longer by up to this share of it, so that what failed together does not come back together."""

LONGEST_PAUSE_SECONDS = 86400.0
"""A receiver that asks for more is tried after this."""

CLAIM_SECONDS = 30.0
"""How long a try may be under way before somebody else takes it up: longer than any answer is waited for."""

TRIES_KEPT = 20

GONE = 410


class State(StrEnum):
    """Of a delivery."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One POST, and what it came to."""

    at: datetime
    status: int | None = None
    """Of the answer; None when there was none."""
    error: str = ""
    """Why that was not good enough; empty when it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back of a POST."""

    status: int | None = None
    """None when nothing did."""
    error: str = ""
    """Why nothing did, for a person; never the URL."""
    retry_after: str = ""
    """The header of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one receiver."""

    id: str
    """`msg_` and letters and digits: the same for one callback of one run, however often it is made or sent."""
    run: str
    kind: str
    """What is told, such as `run.completed`."""
    url: str = field(repr=False)
    """Not to be shown as it is: its query may let in whoever has it."""
    body: bytes = field(repr=False)
    place: int | None = None
    """Which of the flow's callbacks this is, from 0; None: the operator's."""
    created_at: datetime
    due_at: datetime | None
    """When it is tried next; None exactly when it is not PENDING."""
    state: State = State.PENDING
    tries: tuple[Try, ...] = ()
    """The latest `TRIES_KEPT`, in order."""
    failures: int = 0
    """Since it was first sent, or sent again by hand."""
    version: int = 1
    """How often it was saved."""

    @property
    def host(self) -> str:
        """Whose patience is at stake: host and port."""
        parts = urlsplit(self.url)
        return f"{(parts.hostname or '').lower()}:{parts.port or parts.scheme}"


def claimed(this: Delivery, *, now: datetime) -> Delivery:
    """The delivery while it is being tried: nobody else's, unless whoever tries it dies of it."""
    return replace(this, due_at=now + timedelta(seconds=CLAIM_SECONDS))


def answered(this: Delivery, reply: Reply, *, at: datetime, now: datetime, chance: float) -> Delivery:
    """The delivery after a try that began `at`; `chance` is between 0 and 1."""
    error = _wrong(reply)
    tried = noted(this, Try(at=at, status=reply.status, error=error))
    if not error:
        return replace(tried, state=State.DELIVERED, due_at=None)
    failures = this.failures + 1
    if reply.status == GONE or failures > len(PAUSES_SECONDS):
        return replace(tried, state=State.FAILED, due_at=None, failures=failures)
    pause = PAUSES_SECONDS[failures - 1] * (1 + JITTER * chance)
    asked = min(_asked_seconds(reply.retry_after, now), LONGEST_PAUSE_SECONDS)
    return replace(tried, due_at=now + timedelta(seconds=max(pause, asked)), failures=failures)


def noted(this: Delivery, tried: Try) -> Delivery:
    """The delivery with one more try on its list, and nothing else changed."""
    return replace(this, tries=(*this.tries, tried)[-TRIES_KEPT:])


def sent_again(this: Delivery, *, now: datetime) -> Delivery:
    """The delivery as somebody wants it: tried at once, and as often as a new one."""
    return replace(this, state=State.PENDING, due_at=now, failures=0)


_WORDS: Mapping[int, str] = {
    3: "it answered {status}: redirects are not followed, name the address itself",
    4: "it answered {status}",
    5: "it answered {status}",
}


def _wrong(reply: Reply) -> str:
    """Why the receiver has not taken it; empty when it has."""
    if reply.status is None:
        return reply.error or "there was no answer"
    if 200 <= reply.status < 300:
        return ""
    if reply.status == GONE:
        return "it answered 410: it wants this no more"
    return _WORDS.get(reply.status // 100, "it answered {status}").format(status=reply.status)


def _asked_seconds(text: str, now: datetime) -> float:
    """What `Retry-After` asks for, in seconds or as a date; 0 where it says nothing that can be read."""
    text = text.strip()[:64]
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return 0.0
