"""The pages of a PDF, counted one by one: the number that its catalogue gives is only a claim."""

import io
import logging
from typing import Any

import pypdf
from pypdf.generic import DictionaryObject, IndirectObject

from pupload.adapters.content.window import Window
from pupload.domain.facts import Facts

logging.getLogger("pypdf").setLevel(logging.CRITICAL)

COUNTED = 10_000
"""Pages that are counted; of more, as many as the file claims."""


def facts(file: Window, content_type: str) -> Facts:  # noqa: ARG001 - all parsers are called alike
    """The pages; nothing where they cannot be counted."""
    catalogue: Any = pypdf.PdfReader(io.BufferedReader(file), strict=False).trailer["/Root"]
    root = catalogue["/Pages"].get_object()
    claimed = root.get("/Count", 0)
    counted, whole = _count(root)
    if whole:
        return Facts(pages=counted)
    return Facts(pages=int(claimed)) if isinstance(claimed, int) and claimed > counted else Facts()


def _count(root: Any) -> tuple[int, bool]:
    """How many pages there are below, and whether these are all."""
    pages, seen, waiting = 0, set[int](), [root]
    while waiting:
        if pages >= COUNTED:
            return pages, False
        node = waiting.pop()
        if isinstance(node, IndirectObject):
            if node.idnum in seen:
                continue  # a tree that bites its tail
            seen.add(node.idnum)
            node = node.get_object()
        if not isinstance(node, DictionaryObject):
            continue
        if "/Kids" in node:
            waiting.extend(node["/Kids"].get_object())  # type: ignore[arg-type]
        else:
            pages += 1
    return pages, True
