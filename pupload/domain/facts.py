"""
What a file holds, as far as its headers tell, and whether that is more than somebody takes.

`objection` is the one judgement, for what arrives from outside and for what nodes make. Two kinds of limits meet in it:
those of a port, which somebody relies on, and those of the server, which keep the worst away from everybody. What
nobody can tell passes the server's and not a port's: who asks for pictures of at most so many pixels is given none
whose pixels are unknown.
"""

from dataclasses import dataclass

from pupload.domain import duration, mime

RATIO_FROM_BYTES = 1024 * 1024
"""What unpacks to less is no bomb, however well it was packed."""

_PACKED = frozenset(
    {
        *("application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd", "application/zip"),
        *("application/x-7z-compressed", "application/vnd.rar", "application/epub+zip", "application/java-archive"),
        *("application/x-tar", "application/vnd.android.package-archive"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What headers say. Each is None where nobody can tell, or where there is no such thing."""

    width: int | None = None
    """Of a picture, or of a video's frames, in pixels; of several pages, of the largest."""
    height: int | None = None
    pages: int | None = None
    duration_seconds: float | None = None
    entries: int | None = None
    """Files and directories of an archive."""
    unpacked_bytes: int | None = None
    """All of an archive's files together, or what a packed file becomes; what is packed once more in there stays so."""

    @property
    def pixels(self) -> int | None:
        """Width times height."""
        return None if self.width is None or self.height is None else self.width * self.height

    def ratio(self, size: int) -> float | None:
        """How many times its own size (in bytes) the file becomes when it is unpacked."""
        return None if self.unpacked_bytes is None else self.unpacked_bytes / max(size, 1)

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return self != NOTHING


NOTHING = Facts()
"""Of a file that says nothing of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What came of looking into a file."""

    facts: Facts = NOTHING
    other_type: str = ""
    """What the file is as well, to programs that look at it from another side; empty: it is one thing."""
    reason: str = ""
    """Why there is not all that could be told; empty where there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What somebody takes at most; None: anything."""

    max_bytes: int | None = None
    max_pixels: int | None = None
    max_media_seconds: float | None = None
    max_ratio: float | None = None
    max_pages: int | None = None

    @property
    def of_content(self) -> bool:
        """Whether one needs to look into files to judge them."""
        return any(one is not None for one in (self.max_pixels, self.max_media_seconds, self.max_ratio, self.max_pages))


UNLIMITED = Limits()


def can_have(limit: str, content_type: str) -> bool:
    """Whether a file of the type (of a wildcard: some file) can have what the limit of this name is about."""
    found = mime.normalised(content_type)
    if found is None or found in (mime.ANY, mime.UNKNOWN, "application/*"):
        return True
    major = found.split("/", 1)[0]
    if limit == "max_pixels":
        return major in ("image", "video") and found != "image/svg+xml"
    if limit == "max_media_seconds":
        return major in ("audio", "video") or found == "application/ogg"
    if limit == "max_pages":
        return found in ("application/pdf", "image/tiff", "image/*")
    return limit != "max_ratio" or found in _PACKED or mime.zipped(found)


def objection(
    facts: Facts, content_type: str, size: int, limits: Limits, *, by: str, strict: bool = True, reason: str = ""
) -> str | None:
    """
    Why a file of `size` bytes is more than the limits take, for a person; None when it is not.

    `by` says whose limits they are; `{limit}` in it becomes the name of the one that counts. With `strict` what cannot
    be told is objected to where a limit depends on it; `reason` says why it cannot.
    """
    found = facts.ratio(size)
    bomb = found is not None and (facts.unpacked_bytes or 0) >= RATIO_FROM_BYTES
    asked = (
        ("max_bytes", limits.max_bytes, size, "how many bytes it has"),
        ("max_pixels", limits.max_pixels, facts.pixels, "how many pixels it has"),
        ("max_media_seconds", limits.max_media_seconds, facts.duration_seconds, "how long it plays"),
        ("max_ratio", limits.max_ratio, found if bomb or found is None else 0.0, "to how much it unpacks"),
        ("max_pages", limits.max_pages, facts.pages, "how many pages it has"),
    )
    for limit, most, has, unknown in asked:
        if most is None:
            continue
        taken = f"{by.replace('{limit}', limit)} takes at most {_amount(limit, most)}"
        if has is None:
            if strict and size and can_have(limit, content_type):
                return f"it cannot be told {unknown}, and {taken}{f': {reason}' if reason else ''}"
        elif has > most:
            return f"{_has(limit, facts, size)}; {taken}"
    return None


def _amount(limit: str, most: float) -> str:
    if limit == "max_media_seconds":
        return duration.text(most)
    return f"{most:g} times" if limit == "max_ratio" else _count(int(most))


def _has(limit: str, facts: Facts, size: int) -> str:
    """What there is too much of."""
    if limit == "max_pixels":
        return f"it has {facts.width}x{facts.height} = {_count(facts.pixels or 0)} pixels"
    if limit == "max_media_seconds":
        return f"it plays for {duration.text(facts.duration_seconds or 0)}"
    if limit == "max_ratio":
        times = _count(int(facts.ratio(size) or 0))
        return f"it unpacks to {_count(facts.unpacked_bytes or 0)} bytes, {times} times its size"
    return f"it has {_count(facts.pages or 0)} pages" if limit == "max_pages" else f"it has {_count(size)} bytes"


def _count(number: int) -> str:
    """The number for a sentence: `400 million`, `1 234 567`, `1234`."""
    for one, name in ((10**9, "billion"), (10**6, "million")):
        if number >= one and number % (one // 10) == 0:
            return f"{number / one:,.1f}".removesuffix(".0").replace(",", " ") + f" {name}"
    return f"{number:,}".replace(",", " ") if number >= 10_000 else str(number)
