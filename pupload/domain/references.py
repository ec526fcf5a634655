"""
References of images: what an engine understands, and which one a node runs.

A definition names its image, or leaves it to its nodes: with `Image: ${flag.NAME}`, that and nothing around it, the
image of a node is the value of its flag. The flag always has one: a default, or it must be given.
"""

import re
from collections.abc import Mapping

from pupload.domain.nodedef import NodeDef

_WORD = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
_IMAGE = re.compile(
    rf"(?:{_HOST}(?::[0-9]{{1,5}})?/)?{_WORD}(?:/{_WORD})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)
"""The engine's grammar of references: registry, name, tag, digest."""

_LONGEST = 512

_FLAG = re.compile(r"\$\{flag\.([^${}]*)\}")


def fault(text: str) -> str:
    """Why an engine would not understand the reference; empty when it would."""
    if not text:
        return "a definition needs an image"
    if len(text) > _LONGEST or not _IMAGE.fullmatch(text):
        return "write [registry/]name[:tag][@digest], the name in lower case"
    return ""


def flag_of(image: str) -> str | None:
    """The flag that a definition's `Image` leaves the choice to; None where it names an image."""
    found = _FLAG.fullmatch(image) if image.startswith("${") else None
    return None if found is None else found[1]


def image_of(definition: NodeDef, flags: Mapping[str, str]) -> str:
    """The image of a node whose flags have these values; empty where a flag that should tell has none."""
    flag = flag_of(definition.image)
    return definition.image if flag is None else flags.get(flag, "")


def default_of(definition: NodeDef) -> str:
    """The image of a node that sets no flags; empty where each has to choose."""
    return image_of(definition, {flag.name: flag.default or "" for flag in reversed(definition.flags)})
