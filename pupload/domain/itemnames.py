"""
What the items of a collection are called: in a store, and in the directory that a node finds them in.

Names come from nodes and users. A name that is short and plain is a file's as it is; any other is written as a key
would be, behind the number of its place.
"""

import itertools
import re
from collections.abc import Sequence

from pupload.domain import keys, mime
from pupload.domain.artifact import Artifact

LONGEST = 255
"""Bytes of a name, as file systems have it."""

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,12}$")

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_SHORT = 120
"""Characters that stay of a name behind the number: keys have an end, too."""


def objection(name: str) -> str:
    """Why no item can be called so, as in `its name …`; empty where it can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "its name is no UTF-8"
    if _CONTROL.search(name):
        return "there is a line break or another control character in its name"
    return "its name is too long" if size > LONGEST else ""


def is_plain(name: str) -> bool:
    """Whether a file in a node's directory can be called so: no program overlooks it or takes it for an option."""
    return bool(name) and name[0] not in ".-" and "/" not in name and not objection(name)


def numbered(place: int, name: str) -> str:
    """The name behind the number of its place, as one segment of a key and a file's name: `000017-photo.jpg`."""
    written = keys.safe(name)
    if len(written) > _SHORT:
        found = _ENDING.search(written)
        ending = found.group() if found else ""
        written = re.sub(r"%[0-9A-F]?$", "", written[: _SHORT - len(ending)]) + ending
    return f"{place:06}-{written}"


def of_files(items: Sequence[tuple[int, Artifact]]) -> list[str]:
    """
    What the files of these items are called, in a directory of their own; with the place of each.

    Their own names where all are plain, and sorted by them the items are in their order; else all have numbers.
    """
    own = [_own(artifact) for _, artifact in items]
    ordered = all(name < after for name, after in itertools.pairwise(own))
    if ordered and all(is_plain(name) for name in own):
        return own
    return [numbered(place, name) for (place, _), name in zip(items, own, strict=True)]


def _own(artifact: Artifact) -> str:
    """What somebody called it, else what its edge is called."""
    return artifact.file_name or artifact.edge + mime.extension(artifact.content_type)
