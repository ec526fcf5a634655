"""
Conditional requests (RFC 9110, section 13) as S3 does them. Pure: header texts and a version of the object in,
an answer out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from pupload.adapters.s3.embedded.refusals import Refusal

Header = Callable[[str], str | None]


class Version(Protocol):
    """What conditions look at."""

    @property
    def etag(self) -> str: ...

    @property
    def modified_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """The four conditions of a request; None where it names none."""

    match: str | None = None
    none_match: str | None = None
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None

    @classmethod
    def read(cls, header: Header, prefix: str = "") -> "Conditions":
        """From headers; `prefix` is `x-amz-copy-source-` for those about the source of a copy."""
        return cls(
            match=header(f"{prefix}if-match"),
            none_match=header(f"{prefix}if-none-match"),
            modified_since=_date(header(f"{prefix}if-modified-since")),
            unmodified_since=_date(header(f"{prefix}if-unmodified-since")),
        )

    def check_reading(self, version: Version) -> None:
        """Raises `Refusal`: PreconditionFailed, NotModified."""
        self._check_match(version)
        if self._is_not_modified(version):
            raise Refusal("NotModified")

    def check_source(self, version: Version) -> None:
        """The same for the source of a copy, where "not modified" is a failure too."""
        self._check_match(version)
        if self._is_not_modified(version):
            raise Refusal("PreconditionFailed")

    def check_writing(self, version: Version | None) -> None:
        """
        For whoever puts or deletes: `version` is what is there now, None where nothing is.

        Raises `Refusal`: PreconditionFailed, NoSuchKey where a version was named and there is none.
        """
        if self.modified_since or self.unmodified_since:
            raise Refusal("NotImplemented", "Writes are conditional on If-Match and If-None-Match only.")
        if self.match is not None:
            if version is None:
                raise Refusal("NoSuchKey")
            if not _names(self.match, version.etag):
                raise Refusal("PreconditionFailed", Condition="If-Match")
        if self.none_match is not None and version is not None and _names(self.none_match, version.etag):
            raise Refusal("PreconditionFailed", Condition="If-None-Match")

    def __bool__(self) -> bool:
        return self != Conditions()

    def _check_match(self, version: Version) -> None:
        if self.match is not None:
            if not _names(self.match, version.etag):
                raise Refusal("PreconditionFailed", Condition="If-Match")
        elif self.unmodified_since and _whole(version.modified_at) > self.unmodified_since:
            raise Refusal("PreconditionFailed", Condition="If-Unmodified-Since")

    def _is_not_modified(self, version: Version) -> bool:
        if self.none_match is not None:
            return _names(self.none_match, version.etag)
        return self.modified_since is not None and _whole(version.modified_at) <= self.modified_since


def still_fresh(if_range: str, version: Version) -> bool:
    """Whether an `If-Range` names this version, so that its range may be answered."""
    date = _date(if_range)
    return _whole(version.modified_at) == date if date else _names(if_range, version.etag)


def _names(header: str, etag: str) -> bool:
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))
    return any(tag in ("*", etag) for tag in tags)


def _date(text: str | None) -> datetime | None:
    """A date that cannot be read counts as none (RFC 9110, 13.1.3)."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def _whole(when: datetime) -> datetime:
    """HTTP dates know seconds only."""
    return when.replace(microsecond=0)
