"""Which parser is asked about which type, and what is said when it finds nothing."""

from collections.abc import Callable

from pupload.adapters.content import archives, documents, doubles, media, pictures
from pupload.adapters.content.types import kind_of
from pupload.adapters.content.window import Window
from pupload.domain import mime
from pupload.domain.facts import NOTHING, Facts, Inspection

_PARSERS: dict[str, Callable[[Window, str], Facts]] = {
    "picture": pictures.facts,
    "pdf": documents.facts,
    "media": media.facts,
    "zip": archives.zipped,
    "tar": archives.tar,
    "packed": archives.packed,
}


def other_type(file: Window, content_type: str) -> str:
    """What the file is beside `content_type`; empty: nothing else."""
    return doubles.other_type(file, content_type)


def look(file: Window, content_type: str) -> Inspection:
    """What the file holds."""
    content_type = mime.normalised(content_type) or content_type
    parser = _PARSERS.get(kind_of(content_type))
    found, reason = NOTHING, ""
    if parser is not None:
        file.seek(0)
        try:
            found = parser(file, content_type)
        except Exception:  # noqa: BLE001 - whatever a file does to its parser, it is the file that cannot be read
            reason = "its headers cannot be read"
    if not found.known and not reason:
        reason = "its headers do not say it" if parser is not None else "nobody here reads this type"
    return Inspection(facts=found, reason=reason)
