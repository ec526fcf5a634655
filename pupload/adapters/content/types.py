"""Which types are looked into, by whom, and which cost nothing."""

from pupload.domain import mime

_PACKED = frozenset({"application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd"})

_QUIET = frozenset({mime.UNKNOWN, mime.EMPTY, "image/svg+xml", mime.PLAYLIST})
"""Beside all text. They promise nothing that could be held against them."""


def kind_of(content_type: str) -> str:
    """`picture`, `pdf`, `media`, `zip`, `tar`, `packed`; empty where nobody has a parser."""
    found = mime.normalised(content_type) or ""
    major = found.split("/", 1)[0]
    if mime.zipped(found):
        return "zip"
    if found in _PACKED:
        return "packed"
    if found == "application/pdf":
        return "pdf"
    if found == "application/x-tar":
        return "tar"
    if major == "image":
        return "picture"
    return "media" if major in ("audio", "video") or found == "application/ogg" else ""


def looked_into(content_type: str) -> bool:
    """Whether there is anything to find: facts, or that it is something else as well. Text and plain bytes: no."""
    return not mime.readable(content_type) and (mime.normalised(content_type) or mime.UNKNOWN) not in _QUIET
